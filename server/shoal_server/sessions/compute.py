"""The threads that compute: one pool for all sessions, and for the tasks of one large batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class ComputePool:
    """Threads shared by every session.

    A call from the event loop takes one thread. A batch that is cut into tasks asks for more, and does itself
    whatever nobody else has begun: so the pool can't lock itself up however busy it is.

    Parameters
    ----------
    threads
        How many work for sessions.
    aside
        How many more there are for what takes long and no session is to wait for.
    """

    def __init__(self, threads: int, aside: int = 1) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="compute")
        self._aside = ThreadPoolExecutor(aside, thread_name_prefix="aside")
        self._working_aside: set[Future[Any]] = set()

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on a thread of the pool."""
        return await self.begin(lambda: function(*args, **kwargs))

    def begin(self, function: Callable[[], R]) -> asyncio.Future[R]:
        """Let a thread of the pool run a function, and return what will be its result."""
        return asyncio.get_running_loop().run_in_executor(self._executor, function)

    def submit_background(self, function: Callable[[], R]) -> Future[R]:
        """Let a thread that isn't one of the sessions' run a function."""
        future = self._aside.submit(function)
        self._working_aside.add(future)
        future.add_done_callback(self._working_aside.discard)
        return future

    @property
    def has_background_work(self) -> bool:
        """Whether such a thread is running a function, which can't be stopped."""
        return any(future.running() for future in list(self._working_aside))

    def run_tasks(self, task: Callable[[int], None], count: int) -> None:
        """Run task(0) … task(count - 1), each once, and return when all are done. Called on a thread of the pool.

        When one fails no further one begins, and the failure is raised once none is running any more.
        """
        indices = iter(range(count))
        helpers = [self._executor.submit(_run_all, task, indices) for _ in range(min(self._threads, count) - 1)]
        try:
            _run_all(task, indices)
        finally:
            unfinished = [helper for helper in helpers if not helper.cancel()]
            wait(unfinished)
        for helper in unfinished:
            helper.result()

    def close(self) -> None:
        """Let the threads end; those aside aren't waited for."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._aside.shutdown(wait=False, cancel_futures=True)


def _run_all(task: Callable[[int], None], indices: Iterator[int]) -> None:
    # The threads draw from one iterator: next() on a range iterator is a single step.
    try:
        for index in indices:
            task(index)
    finally:
        deque(indices, maxlen=0)  # if a task failed the others find nothing more to draw
