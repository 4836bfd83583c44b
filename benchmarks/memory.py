"""The server's memory compared with its limit, while clients need many times as much.

Each call is served or refused, and afterwards the server serves as before.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import numpy as np

import shoal
from benchmarks.pairing import Plan
from benchmarks.processes import peak_mib, settled_server
from benchmarks.results import Limit, Row
from shoal import wire
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, sessions_pb2, sessions_pb2_grpc

_MIB = 1024 * 1024
_LIMIT = 2048 * _MIB
_MEMORY = Limit(f"{_LIMIT // _MIB:,} MiB", float(_LIMIT // _MIB), "MiB")
_PUSHES, _PUSH_ROWS, _PUSH_COLUMNS, _CONNECTIONS = 200, 23 * 1024, 256, 20  # 23 MiB each, in float32
_SESSIONS, _K, _D = 10_000, 256, 64
_DEFAULT_K, _DEFAULT_D, _DEFAULT_ROWS, _DEFAULT_BATCHES = 8, 2, 2500, 3  # as many rows as fill a summary
_TIMEOUT = 120.0
_PLAIN = sessions_pb2.SessionConfig(n_clusters=64, update_rule=sessions_pb2.UPDATE_RULE_INCREMENTAL)


def rows(plan: Plan) -> Iterator[Row]:
    """Push and create more than the memory allows."""
    with settled_server(memory_limit=_LIMIT) as server:
        outcomes = asyncio.run(_push_all(server.target, plan.choose(_PUSHES, _PUSHES // 4)))
        yield _row(f"{sum(outcomes.values())} parallel pushes of 23 MiB", server, outcomes)
    with settled_server(memory_limit=_LIMIT) as server:
        outcomes = asyncio.run(_create_all(server.target, plan.choose(_SESSIONS, _SESSIONS // 10)))
        yield _row(f"{sum(outcomes.values()):,} sessions of k={_K} d={_D}", server, outcomes)
    with settled_server(memory_limit=_LIMIT) as server:
        outcomes = asyncio.run(_create_defaults(server.target, plan.choose(_SESSIONS, _SESSIONS // 10)))
        yield _row(f"{sum(outcomes.values()):,} default sessions of k={_DEFAULT_K} d={_DEFAULT_D}", server, outcomes)


def _row(case: str, server: LocalServer, outcomes: Counter[str]) -> Row:
    _check_serves(server)
    return _MEMORY.row(case, [peak_mib(server.pid)], facts={**outcomes})


def _check_serves(server: LocalServer) -> None:
    """Raise unless the server works as before after the sessions are deleted."""
    with shoal.connect(server.target) as client:
        for made in list(client.list_sessions()):
            client.session(made.name).delete()
        session = client.create_session("after", n_clusters=2)
        session.push(np.eye(8))
        session.delete()


async def _push_all(target: str, count: int) -> Counter[str]:
    """Push at once over several connections, and return the numbers served and refused, by reason."""
    points = np.random.default_rng(0).normal(size=(_PUSH_ROWS, _PUSH_COLUMNS)).astype(np.float32)
    request = clustering_pb2.PushRequest(session="pushed")
    request.batch.points.CopyFrom(wire.tensor_message(points))
    contents = request.SerializeToString()
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(_channel(target, number)) for number in range(_CONNECTIONS)]
        await sessions_pb2_grpc.SessionServiceStub(channels[0]).CreateSession(
            sessions_pb2.CreateSessionRequest(name="pushed", config=_PLAIN)
        )
        pushes: list[Any] = [channel.unary_unary("/shoal.v1.ClusteringService/Push") for channel in channels]
        calls = [pushes[number % _CONNECTIONS](contents, timeout=_TIMEOUT) for number in range(count)]
        return Counter(await asyncio.gather(*map(_outcome, calls)))


async def _create_all(target: str, count: int) -> Counter[str]:
    """Create sessions with centroids and push one batch into each."""
    centroids = np.random.default_rng(0).normal(size=(_K, _D))
    outcomes: Counter[str] = Counter()
    async with shoal.aio.connect(target) as client:
        for number in range(count):
            try:
                session = await client.create_session(
                    f"s{number}", n_clusters=_K, init=centroids, update_rule="incremental"
                )
                await session.push(centroids)
            except shoal.ShoalError as error:
                outcomes[error.reason] += 1
            else:
                outcomes["served"] += 1
    return outcomes


async def _create_defaults(target: str, count: int) -> Counter[str]:
    """Create sessions that say nothing but n_clusters, and push batches into each until its summary is full."""
    random = np.random.default_rng(0)
    batches = [random.normal(size=(_DEFAULT_ROWS, _DEFAULT_D)).astype(np.float32) for _ in range(_DEFAULT_BATCHES)]
    outcomes: Counter[str] = Counter()
    async with shoal.aio.connect(target) as client:
        for number in range(count):
            try:
                session = await client.create_session(f"s{number}", n_clusters=_DEFAULT_K)
                for batch in batches:
                    await session.push(batch)
            except shoal.ShoalError as error:
                outcomes[error.reason] += 1
            else:
                outcomes["served"] += 1
    return outcomes


async def _outcome(call: Awaitable[bytes]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "served"


def _channel(target: str, number: int) -> grpc.aio.Channel:
    # Channels with the same options share a connection.
    return grpc.aio.insecure_channel(target, options=[("grpc.max_send_message_length", -1), ("shoal.number", number)])
