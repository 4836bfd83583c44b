"""The threads that compute: one pool for all sessions, and for the tasks of one large batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, wait
from time import monotonic
from typing import ParamSpec, TypeVar

from shoal_server.engines.contract import Task
from shoal_server.sessions.fair_executor import FairExecutor

P = ParamSpec("P")
R = TypeVar("R")


class ComputePool:
    """Threads shared by every session, fairly: see FairExecutor.

    A call from the event loop takes one thread. A batch that is cut into tasks asks for more, and does itself
    whatever nobody else has begun: so the pool can't lock itself up however busy it is. What takes long and can't be
    cut has threads of its own, beside which the system gives the others their share of the cores. The threads are
    daemons: nobody has to wait for one that computes.

    Parameters
    ----------
    threads
        How many work for sessions.
    background
        How many more there are for what takes long and no session is to wait for.
    """

    def __init__(self, threads: int, background: int = 1) -> None:
        self._threads = threads
        self._executor = FairExecutor(threads, "compute")
        self._uncut = FairExecutor(threads, "uncut")
        self._background = FairExecutor(background, "background")

    @property
    def threads(self) -> int:
        """How many work for sessions."""
        return self._threads

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on a thread of the pool, for nobody in particular."""
        return await self.begin(lambda: function(*args, **kwargs))

    async def call_for(self, owner: Hashable, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on a thread of the pool for an owner, such as a session."""
        return await self.begin(lambda: function(*args, **kwargs), owner)

    async def call_uncut_for(self, owner: Hashable, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function that takes long in one piece, on a thread that no other call waits for."""
        executor = self._uncut.owned_by(owner)
        return await asyncio.get_running_loop().run_in_executor(executor, lambda: function(*args, **kwargs))

    def begin(self, function: Callable[[], R], owner: Hashable = None) -> asyncio.Future[R]:
        """Let a thread of the pool run a function for an owner, and return what will be its result."""
        return asyncio.get_running_loop().run_in_executor(self._executor.owned_by(owner), function)

    def submit_background(self, function: Callable[[], R]) -> Future[R]:
        """Let a thread that isn't one of the sessions' run a function."""
        return self._background.submit_for(object(), function)

    def checkpoint(self) -> None:
        """Let a call of an owner that has used less go first; called between two pieces of work."""
        self._executor.checkpoint()
        self._uncut.checkpoint()

    def run_tasks(self, task: Task, count: int, pause: Callable[[], None] | None = None) -> None:
        """Run task(0) … task(count - 1), each once, and return when all are done. Called on a thread of the pool.

        When one fails no further one begins, and the failure is raised once none is running any more.

        Parameters
        ----------
        task, count
            See engines.contract.Task.
        pause
            Called between two tasks, and two pieces of a task, on their threads; it may raise Halted. None:
            `checkpoint`.
        """
        pause = pause or self.checkpoint
        if count == 1:
            run_pieces(task(0), pause)
            return
        indices = iter(range(count))
        helpers = [self._executor.submit(_run_all, task, indices, pause) for _ in range(min(self._threads, count) - 1)]
        try:
            _run_all(task, indices, pause)
        finally:
            unfinished = [helper for helper in helpers if not helper.cancel()]
            if unfinished:
                with self._executor.released():
                    wait(unfinished)
        for helper in unfinished:
            helper.result()

    def ends_within(self, seconds: float) -> bool:
        """Wait after `close` for what has begun; return whether it has ended in time."""
        until = monotonic() + seconds
        executors = (self._executor, self._uncut, self._background)
        return all(executor.ends_within(max(0.0, until - monotonic())) for executor in executors)

    def close(self, *, wait: bool = True) -> None:
        """Let the threads end; with `wait`, once they have done what they have begun."""
        for executor in (self._executor, self._uncut):
            executor.shutdown(wait, cancel_futures=True)
        self._background.shutdown(wait=False, cancel_futures=True)


def run_pieces(pieces: Iterable[None] | None, pause: Callable[[], None]) -> None:
    """Do the pieces of a task, with a pause between two."""
    for _ in pieces or ():
        pause()


def _run_all(task: Task, indices: Iterator[int], pause: Callable[[], None]) -> None:
    # The threads draw from one iterator: next() on a range iterator is a single step.
    try:
        for number, index in enumerate(indices):
            if number:
                pause()
            run_pieces(task(index), pause)
    finally:
        deque(indices, maxlen=0)  # if a task failed the others find nothing more to draw
