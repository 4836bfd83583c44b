"""What one call has computed beside the sessions' batches: it stops with the call, and keeps its memory until then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from shoal_server.engines.contract import Halted, Task
from shoal_server.errors import DomainError, Refusal
from shoal_server.sessions.compute import ComputePool

T = TypeVar("T")


class StoppableCall:
    """Computes for one call, for an owner of its own: the sessions' batches go before it.

    Parameters
    ----------
    owner
        Of what is computed, such as the call's id.
    pool
        The threads.
    is_halted
        Returns whether it is to stop though the call goes on. On any thread.
    refusal
        Returns what the call is refused with then.
    """

    def __init__(
        self, owner: str, pool: ComputePool, is_halted: Callable[[], bool], refusal: Callable[[], Refusal]
    ) -> None:
        self._owner = owner
        self._pool = pool
        self._is_halted = is_halted
        self._refusal = refusal
        self._is_over = False
        self._computing: asyncio.Future[Any] | None = None

    async def compute(self, function: Callable[[], T]) -> T:
        """Run a function on a compute thread; if the caller is cancelled it stops at its next pause."""

        def begin() -> T:
            self._pause()
            return function()

        computing = self._pool.begin(begin, self._owner)
        self._computing = computing
        try:
            return await asyncio.shield(computing)
        except Halted:
            raise DomainError(self._refusal()) from None

    def run(self, task: Task, count: int) -> None:
        """Run tasks as engines.contract.RunTasks says; raise Halted if the call is over or is to stop."""
        self._pool.run_tasks(task, count, self._pause)

    def stop(self, on_end: Callable[[], None]) -> None:
        """Let what is computed stop at its next pause, and call a function once it has."""
        self._is_over = True
        computing = self._computing
        if computing is None or computing.done():
            on_end()
            return

        def end(done: asyncio.Future[Any]) -> None:
            if not done.cancelled():
                done.exception()  # Halted, which nobody waits for
            on_end()

        computing.add_done_callback(end)

    def _pause(self) -> None:
        self._pool.checkpoint()
        if self._is_over or self._is_halted():
            raise Halted
