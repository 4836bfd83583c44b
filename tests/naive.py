"""The oracle: the service's mathematics written down as plainly as can be, in float64, without a thought for speed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NaiveModel:
    """Centroids (k, d) and weights (k,)."""

    centroids: Array
    weights: Array
    cosine: bool = False
    shortest: float = (
        1.0  # of the mean directions so far: near 0 they cancel out, and rounding decides where they point
    )


def start(centroids: NDArray[Any], *, cosine: bool) -> NaiveModel:
    wide = centroids.astype(np.float64)
    return NaiveModel(unit(wide) if cosine else wide, np.zeros(len(wide)), cosine)


def unit(rows: Array) -> Array:
    return np.array([row / np.sqrt(sum(value * value for value in row)) for row in rows])


def seen(points: NDArray[Any], model: NaiveModel) -> Array:
    wide = points.astype(np.float64)
    return unit(wide) if model.cosine else wide


def squared_distances(points: Array, centroids: Array) -> Array:
    columns = [((points - centroid) ** 2).sum(axis=1) for centroid in centroids]
    return np.stack(columns, axis=1)  # (n, k)


def assign(points: NDArray[Any], model: NaiveModel) -> tuple[NDArray[np.intp], Array]:
    distances = squared_distances(seen(points, model), model.centroids)
    return distances.argmin(axis=1), distances.min(axis=1)


def added(rows: Array, weight: Array, labels: NDArray[Any], k: int) -> tuple[Array, Array]:
    """Sum of the weights (k,), and of weight times row (k, d), of each cluster's rows."""
    counts, sums = np.zeros(k), np.zeros((k, rows.shape[1]))
    for row, each, label in zip(rows, weight, labels, strict=True):
        counts[label] += each
        sums[label] += each * row
    return counts, sums


def update(model: NaiveModel, points: NDArray[Any], weight: Array | None, before: float) -> NaiveModel:
    """N ← a·N + n_j, μ ← μ + (s_j − n_j·μ) / N with a = `before`, point by point."""
    labels, _ = assign(points, model)
    rows = seen(points, model)
    weight = np.ones(len(rows)) if weight is None else weight
    counts, sums = added(rows, weight, labels, len(model.centroids))
    weights = before * model.weights + counts
    centroids = model.centroids.copy()
    shortest = model.shortest
    for label in np.flatnonzero(counts):
        centroids[label] += (sums[label] - counts[label] * centroids[label]) / weights[label]
        if model.cosine:
            length = np.sqrt((centroids[label] ** 2).sum())
            shortest = min(shortest, length)
            centroids[label] = centroids[label] / length if length > 1e-15 else model.centroids[label]
    return replace(model, centroids=centroids, weights=weights, shortest=shortest)


def far_from_borders(points: NDArray[Any], model: NaiveModel, share: float) -> NDArray[np.bool_]:
    """Return which points have a nearest centroid beyond doubt, by a margin of `share` of the squares involved.

    On the border between two clusters rounding decides, and two right programs may decide differently.
    """
    rows = seen(points, model)
    if len(model.centroids) == 1:
        return np.ones(len(rows), bool)
    nearest, second = np.sort(squared_distances(rows, model.centroids), axis=1)[:, :2].T
    middle = model.centroids.mean(axis=0)
    squares = ((rows - middle) ** 2).sum(axis=1) + ((model.centroids - middle) ** 2).sum(axis=1).max()
    clear: NDArray[np.bool_] = second - nearest > share * squares
    return clear
