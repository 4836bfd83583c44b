"""How good the clusters are after one pass over a stream, compared with an offline fit and with other libraries.

A figure is the inertia of centroids, measured over all rows so far, divided by that of the best offline fit of the same
rows. The session is a real one, over the wire, with default settings. The parts are in `benchmarks.one_pass`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from rich.progress import track

import shoal
from benchmarks.datasets import Float32Array
from benchmarks.one_pass import costs, drift, figures, plot, rare, waits, written
from benchmarks.one_pass.cached import cached
from benchmarks.one_pass.cases import Case, all_cases
from benchmarks.one_pass.figures import (
    EQUAL,
    STOPPED,
    against_offline,
    against_peer,
    median_and_worst,
    worst_against_offline,
)
from benchmarks.one_pass.offline import OfflineFit, inertia, offline_fit
from benchmarks.one_pass.peers import PARTIAL_FIT, WINDOW, Contestant, partial_fit, refitted_window
from benchmarks.one_pass.sessions import ingested
from benchmarks.pairing import Plan
from benchmarks.processes import settled_server
from benchmarks.results import Row

draw = plot.draw  # a picture of its own, instead of the one that all suites have

SHOAL = "Shoal"
_SEEDS, _QUICK_SEEDS = 10, 3
_SLOW_SEEDS, _QUICK_SLOW_SEEDS = 3, 1  # of those that take minutes a seed
_RIVER_ROWS, _QUICK_RIVER_ROWS = 20_000, 1_000
_MAX_CALLS = 20_000  # of partial_fit in a stream, before it counts as slow
_EARLY_MOST = 1.05  # stopped at any time after a tenth


@dataclass(frozen=True)
class Ratios:
    """The inertia of contestants as ratios to the offline fit's, of one case."""

    stops: list[float]  # shares of the stream, the last 1
    starts: int  # of the offline fit of the whole stream
    by_name: dict[str, list[list[float]]] = field(default_factory=dict)  # of each seed, at each stop

    def at(self, name: str, stop: int) -> list[float]:
        """Return a contestant's ratios at a stop, one of each seed."""
        return [ratios[stop] for ratios in self.by_name[name]]

    def early(self, name: str) -> list[float]:
        """Return a contestant's ratios at all stops but the last, seed after seed."""
        return [ratio for ratios in self.by_name[name] for ratio in ratios[:-1]]


def rows(plan: Plan) -> Iterator[Row | str]:
    """Measure every case, then rare clusters, drift, what commits write, costs and waits."""
    seeds = plan.with_rounds(plan.choose(_SEEDS, _QUICK_SEEDS)).rounds
    peers: dict[str, Contestant] = {
        name: cached(contestant, [name], ["scikit-learn"])
        for name, contestant in ((PARTIAL_FIT, partial_fit), (WINDOW, refitted_window))
    }
    if find_spec("river") is None:
        yield "River is left out: it isn't installed; pip install 'shoal[bench]'"
    else:
        models = import_module("benchmarks.one_pass.river_models")
        max_rows = plan.choose(_RIVER_ROWS, _QUICK_RIVER_ROWS)
        for name, contestant in models.river_contestants(max_rows).items():
            peers[name] = cached(contestant, [name, max_rows], ["river"])
    with settled_server(log_level="warning") as server, shoal.connect(server.target) as client:
        contestants: dict[str, Contestant] = {SHOAL: partial(ingested, client), **peers}
        for case in track(chosen_cases(plan), "quality", console=plan.console, transient=True):
            if case.is_available:
                yield from case_rows(case, contestants, seeds, plan)
            else:
                yield f"{case.title} is left out: {case.package} isn't installed; pip install 'shoal[bench]'"
        parts = {
            "rare cluster": rare.rows,
            "drift": drift.rows,
            "written": written.rows,
            "costs": costs.rows,
            "waits": waits.rows,
        }
        for name, more in parts.items():
            if re.search(plan.only, name):
                yield from more(client, server, seeds, plan)


def chosen_cases(plan: Plan) -> list[Case]:
    """Return the cases of a plan: those whose title matches, or all, of which the quick form has some."""
    shown = [case for case in all_cases() if re.search(plan.only, case.title)]
    return shown if plan.only else [case for case in shown if case.quick or not plan.quick]


def case_rows(case: Case, contestants: Mapping[str, Contestant], seeds: int, plan: Plan) -> Iterator[Row]:
    """Return the rows of a case, and print a line of its medians and worst seeds."""
    measured = measure(case, contestants, seeds, plan.choose(_SLOW_SEEDS, _QUICK_SLOW_SEEDS))
    whole = {name: measured.at(name, -1) for name in measured.by_name}
    plan.console.print(f"{case.title}: " + ", ".join(f"{name} {median_and_worst(whole[name])}" for name in whole))
    ours = whole[SHOAL]
    facts: figures.Facts = {"worst": max(ours), "starts of the offline fit": measured.starts, "seeds": seeds}
    yield against_offline(case.title, ours, most=case.median, facts=facts, headline=True)
    yield worst_against_offline(case.title, ours, most=case.worst)
    for stop, share in enumerate(measured.stops[:-1]):
        early = measured.at(SHOAL, stop)
        facts = {"worst": max(early), f"{PARTIAL_FIT}, by seed": figures.listed(measured.at(PARTIAL_FIT, stop))}
        yield against_offline(f"{case.title}{STOPPED}at {share:.0%}", early, most=_EARLY_MOST, facts=facts)
    for name in measured.by_name:
        if name != SHOAL:
            most = EQUAL if name == PARTIAL_FIT else None
            yield against_peer(case.title, name, ours, whole[name], most=most)
    if len(measured.stops) > 1:
        early_of = [measured.early(name) for name in (SHOAL, PARTIAL_FIT)]
        yield against_peer(f"{case.title}{STOPPED}early", PARTIAL_FIT, *early_of, most=EQUAL)


def measure(case: Case, contestants: Mapping[str, Contestant], seeds: int, slow_seeds: int) -> Ratios:
    """Return the ratios of all contestants. Shoal and partial_fit are looked at at every stop, others at the end."""
    measured: Ratios | None = None
    for seed in range(seeds):
        points = case.draw(seed)
        stops = case.stops(len(points))
        offline = [offline_fit(points[:stop], case.n_clusters, metric=case.metric) for stop in stops]
        if measured is None:
            measured = Ratios([stop / len(points) for stop in stops], offline[-1].starts)
        for name, contestant in contestants.items():
            if seed < _seeds_of(name, case, len(points), seeds, slow_seeds):
                chosen = slice(None) if name in {SHOAL, PARTIAL_FIT} else slice(-1, None)
                ratios = _ratios(contestant, case, points, stops[chosen], offline[chosen], seed)
                measured.by_name.setdefault(name, []).append(ratios)
    if measured is None:
        raise ValueError("seeds must be at least 1")
    return measured


def _ratios(
    contestant: Contestant, case: Case, points: Float32Array, stops: list[int], offline: list[OfflineFit], seed: int
) -> list[float]:
    found = contestant(case, points, stops, seed)
    return [
        inertia(points[:stop], centroids, metric=case.metric) / fit.inertia
        for stop, centroids, fit in zip(stops, found, offline, strict=True)
    ]


def _seeds_of(name: str, case: Case, rows: int, seeds: int, slow_seeds: int) -> int:
    """Return how many of the seeds a contestant gets: fewer where each takes minutes, and none where it isn't asked."""
    if name == SHOAL:
        return seeds
    if name == PARTIAL_FIT:
        return seeds if rows <= _MAX_CALLS * case.batch_rows else min(seeds, slow_seeds)
    if not case.with_all_peers:
        return 0
    return seeds if name == WINDOW else min(seeds, slow_seeds)
