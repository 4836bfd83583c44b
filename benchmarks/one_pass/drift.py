"""Streams that change, with a half-life: against an offline fit of the same rows with the weights that are left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

import shoal
from benchmarks.datasets import Float32Array
from benchmarks.one_pass.cases import Case
from benchmarks.one_pass.figures import against_offline, against_peer, listed, worst_against_offline
from benchmarks.one_pass.offline import Float64Array, inertia, offline_fit
from benchmarks.one_pass.peers import PARTIAL_FIT, Contestant, partial_fit, refitted_window
from benchmarks.one_pass.sessions import ingested
from benchmarks.one_pass.streams import blobs, moving_blobs
from benchmarks.pairing import Plan
from benchmarks.results import Row
from shoal.testing import LocalServer

_BATCH_ROWS, _N_CLUSTERS = 2048, 20
_WINDOW_ROWS = 14_400  # the weight that a half-life of 5 batches leaves
_RECENT_ROWS = 10_000
SHOAL, ADAPTING, WINDOW = "Shoal", "on_drift='adapt'", f"the last {_WINDOW_ROWS:,} rows, re-fitted"


class Moment(NamedTuple):
    """Where a stream is stopped, and the targets there."""

    batches: int
    case: str
    median: float | None = None
    worst: float | None = None


@dataclass(frozen=True)
class Drift:
    """A stream that changes."""

    case: Case
    half_life: float  # batches
    moments: tuple[Moment, ...]
    recent: float | None = None  # target of the worst seed on the last 10,000 rows alone
    jump: int | None = None  # batches after which it is another stream
    quick: bool = False


def _abrupt_blobs(seed: int) -> Float32Array:
    """Return 25 batches of 20 blobs, and 25 of 20 others."""
    n = 25 * _BATCH_ROWS
    return np.concatenate([blobs(seed, 20, 6, n, 6.0), blobs(seed + 100, 20, 6, n, 6.0)])


_ABRUPT = Case("abrupt drift", _abrupt_blobs, _N_CLUSTERS, _BATCH_ROWS)
_GRADUAL = Case("gradual drift", partial(moving_blobs, n=50 * _BATCH_ROWS), _N_CLUSTERS, _BATCH_ROWS)

DRIFTS = (
    Drift(
        _ABRUPT,
        5.0,
        (
            Moment(26, "1 batch later"),
            Moment(30, "1 half-life later", 1.10),
            Moment(35, "2 half-lives later", 1.10),
            Moment(50, "5 half-lives later", 1.10),
        ),
        jump=25,
    ),
    Drift(_GRADUAL, 2.5, (Moment(50, "at the end", 1.03, 1.03),), 1.03, quick=True),
    Drift(_GRADUAL, 5.0, (Moment(50, "at the end", 1.03, 1.03),)),
)


def rows(client: shoal.Client, _: LocalServer, seeds: int, plan: Plan) -> Iterator[Row]:
    """Measure abrupt and gradual drift."""
    for drift in DRIFTS:
        if drift.quick or not plan.quick:
            yield from drift_rows(client, drift, seeds)


def drift_rows(client: shoal.Client, drift: Drift, seeds: int) -> Iterator[Row]:
    """Return the rows of one stream."""
    title = f"{drift.case.name}, half-life {drift.half_life:g} batches"
    contestants: dict[str, Contestant] = {
        SHOAL: partial(ingested, client, half_life=drift.half_life),
        ADAPTING: partial(ingested, client, half_life=drift.half_life, on_drift="adapt"),
        PARTIAL_FIT: partial_fit,
        WINDOW: partial(refitted_window, rows=_WINDOW_ROWS),
    }
    by_seed = [_measure(drift, contestants, seed) for seed in range(seeds)]
    for place, moment in enumerate(drift.moments):
        case = f"{title}, {moment.case}"
        found = {name: [measured.decayed[name][place] for measured in by_seed] for name in contestants}
        yield against_offline(case, found[SHOAL], most=moment.median, facts={"worst": max(found[SHOAL])})
        if moment.worst is not None:
            yield worst_against_offline(case, found[SHOAL], most=moment.worst)
        for name in (ADAPTING, PARTIAL_FIT, WINDOW):
            yield against_peer(case, name, found[SHOAL], found[name])
        if drift.jump is not None:
            new = {name: [measured.new[name][place] for measured in by_seed] for name in contestants}
            yield from _new_rows(f"{case}, rows since then", new)
    if drift.recent is not None:
        recent = {name: [measured.recent[name] for measured in by_seed] for name in contestants}
        facts: dict[str, float | str] = {
            f"{name}, by seed": listed(recent[name]) for name in (ADAPTING, PARTIAL_FIT, WINDOW)
        }
        yield replace(
            worst_against_offline(f"{title}, the last {_RECENT_ROWS:,} rows", recent[SHOAL], most=drift.recent),
            facts={"by seed": listed(recent[SHOAL]), **facts},
        )


def _new_rows(case: str, found: dict[str, list[float]]) -> Iterator[Row]:
    """Return the rows of a moment, measured on the rows since the stream has changed."""
    yield against_offline(case, found[SHOAL], facts={"worst": max(found[SHOAL])})
    for name in (ADAPTING, PARTIAL_FIT, WINDOW):
        yield against_peer(case, name, found[SHOAL], found[name])


def decayed_weights(rows: int, batch_rows: int, half_life: float) -> Float64Array:
    """Return the weights (rows,) that rows have after the last of their batches, if weights halve every half-life."""
    batch = np.arange(rows) // batch_rows
    weights: Float64Array = 0.5 ** ((batch[-1] - batch) / half_life)
    return weights


class _Measured(NamedTuple):
    """Ratios to the offline fit, by contestant."""

    decayed: dict[str, list[float]]  # at each moment, on all rows with the weights that are left
    recent: dict[str, float]  # at the end, on the last rows
    new: dict[str, list[float]]  # at each moment, on the rows since the stream has changed


def _measure(drift: Drift, contestants: dict[str, Contestant], seed: int) -> _Measured:
    case, points = drift.case, drift.case.draw(seed)
    stops = [moment.batches * case.batch_rows for moment in drift.moments]
    weights = [decayed_weights(stop, case.batch_rows, drift.half_life) for stop in stops]
    offline = [
        offline_fit(points[:stop], case.n_clusters, weights=left).inertia
        for stop, left in zip(stops, weights, strict=True)
    ]
    found = {name: contestant(case, points, stops, seed) for name, contestant in contestants.items()}
    last_rows = points[: stops[-1]][-_RECENT_ROWS:]
    recent_offline = offline_fit(last_rows, case.n_clusters).inertia if drift.recent is not None else np.nan
    decayed = {
        name: [
            inertia(points[:stop], centroids[place], weights=weights[place]) / offline[place]
            for place, stop in enumerate(stops)
        ]
        for name, centroids in found.items()
    }
    recent = {name: inertia(last_rows, centroids[-1]) / recent_offline for name, centroids in found.items()}
    if drift.jump is None:
        return _Measured(decayed, recent, {})
    since = [points[drift.jump * case.batch_rows : stop] for stop in stops]
    best = [offline_fit(rows, case.n_clusters).inertia for rows in since]
    new = {
        name: [inertia(rows, centroids[place]) / best[place] for place, rows in enumerate(since)]
        for name, centroids in found.items()
    }
    return _Measured(decayed, recent, new)
