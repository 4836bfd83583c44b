"""Streams, their summaries as a model keeps them, and what these are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.buckets import WeightedPoints
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.estimate import Estimate, estimation
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import new_model
from shoal_server.clustering.recluster import Clustering, Reclusterer
from shoal_server.clustering.search import Pieces, Search, run_steps
from shoal_server.clustering.state import Batch, Model
from shoal_server.clustering.suggestion import Suggestion
from shoal_server.clustering.summarised import SummarisedRows, summarised_rows
from shoal_server.engines.contract import Frame, RunTasks, run_in_order
from tests.clustering.builders import on_bug
from tests.warm import warm_engine

Array = NDArray[Any]


def streamed(points: Array, k: int, *, batch_rows: int = 1024, weights: Array | None = None, **config: Any) -> Model:
    """Return a refined model after points in their order."""
    model = new_model(ModelConfig(k, **{"random_state": 3, "update_rule": "refined", **config}))
    for start in range(0, len(points), batch_rows):
        part = slice(start, start + batch_rows)
        batch = Batch(np.ascontiguousarray(points[part]), None if weights is None else weights[part])
        model, results = apply_batches(
            model, [batch], warm_engine(), run_in_order, lambda: False, on_bug, warm_engine()
        )
        assert results[0].refusal is None
    return model


def rows_of(model: Model) -> SummarisedRows:
    return summarised_rows(model, warm_engine(), run_in_order)


def as_rows(points: Array, weights: Array | None = None, *, scatter: Array | None = None) -> SummarisedRows:
    """Return points as a summary that has kept all rows, or moved them together where they scatter."""
    ones, nothing = np.ones(len(points)), np.zeros(len(points))
    stands_for = WeightedPoints(
        np.ascontiguousarray(points), ones if weights is None else weights, nothing if scatter is None else scatter
    )
    d = points.shape[1]
    frame = Frame(points[:1].copy(), np.zeros(d, points.dtype), np.ones(1), cosine=False)
    return SummarisedRows(stands_for, ones, frame, 0)


def reclustered(
    rows: SummarisedRows, numbers: Any, random_state: int | None = None
) -> tuple[list[Clustering], Suggestion]:
    """Return all clusterings, and the suggestion."""
    reclusterer = Reclusterer(rows, list(numbers), random_state, warm_engine().search)
    return [reclusterer.fit(number, run_in_order) for number in numbers], reclusterer.suggestion()


def estimate_of(
    rows: SummarisedRows, centroids: Array, *, fitted: bool = False, seed: int = 0, run: RunTasks = run_in_order
) -> Estimate:
    """Return the estimate of centroids (k, d) that need not have been fitted."""
    stands_for, kernels = rows.points, warm_engine().search
    centroids = centroids.astype(np.float64)
    search = Search(stands_for.points, stands_for.weights, len(centroids), cosine=rows.frame.cosine, kernels=kernels)

    def steps() -> Pieces[Estimate]:
        yield from search.pack()
        yield from search.place(centroids)
        return (
            yield from estimation(
                stands_for, centroids, search, row_weights=rows.row_weights, fitted=fitted, seed=[seed], kernels=kernels
            )
        )

    return run_steps(steps(), run)


def inertia(points: Array, centroids: Array, weights: Array | None = None) -> float:
    """Return what centroids cost all points, a part at a time."""
    total = 0.0
    for start in range(0, len(points), 10_000):
        part = points[start : start + 10_000].astype(np.float64)
        squares = (part**2).sum(axis=1)[:, None] - 2 * part @ centroids.T + (centroids**2).sum(axis=1)
        nearest = np.maximum(squares.min(axis=1), 0)
        total += float(nearest.sum() if weights is None else nearest @ weights[start : start + 10_000])
    return total


def spread_blobs(seed: int, k: int, d: int, n: int, apart: float) -> Array:
    """Return points of k normal clouds of standard deviation 1, no two middles nearer than `apart`."""
    random = np.random.default_rng(seed)
    middles: list[Any] = []
    while len(middles) < k:
        middle = random.uniform(-1, 1, d) * apart * k ** (1 / d)
        if all(np.linalg.norm(middle - other) > apart for other in middles):
            middles.append(middle)
    points = np.array(middles)[random.integers(k, size=n)] + random.normal(size=(n, d))
    return points.astype(np.float32)
