"""River's models, which learn a row at a time in Python: they get a part of the rows, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from river import cluster

from benchmarks.datasets import Float32Array
from benchmarks.one_pass.cases import Case
from benchmarks.one_pass.offline import Float64Array
from benchmarks.one_pass.peers import Contestant

_WORK = 2e7  # rows × (k + CluStream's 100 microclusters) × d: about as many microseconds
_MICROCLUSTERS = 100
_MIN_ROWS = 1000


def river_contestants(max_rows: int) -> dict[str, Contestant]:
    """Return KMeans, STREAMKMeans and CluStream, with their defaults, each fed at most `max_rows` rows."""
    models: dict[str, Callable[[int, int], Any]] = {
        "River KMeans": lambda k, seed: cluster.KMeans(n_clusters=k, seed=seed),
        "River STREAMKMeans": lambda k, seed: cluster.STREAMKMeans(n_clusters=k, seed=seed),
        "River CluStream": lambda k, seed: cluster.CluStream(n_macro_clusters=k, seed=seed),
    }
    return {name: partial(_learned, make, max_rows) for name, make in models.items()}


def thinned(points: Float32Array, n_clusters: int, max_rows: int) -> Float32Array:
    """Return every so-manieth row of points (n, d), so that River's models take seconds, not hours."""
    affordable = max(_MIN_ROWS, int(_WORK // ((n_clusters + _MICROCLUSTERS) * points.shape[1])))
    step = -(-len(points) // min(max_rows, affordable))
    return points[::step]


def _learned(
    make: Callable[[int, int], Any], max_rows: int, case: Case, points: Float32Array, stops: list[int], seed: int
) -> list[Float64Array]:
    found = []
    for stop in stops:
        model = make(case.n_clusters, seed)
        for row in thinned(points[:stop], case.n_clusters, max_rows).tolist():
            model.learn_one(dict(enumerate(row)))
        found.append(_as_array(model.centers, points.shape[1]))
    return found


def _as_array(centers: Mapping[int, Mapping[int, float]], d: int) -> Float64Array:
    """Return the centres (k, d) of a model; KMeans never visits some, which have random columns."""
    return np.array([[center[column] for column in range(d)] for center in centers.values()])
