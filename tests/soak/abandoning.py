"""Streams that are opened and dropped, in every way there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import grpc
import numpy as np

from shoal.v1 import clustering_pb2, clustering_pb2_grpc, sessions_pb2, sessions_pb2_grpc
from shoal_server.sessions.local import MAX_UNANSWERED
from tests.client.proxy import Proxy
from tests.rpc.wire import batch, config, tensor

SESSION = "abandoned"
POINTS = np.random.default_rng(5).normal(size=(64, 16)).astype(np.float32)
CENTROIDS = np.random.default_rng(6).normal(size=(64, 16))
BATCH = batch(POINTS, return_labels=True)
FIRST_BATCH = batch(POINTS, sequence=1)
ASSIGN = clustering_pb2.AssignRequest(session=SESSION, points=tensor(POINTS), return_distances=True)
SOON = 0.02  # seconds

Call = Any  # a stream of any kind: their types have nothing in common
Stub: TypeAlias = "clustering_pb2_grpc.ClusteringServiceAsyncStub"
Open = Callable[[Stub, float | None], Awaitable[Call]]


async def abandon_streams(target: str, rounds: int) -> int:
    """Open streams of every kind, drop them in every way, `rounds` times; return how many they were."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Stub = clustering_pb2_grpc.ClusteringServiceStub(channel)
        for _ in range(rounds):
            await asyncio.gather(
                *(_drop(stub, opening, way) for opening in KINDS for way in WAYS),
                *(break_off(target) for break_off in (_break_connection, _break_stalled_connection, _close_channel)),
            )
    return rounds * STREAMS_A_ROUND


async def abandon_floods(target: str, streams: int) -> None:
    """Drop streams whose reading waits for room, in the middle of a message."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Stub = clustering_pb2_grpc.ClusteringServiceStub(channel)
        await asyncio.gather(*(_drop(stub, _open_flood, _cancel_unread) for _ in range(streams)))


async def create_session(target: str) -> None:
    """Make the session that the streams are of."""
    request = sessions_pb2.CreateSessionRequest(name=SESSION, config=config(len(CENTROIDS), init=CENTROIDS))
    async with grpc.aio.insecure_channel(target) as channel:
        stub: sessions_pb2_grpc.SessionServiceAsyncStub = sessions_pb2_grpc.SessionServiceStub(channel)
        await stub.CreateSession(request)


async def apply_batches(target: str) -> None:
    """Wait until the session has applied what it has taken, which it does whether or not anybody waits for it."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Stub = clustering_pb2_grpc.ClusteringServiceStub(channel)
        await stub.Push(clustering_pb2.PushRequest(session=SESSION, batch=BATCH))


async def describe_session(target: str) -> sessions_pb2.Session:
    """Ask how the session stands."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: sessions_pb2_grpc.SessionServiceAsyncStub = sessions_pb2_grpc.SessionServiceStub(channel)
        return await stub.GetSession(sessions_pb2.GetSessionRequest(name=SESSION))


async def _open_ingest(stub: Stub, deadline: float | None) -> Call:
    call = stub.Ingest(timeout=deadline)
    await call.write(clustering_pb2.IngestRequest(open=clustering_pb2.IngestOpen(session=SESSION), batches=[BATCH]))
    await call.write(clustering_pb2.IngestRequest(batches=[BATCH, BATCH]))
    return call


async def _open_flood(stub: Stub, deadline: float | None) -> Call:
    """Send more batches in a message than the server keeps answers for, and more answers than gRPC sends unread."""
    call = stub.Ingest(timeout=deadline)
    opening = clustering_pb2.IngestOpen(session=SESSION)
    await call.write(clustering_pb2.IngestRequest(open=opening, batches=[BATCH] * 3 * MAX_UNANSWERED))
    return call


async def _open_named_ingest(stub: Stub, deadline: float | None) -> Call:
    call = stub.Ingest(timeout=deadline)
    producer = clustering_pb2.Producer(id="abandoner")
    opening = clustering_pb2.IngestOpen(session=SESSION, producer=producer)
    await call.write(clustering_pb2.IngestRequest(open=opening, batches=[FIRST_BATCH]))
    return call


async def _open_assign(stub: Stub, deadline: float | None) -> Call:
    call = stub.AssignStream(timeout=deadline)
    await call.write(ASSIGN)
    await call.write(ASSIGN)
    return call


async def _open_watch(stub: Stub, deadline: float | None) -> Call:
    return stub.WatchCentroids(clustering_pb2.WatchCentroidsRequest(session=SESSION), timeout=deadline)


async def _open_thin_watch(stub: Stub, deadline: float | None) -> Call:
    request = clustering_pb2.WatchCentroidsRequest(session=SESSION, delta=True)
    request.min_interval.FromMilliseconds(5)
    request.progress_interval.FromSeconds(1)
    return stub.WatchCentroids(request, timeout=deadline)


async def _cancel_at_once(stub: Stub, opening: Open) -> None:
    (await opening(stub, None)).cancel()


async def _cancel_unread(stub: Stub, opening: Open) -> None:
    call = await opening(stub, None)
    await call.wait_for_connection()
    call.cancel()


async def _cancel_after_an_answer(stub: Stub, opening: Open) -> None:
    call = await opening(stub, None)
    await call.read()
    call.cancel()


async def _cancel_half_closed(stub: Stub, opening: Open) -> None:
    call = await opening(stub, None)
    if hasattr(call, "done_writing"):
        await call.done_writing()
    call.cancel()


async def _read_until_deadline(stub: Stub, opening: Open) -> None:
    async for _ in await opening(stub, SOON):
        pass


async def _hang_until_deadline(stub: Stub, opening: Open) -> None:
    await (await opening(stub, SOON)).code()


async def _drop(stub: Stub, opening: Open, way: Callable[[Stub, Open], Awaitable[None]]) -> None:
    # What the client sees depends on how far it had come, and is not what matters here.
    with suppress(grpc.RpcError, asyncio.InvalidStateError):
        await way(stub, opening)


async def _break_connection(target: str) -> None:
    with Proxy(target) as proxy:
        async with grpc.aio.insecure_channel(proxy.target) as channel:
            calls = await _all_running(channel)
            proxy.cut()
            await asyncio.gather(*(call.code() for call in calls))


async def _break_stalled_connection(target: str) -> None:
    with Proxy(target) as proxy:
        async with grpc.aio.insecure_channel(proxy.target) as channel:
            calls = await _all_running(channel)
            proxy.stall()
            proxy.cut()
            await asyncio.gather(*(call.code() for call in calls))


async def _close_channel(target: str) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        await _all_running(channel)


async def _all_running(channel: grpc.aio.Channel) -> list[Call]:
    """Open a stream of each kind and wait until each has answered."""
    stub: Stub = clustering_pb2_grpc.ClusteringServiceStub(channel)
    calls = [await opening(stub, None) for opening in KINDS]
    await asyncio.gather(*(call.read() for call in calls))
    return calls


KINDS: tuple[Open, ...] = (_open_ingest, _open_named_ingest, _open_assign, _open_watch, _open_thin_watch)
WAYS = (
    _cancel_at_once,
    _cancel_unread,
    _cancel_after_an_answer,
    _cancel_half_closed,
    _read_until_deadline,
    _hang_until_deadline,
)
STREAMS_A_ROUND = len(KINDS) * (len(WAYS) + 3)
