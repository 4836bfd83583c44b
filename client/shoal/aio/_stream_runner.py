"""Runs streams with asyncio tasks. The decisions are in `_pipeline` and `_watch`, which do no I/O."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Generic

import grpc
from google.protobuf.message import Message

from shoal._pipeline import Delivery, Pipeline, Result
from shoal._retries import ResumableStream
from shoal._watch import Item as WatchedItem
from shoal._watch import Watch
from shoal.aio._connection import AsyncConnection

Source = Iterable[Any] | AsyncIterable[Any]


async def run_pipeline(
    connection: AsyncConnection, pipeline: Pipeline[Result], source: Source
) -> AsyncGenerator[Result, None]:
    """Send the batches of the source, and yield the results in order."""
    exchange = _Exchange(pipeline)
    async with _beside(exchange.read(source)):
        while not pipeline.done:
            pipeline.connect()
            async with _stream(connection, pipeline.method) as call, _beside(exchange.send(call)):
                while (response := await _next(connection, call, pipeline)) is not None:
                    for deliver in exchange.receive(response):
                        yield deliver()
        pipeline.finish()


async def run_watch(connection: AsyncConnection, watch: Watch[WatchedItem]) -> AsyncGenerator[WatchedItem, None]:
    """Yield what is watched until the session is gone."""
    watch.open(await connection.call(watch.opening()))
    while not watch.ended:
        async with _stream(connection, "WatchCentroids", watch.connect()) as call:
            while (response := await _next(connection, call, watch)) is not None:
                for item in watch.receive(response):
                    yield item


@asynccontextmanager
async def _stream(connection: AsyncConnection, method: str, *request: Message) -> AsyncIterator[Any]:
    call = connection.open(method, *request)
    try:
        yield call
    finally:
        call.cancel()


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a task beside the body, and end it with the body."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _next(connection: AsyncConnection, call: Any, stream: ResumableStream) -> Any:
    """Return the next response; None when the connection has ended, after the wait before the next one."""
    failure = None
    try:
        response = await call.read()
    except (grpc.RpcError, asyncio.CancelledError) as failed:
        failure = connection.error(failed, stream.session)
        response = grpc.aio.EOF
    if response is not grpc.aio.EOF:
        return response
    await asyncio.sleep(stream.reconnect_delay(failure, time.monotonic()))
    return None


class _Exchange(Generic[Result]):
    """A pipeline between three tasks: the caller's, the one that reads the source, and the one that sends."""

    def __init__(self, pipeline: Pipeline[Result]) -> None:
        self._pipeline = pipeline
        self._changed = asyncio.Event()

    async def read(self, source: Source) -> None:
        """Take batches from the source as long as there is room."""
        error: BaseException | None = None
        try:
            await self._take_all(source)
        except BaseException as raised:  # noqa: BLE001  (the caller gets it)
            error = raised
        self._pipeline.end(error)
        self._changed.set()

    async def send(self, call: Any) -> None:
        """Send requests on one connection."""
        try:
            while (request := await self._next_request()) is not None:
                await call.write(request)
            await call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            return  # the connection is lost; the answers' end says why

    def receive(self, response: Any) -> list[Delivery[Result]]:
        """See Pipeline."""
        deliveries = self._pipeline.receive(response)
        self._changed.set()
        return deliveries

    async def _next_request(self) -> bytes | None:
        while (request := self._pipeline.next_request()) is None and not self._pipeline.all_sent:
            await self._wait_for_change()
        return request

    async def _take_all(self, source: Source) -> None:
        await self._wait_for_room()
        async for thing in _each(source):
            self._pipeline.take(self._pipeline.encode_item(thing))
            self._changed.set()
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        while not self._pipeline.has_room:
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


async def _each(source: Source) -> AsyncIterator[Any]:
    if isinstance(source, AsyncIterable):
        async for thing in source:
            yield thing
        return
    for thing in source:
        yield thing
        await asyncio.sleep(0)  # the other tasks' turn: a plain iterable never waits
