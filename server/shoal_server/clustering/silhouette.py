"""The silhouette of clusters of weighted points, on a bounded sample of them.

Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987. Of each point
it is (b - a) / max(a, b): a is the mean distance to the other points of its cluster, b that to the points of the
nearest other cluster. The distances of the sample don't depend on the clusters: they are computed once for every k.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.buckets import IndexArray, WeightedPoints
from shoal_server.clustering.search import Pieces
from shoal_server.engines.contract import Float64Array, LabelArray

SAMPLE_SIZE = 2000  # points, whose distances are held in float32: 16 MB
_PIECE_VALUES = 1 << 18  # of distances, in 5 ms
_PIECE_WORK = 1 << 24  # multiplications of a matrix product
_ROUNDING = 1e-12  # of a cluster's weight: what is left of it without its only point


class Silhouette(NamedTuple):
    """The mean silhouette of a sample, from -1 to 1."""

    mean: float
    standard_error: float


class SilhouetteSample(NamedTuple):
    """A sample of weighted points, and how far they are from one another."""

    rows: IndexArray  # (s,) of the points
    weights: Float64Array  # (s,)
    distances: NDArray[np.float32]  # (s, s) in any unit


def drawn_rows(weights: Float64Array, size: int) -> tuple[IndexArray, Float64Array]:
    """Return the rows (s,) of a sample of points of some weights, and their weights in it; s is `size` at most.

    They are drawn systematically: at even steps along the cumulative weight. One of much weight counts several times.
    """
    if len(weights) <= size:
        return np.arange(len(weights)), weights
    ends = np.cumsum(weights)
    places = (np.arange(size) + 0.5) / size * ends[-1]
    rows, times = np.unique(np.searchsorted(ends, places).astype(np.int64), return_counts=True)
    return rows, times.astype(np.float64)


def silhouette_sample(stands_for: WeightedPoints, *, cosine: bool) -> Pieces[SilhouetteSample]:
    """Return a sample of at most SAMPLE_SIZE points of weight above 0.

    What scatters around two points is farther apart than these: that counts in the distance, on average. The distance
    is Euclidean; under cosine it is 1 - cosine.
    """
    rows, weights = drawn_rows(stands_for.weights, SAMPLE_SIZE)
    points = stands_for.points[rows].astype(np.float64)
    largest = float(np.abs(points).max()) or 1.0
    points /= largest
    around = stands_for.scatter[rows] / stands_for.weights[rows] / largest**2
    squares = np.einsum("sd,sd->s", points, points) + around
    distances = np.empty((len(rows), len(rows)), np.float32)
    step = min(_PIECE_WORK // points.size, _PIECE_VALUES // len(rows))
    for part in _parts(len(rows), max(step, 1)):
        found = np.maximum(squares[part, None] + squares - 2 * points[part] @ points.T, 0.0)
        distances[part] = found / 2 if cosine else np.sqrt(found)
        yield
    np.fill_diagonal(distances, 0.0)
    return SilhouetteSample(rows, weights / weights.max(), distances)


def silhouette(sample: SilhouetteSample, labels: LabelArray) -> Pieces[Silhouette | None]:
    """Return the silhouette of clusters, given by the labels (s,) of a sample; None: there is only one cluster.

    As in scikit-learn a point that is alone in its cluster has 0. The standard error is that of the mean of the sample.
    """
    present, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(present) == 1:
        return None
    weights = sample.weights
    order = np.argsort(own, kind="stable")
    starts = np.cumsum(counts) - counts
    totals = np.bincount(own, weights).astype(np.float64)
    values = np.empty(len(labels))
    for part in _parts(len(labels), max(_PIECE_VALUES // len(labels), 1)):
        values[part] = _values(sample, part, own[part], order, starts, totals)
        yield
    mean = float(np.average(values, weights=weights))
    deviations = weights * (values - mean)
    return Silhouette(mean, float(np.linalg.norm(deviations) / weights.sum()))


def silhouette_work(k: int, d: int) -> int:
    """Return about how many multiplications cost as much as the silhouette of a sample, its distances not counted."""
    return SAMPLE_SIZE**2 * 16 + SAMPLE_SIZE * k * 2 + d


def sample_bytes(m: int, d: int) -> int:
    """Return how many bytes a sample of m points of d columns takes at most, with what it is made of."""
    size = min(m, SAMPLE_SIZE)
    return size * (size * 4 + 2 * 8 * d + 64) + 6 * 8 * _PIECE_VALUES


def _values(
    sample: SilhouetteSample,
    part: slice,
    own: IndexArray,
    order: IndexArray,
    starts: IndexArray,
    totals: Float64Array,
) -> Float64Array:
    """Return the silhouettes of a part of the sample, whose clusters are `own`."""
    by_cluster = sample.distances[part][:, order] * sample.weights[order]
    sums = np.add.reduceat(by_cluster, starts, axis=1)  # (part, clusters)
    rows, weights = np.arange(len(own)), sample.weights[part]
    others = totals[own] - weights
    alone = others <= _ROUNDING * totals[own]
    within = sums[rows, own] / np.where(alone, 1.0, others)
    means = sums / totals
    means[rows, own] = np.inf
    nearest = means.min(axis=1)
    larger = np.maximum(within, nearest)
    return np.where(alone | (larger <= 0), 0.0, (nearest - within) / np.where(larger > 0, larger, 1.0))


def _parts(rows: int, step: int) -> Sequence[slice]:
    return [slice(start, start + step) for start in range(0, rows, step)]
