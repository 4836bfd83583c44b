"""The cost of viewers of live pages (the server's CPU, the dashboard's memory), and the delay of their updates.

Ten sessions are poured into at once, while three pages of each are open and while none is.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

import shoal
import shoal.aio
from benchmarks.datasets import Float32Array, random_sample
from benchmarks.pairing import Plan, ratios, spread, take_turns
from benchmarks.processes import Process, Taken, cpu_clock_of, measure, peak_mib, settled_server
from benchmarks.results import Limit, Row, Target
from benchmarks.viewing import Sighting
from shoal.testing import LocalDashboard, LocalServer

LOOKED_AT, NOBODY = "30 viewers of 10 sessions", "nobody looking"
_SESSIONS, _VIEWERS = 10, 30
_D, _K, _ROWS = 16, 64, 1024
_MAX_CPU = 1.05  # times the server's CPU without viewers
_MEMORY = Limit("400 MiB", 400.0, "MiB")
_LAG = Limit("1 s", 1000.0, "ms")
_PAUSE = 0.1  # seconds

Received = Mapping[str, Mapping[int, float]]  # by session and version: when its producer had the result


@dataclass(frozen=True)
class Round:
    """One ingest into all sessions."""

    taken: Taken
    page_cpu: float = 0.0  # CPU seconds of the dashboard, a second
    lags: list[float] = field(default_factory=list)  # ms, of each version that a viewer was shown
    stillest: float = 0.0  # ms, the longest that a viewer was shown nothing new


def rows(plan: Plan) -> Iterator[Row]:
    """Compare ingest with open pages and without."""
    sample = random_sample(_D, _K, 64 * _ROWS)
    distinct = [*sample.points.reshape(-1, _ROWS, _D)]
    with settled_server() as server, shoal.connect(server.target) as client, LocalDashboard(server.target) as dashboard:
        sessions = [_create(client, number, sample.centroids) for number in range(_SESSIONS)]
        pour = _Pour(server, sessions, distinct * plan.choose(56, 24))
        contestants: dict[str, Callable[[], Round]] = {NOBODY: pour.alone, LOOKED_AT: lambda: pour.shown(dashboard)}
        _Pour(server, sessions, distinct).alone()  # what is cold the first time isn't counted
        found = take_turns(contestants, plan.with_rounds(plan.choose(5, 1)), "viewers", warm_ups=0)
        yield from _costs(found[LOOKED_AT], found[NOBODY])
        yield from _latenesses(found[LOOKED_AT])
        yield _MEMORY.row("the dashboard's memory at its peak", [peak_mib(dashboard.pid)])


class _Pour:
    """The same batches into each of several sessions, all at once and as fast as possible."""

    def __init__(self, server: LocalServer, sessions: list[shoal.Session], batches: list[Float32Array]) -> None:
        self._server, self._sessions, self._batches = server, sessions, batches
        self._names = [session.name for session in sessions]

    def alone(self) -> Round:
        """Ingest without viewers."""
        while any(session.describe().watchers for session in self._sessions):
            time.sleep(_PAUSE)  # the dashboard gives pages a few seconds to come back
        return Round(self._measure({}))

    def shown(self, dashboard: LocalDashboard) -> Round:
        """Ingest while viewers have pages of a dashboard open."""
        received: dict[str, dict[int, float]] = {}
        page_clock = cpu_clock_of(dashboard.pid)
        with Process("viewing", dashboard.url, str(_VIEWERS), *self._names) as viewers:
            before = page_clock()
            taken = self._measure(received)
            page_cpu = (page_clock() - before) / taken.seconds
            sightings = [Sighting(*each) for each in json.loads(viewers.end())]
        return Round(taken, page_cpu, lags(sightings, received), longest_still(sightings, received))

    def _measure(self, received: dict[str, dict[int, float]]) -> Taken:
        def move() -> None:
            received.update(asyncio.run(_pour(self._server.target, self._names, self._batches)))

        return measure(move, self._batches * len(self._names), cpu_clock_of(self._server.pid))


def lags(sightings: Iterable[Sighting], received: Received) -> list[float]:
    """Return the ms from a producer's result of a version to each viewer's first update with it.

    Below 0: before its producer.
    """
    first: dict[tuple[int, int], float] = {}
    for each in sightings:
        told = received.get(each.session, {}).get(each.version)
        if told is not None:
            first.setdefault((each.viewer, each.version), 1e3 * (each.when - told))
    return list(first.values())


def longest_still(sightings: Iterable[Sighting], received: Received) -> float:
    """Return the longest pause in ms between two updates of a viewer; 0 if no viewer had two."""
    times: dict[int, list[float]] = {}
    for each in sightings:
        if each.version in received.get(each.session, {}):
            times.setdefault(each.viewer, []).append(each.when)
    return 1e3 * max((later - one for seen in times.values() for one, later in pairwise(seen)), default=0.0)


def _create(client: shoal.Client, number: int, centroids: Float32Array) -> shoal.Session:
    return client.create_session(
        f"shown-{number}", len(centroids), init=centroids, durability="memory", update_rule="incremental"
    )


async def _pour(target: str, names: list[str], batches: list[Float32Array]) -> dict[str, dict[int, float]]:
    async with shoal.aio.connect(target) as client:
        told = await asyncio.gather(*(_ingest(client.session(name), batches) for name in names))
    return dict(zip(names, told, strict=True))


async def _ingest(session: shoal.aio.Session, batches: list[Float32Array]) -> dict[int, float]:
    return {result.version: time.monotonic() async for result in session.ingest(batches)}


def _costs(shown: list[Round], alone: list[Round]) -> Iterator[Row]:
    costs: list[tuple[str, str, Callable[[Taken], float], Target | None]] = [
        ("CPU s/Mrow", "times the server's CPU", lambda t: t.cpu_seconds / t.rows * 1e6, Target(_MAX_CPU, "at most")),
        ("s/Mrow", "times the time", lambda t: t.seconds / t.rows * 1e6, None),
    ]
    facts: dict[str, float | str] = {"the dashboard's CPU s a second": spread(each.page_cpu for each in shown).median}
    for unit, reading, of, target in costs:
        ours, others = [of(each.taken) for each in shown], [of(each.taken) for each in alone]
        yield Row(
            case=f"ingest into {_SESSIONS} sessions, {_VIEWERS} viewers",
            peer=NOBODY,
            unit=unit,
            shoal=spread(ours),
            other=spread(others),
            ratio=ratios(ours, others),
            reading=reading,
            target=target,
            facts=facts,
            headline=target is not None,
        )


def _latenesses(rounds: list[Round]) -> Iterator[Row]:
    """Compare the viewers' delay with its limit; the quartiles of the median are over the rounds."""
    every = np.array([lag for each in rounds for lag in each.lags])
    figures = {
        "p50": [float(np.median(each.lags)) for each in rounds],
        "p99": [float(np.percentile(every, 99))],
        "max": [float(every.max())],
    }
    facts = {"sightings": len(every), "longest without an update, ms": max(each.stillest for each in rounds)}
    for name, lag in figures.items():
        yield _LAG.row(f"a version reaches a viewer, {name}", lag, aimed=name == "max", facts=facts)
