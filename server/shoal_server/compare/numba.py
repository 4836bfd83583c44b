"""The compiled kernel of the sessions: a batch that forgets all before it is one iteration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shoal_server.clustering.update import move
from shoal_server.compare.lloyd import Updated, iterate
from shoal_server.compare.steps import Clock, Comparison, Step
from shoal_server.engines.contract import Engine, EngineCache, Float64Array, Frame, LabelArray, run_in_order


class NumbaRunner:
    """Runs the engine that it is given, which must be ready."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, comparison: Comparison, clock: Clock) -> Iterator[Step]:
        """Yield the steps; see steps.Runner."""
        return iterate("numba", _Kernel(self._engine, comparison.points), comparison, clock)


class _Kernel:
    def __init__(self, engine: Engine, points: Float64Array) -> None:
        self._engine = engine
        self._points = points
        self._origin = points.mean(axis=0)
        self._cache = EngineCache()

    def assign(self, centroids: Float64Array) -> LabelArray:
        return self._engine.assign(self._points, self._frame(centroids), run_in_order, return_distances=False).labels

    def update(self, centroids: Float64Array, labels: LabelArray) -> Updated:
        contribution = self._engine.contribute(
            self._points, None, self._frame(centroids), run_in_order, return_labels=False
        )
        after, _ = move(centroids, np.zeros(len(centroids)), contribution, self._origin, cosine=False)
        rows = np.arange(len(centroids))
        notes = tuple(
            f"no point is nearest to centroid {row}, so it stays where it is" for row in np.setdiff1d(rows, labels)
        )
        return Updated(after, rows, notes)

    def _frame(self, centroids: Float64Array) -> Frame:
        weights = np.zeros(len(centroids))
        return Frame(centroids - self._origin, self._origin, weights, cosine=False, cache=self._cache)
