"""The completion of a job: a future that is cheap enough to have one for every batch.

An asyncio.Future schedules a callback and copies a context for each thing that happens to it, which for small batches
costs more than the batches. A Completion calls its callbacks at once, and makes an event only for those who wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Completion(Generic[T]):
    """What a job ends with: a result, or what it failed with. For one event loop, as an asyncio.Future is."""

    __slots__ = ("_callbacks", "_done", "_failure", "_result")

    def __init__(self) -> None:
        self._done = False
        self._result: T | None = None
        self._failure: Exception | None = None
        self._callbacks: list[Callable[[], object]] = []

    def done(self) -> bool:
        """Return whether the job is done."""
        return self._done

    def result(self) -> T:
        """Return the result, or raise what the job failed with. The job must be done."""
        self._refuse_unless(done=True)
        if self._failure is not None:
            raise self._failure
        return self._result  # type: ignore[return-value]  # it is there

    def exception(self) -> Exception | None:
        """Return what the job failed with, or None if it has a result. The job must be done."""
        self._refuse_unless(done=True)
        return self._failure

    def set_result(self, result: T) -> None:
        """Complete the job with a result. What a callback raises is raised here once all have been called."""
        self._refuse_unless(done=False)
        self._result = result
        self._finish()

    def set_exception(self, failure: Exception) -> None:
        """Complete the job with what it failed with; raises as set_result does."""
        self._refuse_unless(done=False)
        self._failure = failure
        self._finish()

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """Call a function when the job is done, at once if it is already."""
        if self._done:
            callback()
        else:
            self._callbacks.append(callback)

    async def wait(self) -> None:
        """Wait until the job is done. Cancelling a wait changes nothing for others."""
        if self._done:
            return
        done = asyncio.Event()
        self._callbacks.append(done.set)
        await done.wait()

    def _finish(self) -> None:
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        _call_all(iter(callbacks))

    def _refuse_unless(self, *, done: bool) -> None:
        if self._done != done:
            raise asyncio.InvalidStateError("the result is there already" if self._done else "the result isn't there")


def _call_all(callbacks: Iterator[Callable[[], object]]) -> None:
    try:
        for callback in callbacks:
            callback()
    except Exception:
        _call_all(callbacks)  # the others too: they may wait for it
        raise
