"""Whether calls are let in: not before the kernels are compiled, and not once the server is about to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from shoal_server.errors import DomainError, Reason, Refusal


class ServingState:
    """Closed at first, then open, then draining: new calls are refused, and streams are interrupted."""

    def __init__(self) -> None:
        self._refusal: Refusal | None = _starting("it loads its kernels")
        self._opened = False
        self._waiting: set[asyncio.Task[Any]] = set()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def open(self) -> None:
        """Admit calls."""
        self._opened = True
        self._refusal = None

    def note_compiled(self, done: int, of: int) -> None:
        """Say in the refusals before `open` how far the compilation is."""
        if not self._opened:
            self._refusal = _starting(f"it compiles its kernels, once on this machine: {done} of {of} functions")

    def drain(self) -> None:
        """Refuse new calls, and interrupt those that wait for input or news that won't come."""
        self._refusal = _draining()
        for task in list(self._waiting):
            task.cancel()

    def check(self) -> None:
        """Raise SERVER_STARTING or SERVER_DRAINING unless calls are admitted."""
        if self._refusal is not None:
            raise DomainError(self._refusal)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Admit a call, and count it as long as it lasts; raises as check does."""
        self.check()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    async def wait_until_empty(self, deadline: float) -> None:
        """Wait for the end of every call that was admitted, until the deadline on the loop's clock at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._empty.wait()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within, draining interrupts this task; it sees SERVER_DRAINING.

        Works as asyncio.timeout does: the task is cancelled, and the cancellation becomes SERVER_DRAINING.
        """
        self.check()
        task = this_task()
        self._waiting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self._refusal is None or task.uncancel():
                raise
            raise DomainError(self._refusal) from None
        finally:
            self._waiting.discard(task)


def this_task() -> asyncio.Task[Any]:
    """Return the task that runs: each call has one of its own."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a call is answered by a task")
    return task


def _starting(what: str) -> Refusal:
    return Refusal(
        Reason.SERVER_STARTING,
        f"the server is starting: {what}; try again in a few seconds",
        retry_after=1.0,
    )


def _draining() -> Refusal:
    return Refusal(
        Reason.SERVER_DRAINING,
        "the server is shutting down; what it has taken is applied and answered, try again when it is back",
        retry_after=1.0,
    )
