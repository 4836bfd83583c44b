"""What will become of a job: a future for very many of them.

An asyncio.Future schedules a callback and copies a context for each thing that happens to it, which for small batches
costs more than the batches. A ticket tells those who have asked at once, and makes a future only for who waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Completion(Generic[T]):
    """The result of a job, or why it has none, once it is there. For one event loop, as an asyncio.Future is."""

    __slots__ = ("_done", "_failure", "_result", "_tell")

    def __init__(self) -> None:
        self._done = False
        self._result: T | None = None
        self._failure: Exception | None = None
        self._tell: list[Callable[[], object]] = []

    def done(self) -> bool:
        """Say whether it is there."""
        return self._done

    def result(self) -> T:
        """Return the result, or raise what failed. It must be there."""
        self._refuse_unless(done=True)
        if self._failure is not None:
            raise self._failure
        return self._result  # type: ignore[return-value]  # it is there

    def exception(self) -> Exception | None:
        """Return what failed, or None for a result. It must be there."""
        self._refuse_unless(done=True)
        return self._failure

    def set_result(self, result: T) -> None:
        """Put the result there; raise what fails in who is told, once all have been told."""
        self._refuse_unless(done=False)
        self._result = result
        self._finish()

    def set_exception(self, failure: Exception) -> None:
        """Say what failed; raises as set_result does."""
        self._refuse_unless(done=False)
        self._failure = failure
        self._finish()

    def add_done_callback(self, tell: Callable[[], object]) -> None:
        """Call a function once it is there, at once if it is already."""
        if self._done:
            tell()
        else:
            self._tell.append(tell)

    async def wait(self) -> None:
        """Wait until it is there. To give up waiting changes nothing for others."""
        if self._done:
            return
        there = asyncio.Event()
        self._tell.append(there.set)
        await there.wait()

    def _finish(self) -> None:
        self._done = True
        tell, self._tell = self._tell, []
        _tell_all(iter(tell))

    def _refuse_unless(self, *, done: bool) -> None:
        if self._done != done:
            raise asyncio.InvalidStateError("the result is there already" if self._done else "the result isn't there")


def _tell_all(tell: Iterator[Callable[[], object]]) -> None:
    try:
        for each in tell:
            each()
    except Exception:
        _tell_all(tell)  # the others too: they may wait for it
        raise
