"""What others at the server cost: ingest with watchers, a stalled one among them, and into many sessions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext

import grpc

import shoal
import shoal.aio
from benchmarks.datasets import Float32Array, random_sample
from benchmarks.ingest import exhaust
from benchmarks.pairing import Plan, ratios, spread, take_turns
from benchmarks.processes import Process, Taken, cpu_clock_of, measure
from benchmarks.results import Row, Target
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, clustering_pb2_grpc

_D, _K, _ROWS = 16, 64, 1024
NOBODY = "nobody watching"
_COSTS: dict[str, Callable[[Taken], float]] = {
    "s": lambda taken: taken.seconds,
    "CPU s/GB": lambda taken: taken.cpu_per_gb,
}


def rows(plan: Plan) -> Iterator[Row]:
    """Compare ingest into a session that nobody watches with the rest."""
    sample = random_sample(_D, _K, 64 * _ROWS)
    batches = [*sample.points.reshape(-1, _ROWS, _D)] * plan.choose(48, 16)
    with LocalServer() as server, shoal.connect(server.target) as client:
        for name in ("watched", "stalled"):
            client.create_session(name, _K, init=sample.centroids, durability="memory")
        yield from _with_watchers(client, server, batches, plan)
        yield from _with_sessions(client, server, sample.centroids, batches, plan)


def _with_watchers(client: shoal.Client, server: LocalServer, batches: list[Float32Array], plan: Plan) -> Iterator[Row]:
    session = client.session("watched")

    def contestant(crowd: Callable[[], AbstractContextManager[object]]) -> Callable[[], Taken]:
        def run() -> Taken:
            with crowd():
                return measure(lambda: exhaust(session, batches), batches, cpu_clock_of(server.pid))

        return run

    def watched(count: int) -> AbstractContextManager[object]:
        return Process("crowd", "watch", server.target, session.name, str(count))

    contestants = {
        NOBODY: contestant(nullcontext),
        "one that never reads": contestant(lambda: closing(_StalledWatch(server.target, session.name))),
        "1 watcher": contestant(lambda: watched(1)),
        "20 watchers": contestant(lambda: watched(20)),
    }
    plan = plan.with_rounds(plan.choose(9, 3))
    taken = take_turns(contestants, plan, "crowded: watchers")
    yield from _rows(taken, NOBODY, "{}")


def _with_sessions(
    client: shoal.Client, server: LocalServer, centroids: Float32Array, batches: list[Float32Array], plan: Plan
) -> Iterator[Row]:
    names = [f"crowd-{number}" for number in range(64)]
    for name in names:
        client.create_session(name, len(centroids), init=centroids, durability="memory")

    def contestant(count: int) -> Callable[[], Taken]:
        parts = [(name, batches[number::count]) for number, name in enumerate(names[:count])]
        return lambda: measure(lambda: asyncio.run(_pour(server.target, parts)), batches, cpu_clock_of(server.pid))

    contestants = {_sessions(count): contestant(count) for count in plan.choose((1, 8, 64), (1, 64))}
    yield from _rows(take_turns(contestants, plan, "crowded: sessions at once"), _sessions(1), "into {}")


def _rows(taken: dict[str, list[Taken]], base: str, case: str) -> Iterator[Row]:
    alone = taken.pop(base)
    for name, crowded in taken.items():
        stalled = Target(1.1, "at most") if name == "one that never reads" else None
        for unit, of in _COSTS.items():
            ours, others = [of(each) for each in crowded], [of(each) for each in alone]
            yield Row(
                case=f"ingest, {case.format(name)}",
                peer=base,
                unit=unit,
                shoal=spread(ours),
                other=spread(others),
                ratio=ratios(ours, others),
                reading="times the time" if unit == "s" else "times the server's CPU",
                target=stalled,
            )


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count} sessions at once"


async def _pour(target: str, parts: list[tuple[str, list[Float32Array]]]) -> None:
    async with shoal.aio.connect(target) as client, asyncio.TaskGroup() as tasks:
        for name, batches in parts:
            tasks.create_task(_exhaust(client.session(name), batches))


async def _exhaust(session: shoal.aio.Session, batches: list[Float32Array]) -> None:
    async for _ in session.ingest(batches):
        pass


class _StalledWatch:
    """A watch that is opened and never read."""

    def __init__(self, target: str, name: str) -> None:
        self._channel = grpc.insecure_channel(target)
        request = clustering_pb2.WatchCentroidsRequest(session=name)
        self._call = clustering_pb2_grpc.ClusteringServiceStub(self._channel).WatchCentroids(request)

    def close(self) -> None:
        self._call.cancel()
        self._channel.close()
