"""The cost of other clients: ingest with watchers, one of them stalled, and into many sessions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import grpc

import shoal
import shoal.aio
from benchmarks.datasets import Float32Array, random_sample
from benchmarks.ingest import exhaust
from benchmarks.pairing import Plan, ratios, spread, take_turns
from benchmarks.processes import Process, Taken, cpu_clock_of, measure, settled_server
from benchmarks.results import Row
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, clustering_pb2_grpc

_D, _K, _ROWS = 16, 64, 1024
NOBODY, ONE, TWENTY = "nobody watching", "1 watcher", "20 watchers"
STALLED = "19 watchers and one that never reads"
_COSTS: dict[str, Callable[[Taken], float]] = {
    "s": lambda taken: taken.seconds,
    "CPU s/GB": lambda taken: taken.cpu_per_gb,
}


def rows(plan: Plan) -> Iterator[Row]:
    """Compare ingest into one session without watchers with the other cases."""
    sample = random_sample(_D, _K, 64 * _ROWS)
    batches = [*sample.points.reshape(-1, _ROWS, _D)] * plan.choose(48, 16)
    with settled_server() as server, shoal.connect(server.target) as client:
        client.create_session("watched", _K, init=sample.centroids, durability="memory", update_rule="incremental")
        yield from _with_watchers(client, server, batches, plan)
        yield from _with_sessions(client, server, sample.centroids, batches, plan)


def _with_watchers(client: shoal.Client, server: LocalServer, batches: list[Float32Array], plan: Plan) -> Iterator[Row]:
    session = client.session("watched")

    def contestant(readers: int, *, stalled: bool = False) -> Callable[[], Taken]:
        def run() -> Taken:
            with ExitStack() as crowd:
                if readers:
                    crowd.enter_context(Process("crowd", "watch", server.target, session.name, str(readers)))
                if stalled:
                    crowd.enter_context(closing(_StalledWatch(server.target, session.name)))
                return measure(lambda: exhaust(session, batches), batches, cpu_clock_of(server.pid))

        return run

    contestants = {NOBODY: contestant(0), ONE: contestant(1), TWENTY: contestant(20)}
    contestants[STALLED] = contestant(19, stalled=True)
    taken = take_turns(contestants, plan.with_rounds(plan.choose(11, 5)), "crowded: watchers")
    for name, base in ((ONE, NOBODY), (TWENTY, NOBODY), (STALLED, TWENTY)):
        yield from _rows(name, base, taken)


def _with_sessions(
    client: shoal.Client, server: LocalServer, centroids: Float32Array, batches: list[Float32Array], plan: Plan
) -> Iterator[Row]:
    names = [f"crowd-{number}" for number in range(64)]
    for name in names:
        client.create_session(name, len(centroids), init=centroids, durability="memory", update_rule="incremental")

    def contestant(count: int) -> Callable[[], Taken]:
        parts = [(name, batches[number::count]) for number, name in enumerate(names[:count])]
        return lambda: measure(lambda: asyncio.run(_pour(server.target, parts)), batches, cpu_clock_of(server.pid))

    contestants = {_sessions(count): contestant(count) for count in plan.choose((1, 8, 64), (1, 64))}
    taken = take_turns(contestants, plan, "crowded: sessions at once")
    base, *more = taken
    for name in more:
        yield from _rows(name, base, taken)


def _rows(name: str, base: str, taken: dict[str, list[Taken]]) -> Iterator[Row]:
    for unit, of in _COSTS.items():
        ours, others = [of(each) for each in taken[name]], [of(each) for each in taken[base]]
        yield Row(
            case=f"ingest, {name}",
            peer=base,
            unit=unit,
            shoal=spread(ours),
            other=spread(others),
            ratio=ratios(ours, others),
            reading="times the time" if unit == "s" else "times the server's CPU",
        )


def _sessions(count: int) -> str:
    return "into 1 session" if count == 1 else f"into {count} sessions at once"


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
