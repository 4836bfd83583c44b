"""Drives the sync and the asyncio client alike, so that one suite holds both to the same behaviour."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from inspect import isasyncgen, iscoroutine
from typing import Any, Protocol, Self, cast

import shoal
import shoal.aio

PATIENCE = 60.0  # seconds after which a test is stuck


class Driver(Protocol):
    def connect(self, target: str, *, timeout: float = 30.0) -> shoal.Client:
        """Return a client that is used like the sync one."""

    def source(self, batches: Iterable[Any]) -> Any:
        """Return batches as this client's streams take them when they may have to be waited for."""

    def wait_for_loose_ends(self) -> None:
        """Fail if what the client started doesn't end."""

    def close(self) -> None:
        """End the driver."""


class SyncDriver:
    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def connect(self, target: str, *, timeout: float = 30.0) -> shoal.Client:
        return shoal.connect(target, timeout=timeout)

    def source(self, batches: Iterable[Any]) -> Any:
        return batches

    def wait_for_loose_ends(self) -> None:
        gc.collect()
        for thread in set(threading.enumerate()) - self._before:
            thread.join(PATIENCE)
            assert not thread.is_alive(), thread.name

    def close(self) -> None:
        pass


class AioDriver:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop of the aio driver")
        self._thread.start()
        self._before = self._tasks()

    def connect(self, target: str, *, timeout: float = 30.0) -> shoal.Client:
        return cast("shoal.Client", _Blocking(shoal.aio.connect(target, timeout=timeout), self._loop))

    async def source(self, batches: Iterable[Any]) -> AsyncIterator[Any]:
        end = object()
        iterator = iter(batches)
        while (batch := await asyncio.to_thread(next, iterator, end)) is not end:
            yield batch

    def wait_for_loose_ends(self) -> None:
        gc.collect()
        _run(asyncio.sleep(0), self._loop)  # lets the loop begin to close what was dropped
        for task in self._tasks() - self._before:
            _run(_end_of(task), self._loop)

    def close(self) -> None:
        _run(self._loop.shutdown_asyncgens(), self._loop)
        _run(self._loop.shutdown_default_executor(), self._loop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _tasks(self) -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks(self._loop)


class _Blocking:
    """A client or session of `shoal.aio` whose methods wait."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop

    def __enter__(self) -> Self:
        _run(self._inner.__aenter__(), self._loop)
        return self

    def __exit__(self, *error: object) -> None:
        _run(self._inner.__aexit__(*error), self._loop)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        return self._waiting(attribute) if callable(attribute) else attribute

    def _waiting(self, method: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            answer = method(*arguments, **named)
            if iscoroutine(answer):
                answer = _run(answer, self._loop)
            if isasyncgen(answer):
                return _BlockingIterator(answer, self._loop)
            if isinstance(answer, shoal.aio.Comparison):
                return _BlockingComparison(answer, self._loop)
            return _Blocking(answer, self._loop) if isinstance(answer, shoal.aio.Session) else answer

        return call


class _BlockingComparison(_Blocking):
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return _run(self._inner.__anext__(), self._loop)
        except StopAsyncIteration:
            raise StopIteration from None


class _BlockingIterator(Iterator[Any]):
    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop

    def __next__(self) -> Any:
        try:
            return _run(self._next(), self._loop)
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        _run(self._inner.aclose(), self._loop)

    async def _next(self) -> Any:
        return await anext(self._inner)  # called on the loop, which then closes the generator when it is dropped


async def _end_of(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task], timeout=PATIENCE)
    assert task.done(), task


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _run(awaitable: Any, loop: asyncio.AbstractEventLoop) -> Any:
    coroutine: Coroutine[Any, Any, Any] = _awaited(awaitable)
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE)
