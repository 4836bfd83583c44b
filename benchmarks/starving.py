"""Clients that load a server as much as they can, in their own process; see benchmarks.starvation.

    python -m benchmarks.starving LOAD HOST:PORT SIZE

Prints a line when they are at work. Ends when its standard input does, and prints what they have done, as JSON; a load
that comes to an end by itself prints it then.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from numpy.typing import NDArray

import shoal
import shoal.aio
from benchmarks.one_pass.streams import blobs
from shoal import wire
from shoal._channels import CHANNEL_OPTIONS
from shoal.v1 import clustering_pb2, sessions_pb2, sessions_pb2_grpc

_SERVICE = clustering_pb2.DESCRIPTOR.services_by_name["ClusteringService"].full_name
_CHANNELS = 10  # that watchers share
_WIDE = (512, 256)
_NARROW = (2, 2)
_OFTEN = (0.01, 0.1, 1.0)  # seconds: the first that the server accepts
_AT_ONCE = 64  # sessions that are made at the same time
_LISTED = (256, 64)
_BATCHES_A_MESSAGE = 256
_REGIME_BATCHES = 16  # before blobs jump

Points = NDArray[np.float32]


@dataclass
class Work:
    """A load from clients, and a count of their work."""

    target: str
    size: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    of: int = 0
    done: int = 0
    what: str = ""
    begin: float = 0.0

    def start(self, of: int, what: str) -> None:
        """Begin to count units of work."""
        self.of, self.what, self.begin = of, what, time.perf_counter()
        self.ready.set()

    def said(self) -> str:
        """Return the count."""
        seconds = time.perf_counter() - self.begin
        facts = {"done beside it, a second": self.done / seconds}
        return json.dumps({"of": self.of, "done": self.done, "what": self.what, "seconds": seconds, "facts": facts})


async def nothing(work: Work) -> None:
    """Do nothing until cancelled."""
    work.start(0, "calls")
    await asyncio.Event().wait()


async def ingest(work: Work) -> None:
    """Ingest into many sessions at once."""
    batch = _points(4096, 128)

    async def endlessly() -> AsyncIterator[Points]:
        while True:
            yield batch

    async def pour(session: shoal.aio.Session) -> None:
        async for _ in session.ingest(endlessly()):
            work.done += 1

    async with shoal.aio.connect(work.target) as client, asyncio.TaskGroup() as tasks:
        for number in range(work.size):
            tasks.create_task(pour(await _create(client, f"poured-{number}", 1024, 128)))
        work.start(0, "batches")


async def refine(work: Work) -> None:
    """Ingest blobs that keep jumping to other places into many sessions that forget: each jump is fitted anew."""
    d, k = 16, 64
    regimes = [blobs(seed, k, d, _REGIME_BATCHES * 1024, 6.0).reshape(-1, 1024, d) for seed in range(4)]
    half_life = shoal.HalfLife(_REGIME_BATCHES / 2)

    async def endlessly() -> AsyncIterator[Points]:
        while True:
            for batch in chain.from_iterable(regimes):
                yield batch

    async def pour(session: shoal.aio.Session) -> None:
        async for _ in session.ingest(endlessly()):
            work.done += 1

    async with shoal.aio.connect(work.target) as client, asyncio.TaskGroup() as tasks:
        for number in range(work.size):
            name = f"refined-{number}"
            session = await client.create_session(
                name, k, half_life=half_life, random_state=number, update_rule="refined"
            )
            tasks.create_task(pour(session))
        work.start(0, "batches")


def assigning(k: int, d: int) -> Callable[[Work], Coroutine[Any, Any, None]]:
    """Return a load of several clients that assign many rows in a loop."""

    async def assign(work: Work) -> None:
        batch = _points(60_000, d)

        async def repeat() -> None:
            async with shoal.aio.connect(work.target, timeout=120) as client:
                while True:
                    await client.session("assigned").assign(batch)
                    work.done += 1

        async with shoal.aio.connect(work.target) as client, asyncio.TaskGroup() as tasks:
            await _create(client, "assigned", k, d)
            for _ in range(work.size):
                tasks.create_task(repeat())
            work.start(0, "assignments")

    return assign


def watching(shape: tuple[int, int], *, reading: bool) -> Callable[[Work], Coroutine[Any, Any, None]]:
    """Return a load of many watchers of a session that is constantly updated."""

    async def watch(work: Work) -> None:
        async with shoal.aio.connect(work.target) as client, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            session = await _create(client, "watched", *shape)
            request = clustering_pb2.WatchCentroidsRequest(session="watched")
            calls = [call async for call in _watches(work, request, stack)]
            if reading:
                for call in calls:
                    tasks.create_task(_read(call, work))
            else:
                await asyncio.gather(*(call.initial_metadata() for call in calls))
            work.start(0, "updates read")
            points = _points(64, shape[1])
            while True:
                await session.push(points)

    return watch


async def progress(work: Work) -> None:
    """Watch a quiet session with progress messages as often as the server allows."""
    async with shoal.aio.connect(work.target) as client, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        await _create(client, "quiet", *_NARROW)
        for seconds in _OFTEN:
            interval = Duration()
            interval.FromMilliseconds(round(seconds * 1e3))
            request = clustering_pb2.WatchCentroidsRequest(session="quiet", progress_interval=interval)
            calls = [call async for call in _watches(work, request, stack)]
            with suppress(grpc.aio.AioRpcError):
                await calls[0].read()
                break
        for call in calls:
            tasks.create_task(_read(call, work))
        work.start(0, "messages read")


async def listing(work: Work) -> None:
    """List sessions with large given centroids, in a loop."""
    async with shoal.aio.connect(work.target) as client, _channel(work.target) as channel:
        for number in range(work.size):
            await _create(client, f"listed-{number}", *_LISTED)
        work.start(0, "pages")
        stub: Any = sessions_pb2_grpc.SessionServiceStub(channel)
        while True:
            await stub.ListSessions(sessions_pb2.ListSessionsRequest(page_size=work.size))
            work.done += 1


async def create(work: Work) -> None:
    """Create sessions."""
    async with shoal.aio.connect(work.target) as client:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int) -> None:
            async with limit:
                await client.create_session(f"made-{number}", 8, durability="memory", update_rule="incremental")
                work.done += 1

        work.start(work.size, "sessions created")
        await asyncio.gather(*(one(number) for number in range(work.size)))


async def warm(work: Work) -> None:
    """Ingest rows, one for each batch, into a session that never ends its warm-up."""
    point = wire.tensor_message(np.zeros((1, 2), np.float32))
    async with shoal.aio.connect(work.target) as client, AsyncExitStack() as stack:
        await client.create_session(
            "warming", 64, init_size=10 * work.size, durability="memory", update_rule="incremental"
        )
        channel = await stack.enter_async_context(_channel(work.target))
        call = channel.stream_stream(
            f"/{_SERVICE}/Ingest",
            clustering_pb2.IngestRequest.SerializeToString,
            clustering_pb2.IngestResponse.FromString,
        )()
        work.start(work.size, "rows warmed one by one")

        async def send() -> None:
            await call.write(clustering_pb2.IngestRequest(open=clustering_pb2.IngestOpen(session="warming")))
            for begin in range(1, work.size + 1, _BATCHES_A_MESSAGE):
                sequences = range(begin, min(begin + _BATCHES_A_MESSAGE, work.size + 1))
                batches = [clustering_pb2.Batch(points=point, sequence=sequence) for sequence in sequences]
                await call.write(clustering_pb2.IngestRequest(batches=batches))
            await call.done_writing()

        sending = asyncio.create_task(send())
        async for response in call:
            work.done += len(response.results)
        await sending


LOADS: dict[str, Callable[[Work], Coroutine[Any, Any, None]]] = {
    "nothing": nothing,
    "ingest": ingest,
    "refine": refine,
    "assign-small": assigning(64, 16),
    "assign-large": assigning(1024, 128),
    "watch": watching(_WIDE, reading=True),
    "stall": watching(_WIDE, reading=False),
    "watch-small": watching(_NARROW, reading=True),
    "progress": progress,
    "list": listing,
    "create": create,
    "warm": warm,
}


async def main(load: str, target: str, size: int) -> None:
    """Work until standard input ends, or the work does."""
    work = Work(target, size)
    working = asyncio.create_task(LOADS[load](work))
    await _first(working, work.ready.wait())
    print("at work", flush=True)
    await _first(working, asyncio.to_thread(sys.stdin.read))
    print(work.said(), flush=True)
    if working.done():
        await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # a busy server would be waited for, stream by stream


async def _first(working: asyncio.Task[None], other: Awaitable[Any]) -> None:
    """Wait for the work or another event; raise the exception of the work."""
    waiting = asyncio.ensure_future(other)
    await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        await working


async def _create(client: shoal.aio.Client, name: str, k: int, d: int) -> shoal.aio.Session:
    centroids = np.random.default_rng([k, d]).standard_normal((k, d))
    return await client.create_session(name, k, init=centroids, durability="memory", update_rule="incremental")


async def _watches(
    work: Work, request: clustering_pb2.WatchCentroidsRequest, stack: AsyncExitStack
) -> AsyncIterator[Any]:
    """Yield the calls of some watchers, on a few channels, without decoding their responses."""
    channels: list[Any] = [await stack.enter_async_context(_channel(work.target)) for _ in range(_CHANNELS)]
    contents = request.SerializeToString()
    for number in range(work.size):
        yield channels[number % _CHANNELS].unary_stream(f"/{_SERVICE}/WatchCentroids")(contents)


async def _read(call: Any, work: Work) -> None:
    while await call.read() is not grpc.aio.EOF:
        work.done += 1


def _channel(target: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)


def _points(n: int, d: int) -> Points:
    return np.random.default_rng(1).standard_normal((n, d), np.float32)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
