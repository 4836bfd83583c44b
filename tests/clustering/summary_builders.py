"""Streams for summaries, and what their estimates are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal_server.clustering.buckets import SummaryKernels, WeightedPoints
from shoal_server.clustering.summary import Summary, absorb, empty_summary
from shoal_server.clustering.summary import weighted_points as summary_points
from shoal_server.engines.contract import RunTasks, run_in_order
from tests.warm import warm_engine


def kernels_of(dtype: Any) -> SummaryKernels:
    return warm_engine().summary_kernels(np.dtype(dtype))


def labels_of(points: Any, centroids: Any) -> Any:
    labels, _ = kernels_of(points.dtype).nearest(points, centroids.astype(points.dtype), run_in_order)
    return labels


def blobs(random: np.random.Generator, n: int, d: int, k: int, dtype: Any = np.float32) -> tuple[Any, Any]:
    """Return points around k middles, some blobs much larger than others, and the middles."""
    middles = 10 * random.normal(size=(k, d))
    which = random.choice(k, n, p=(share := random.pareto(2.0, k) + 0.1) / share.sum())
    return (middles[which] + random.normal(size=(n, d))).astype(dtype), middles.astype(dtype)


def summarised(
    points: Any,
    centroids: Any,
    *,
    size: int = 1000,
    weight: Any = None,
    ages: Any = 0.0,
    seed: int = 0,
    cuts: Sequence[int] = (),
    run: RunTasks = run_in_order,
    labels: Any = None,
) -> Summary:
    """Return the summary of points that come in calls, each up to a cut; all are labelled by the same centroids."""
    labels = labels_of(points, centroids) if labels is None else labels
    ages = np.broadcast_to(np.asarray(ages, np.float64), len(points)).copy()
    summary = empty_summary(size, points.shape[1], points.dtype)
    begin = 0
    for end in [*cuts, len(points)]:
        rows = slice(begin, end)
        summary = absorb(
            summary, points[rows], None if weight is None else weight[rows], labels[rows],
            centroids + begin,  # only those of the first call count
            ages[rows], seed, kernels_of(points.dtype), run,
        )  # fmt: skip
        begin = end
    return summary


def cost(points: Any, weights: Any, centroids: Any) -> float:
    """Return the weighted inertia of centroids."""
    wide = centroids.astype(np.float64)
    total = 0.0
    for begin in range(0, len(points), 4096):
        rows = slice(begin, begin + 4096)
        squares = ((points[rows, None].astype(np.float64) - wide[None]) ** 2).sum(axis=2).min(axis=1)
        total += float(squares @ weights[rows])
    return total


def estimated(weighted: WeightedPoints, centroids: Any) -> float:
    """Return the inertia that a summary says centroids have."""
    return cost(weighted.points, weighted.weights, centroids) + float(weighted.scatter.sum())


def centre_sets(random: np.random.Generator, points: Any, k: int) -> list[Any]:
    """Return sets of centres: rows, and middles of groups of rows, as a fit begins and ends with."""
    rows = [points[random.integers(0, len(points), k)] for _ in range(4)]
    means = []
    for chosen in rows[:2]:
        labels = labels_of(points, chosen)
        means.append(np.stack([points[labels == label].mean(axis=0) for label in range(k) if (labels == label).any()]))
    return rows + means


def weighted_points(summary: Summary, age: float) -> WeightedPoints:
    return summary_points(summary, age, kernels_of(summary.waiting.points.dtype), run_in_order)


def assert_exact(weighted: WeightedPoints, points: Any, weight: Any) -> None:
    """Check total weight and mean."""
    np.testing.assert_allclose(weighted.weights.sum(), weight.sum(), rtol=1e-9)
    rounding = 1e-6 if points.dtype == np.float32 else 1e-12
    spread = np.abs(points).max()
    np.testing.assert_allclose(
        weighted.weights @ weighted.points.astype(np.float64) / weight.sum(),
        weight @ points.astype(np.float64) / weight.sum(),
        atol=rounding * spread,
    )
    assert (weighted.weights > 0).all()
    assert (weighted.scatter >= 0).all()


def errors(weighted: WeightedPoints, points: Any, weight: Any, k: int) -> list[float]:
    sets = centre_sets(np.random.default_rng(1), points, k)
    return [estimated(weighted, centres) / cost(points, weight, centres) - 1 for centres in sets]


def array_bytes(part: object) -> int:
    """Return how many bytes the arrays take that are in a summary, or in a part of it."""
    if isinstance(part, np.ndarray):
        return part.nbytes
    return sum(map(array_bytes, part)) if isinstance(part, tuple) else 0
