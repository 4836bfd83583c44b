"""The inertia that centroids would have on all rows of a stream, estimated from its summary, with a standard error.

Σ weight·(squared distance to the nearest centroid) + Σ scatter, the cost of a summary, is biased twice. A point that
stands for rows around it has them all at its own centroid, though the nearest of some is another: too much. And
centroids that were fitted to the summary lie nearer to its points than to the rows: too little. Both are corrected.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import Reals, WeightedPoints
from shoal_server.clustering.search import Pieces, Search, SearchKernels, pack_work
from shoal_server.engines.chunks import row_work
from shoal_server.engines.contract import Float64Array, LabelArray

# Copies of the points that stand for several rows, each moved at random as these rows lie around it; every second one
# is the mirror image of the one before, so that most of what is random cancels out.
COPIES = 4
# Scatter that moves no border that matters: less than this share of the mean squared distance.
_NEGLIGIBLE = 1e-4
# Of the two corrections, how much may be wrong (measured: of 400 estimates, see tests/clustering/test_estimate.py).
_SPREAD_DOUBT, _FITTED_DOUBT = 0.25, 0.5
_PIECE_VALUES = 1 << 18  # in a millisecond
_LONE = 1e-9  # of a cluster's weight: with less besides one point this point is alone


class Estimate(NamedTuple):
    """What centroids would cost all rows of the stream, weighted as these are."""

    inertia: float
    standard_error: float


def estimation(
    stands_for: WeightedPoints,
    centroids: Float64Array,
    search: Search,
    *,
    row_weights: Float64Array,
    fitted: bool,
    seed: Sequence[int],
    kernels: SearchKernels,
) -> Pieces[Estimate]:
    """Return the inertia that centroids would have on all rows that points of a summary stand for.

    The rows of a point are taken to scatter around it alike in all directions: a few copies of it, moved at random
    accordingly, say how much nearer than its own centroid the nearest one is. For centroids that were fitted to the
    summary each point is measured against its centroid without that point, as in leave-one-out cross-validation.

    The standard error is that of the draw of the rows (the jackknife over points, linearised, with the weights of the
    clusters known), with a share of both corrections for what they assume.

    Parameters
    ----------
    stands_for
        (m, d) points of a summary, m from 1 up.
    centroids
        (k, d) in the same coordinates; of length 1 under cosine.
    search
        Of these points, with these centroids in place.
    row_weights
        (m,) what a row weighs that a point stands for: a point of more weight stands for several. See
        `summary.points_and_row_weights`.
    fitted
        Whether the centroids were fitted to this summary.
    seed
        Numbers, not negative, that settle what is drawn.
    kernels
        Compute.
    """
    labels, squares = search.nearest_two()
    unit = float(stands_for.weights.max())  # lest a square of a weight overflow
    stands_for = WeightedPoints(stands_for.points, stands_for.weights / unit, stands_for.scatter / unit)
    nearest = _Nearest(stands_for.weights, row_weights / unit, labels[0], squares, len(centroids))
    counts, inertia, drawn = yield from nearest.add_up()
    scatter = float(stands_for.scatter.sum())
    optimism = (yield from nearest.optimism(counts)) if fitted else 0.0
    spread = yield from _spread(stands_for, centroids, labels[0], inertia + scatter, seed, kernels)
    error = math.hypot(drawn, _SPREAD_DOUBT * spread, _FITTED_DOUBT * optimism)
    return Estimate(max(inertia + scatter - spread + optimism, 0.0) * unit, error * unit)


def estimation_work(m: int, k: int, d: int) -> int:
    """Return the most multiplications for the estimate of k centroids by m points of d columns."""
    return (1 + COPIES) * (pack_work(m, d) + m * row_work(k, d))


class _Nearest(NamedTuple):
    """Weighted points (m,) and the squared distances (2, m) to the nearest centroid and to the second."""

    weights: Float64Array
    row_weights: Float64Array  # (m,) of the rows that the points stand for
    labels: LabelArray
    squares: Float64Array
    n_clusters: int

    def add_up(self) -> Pieces[tuple[Float64Array, float, float]]:
        """Return the weight of each cluster (k,), the inertia, and its standard error by the draw of the points.

        Of the draw only what makes the points of a cluster differ counts: the clusters' weights are known.
        """
        k, unit = self.n_clusters, float(self.squares[0].max()) or 1.0  # lest a square of a square overflow
        counts, costs = np.zeros(k), np.zeros(k)
        drawn = np.zeros((3, k))  # Σ of (drawn weight)² times 1, the cost of a row, and its square
        for part in self._parts():
            labels, weights, squares = self.labels[part], self.weights[part], self.squares[0, part] / unit
            counts += np.bincount(labels, weights, k)
            costs += np.bincount(labels, weights * squares, k)
            chance = np.square(weights * self._drawn_share(part))
            for power in range(len(drawn)):
                drawn[power] += np.bincount(labels, chance * squares**power, k)
            yield
        means = np.divide(costs, counts, out=np.zeros(k), where=counts > 0)
        variance = float((drawn[2] - 2 * means * drawn[1] + means**2 * drawn[0]).sum())
        return counts, float(costs.sum()) * unit, math.sqrt(max(variance, 0.0)) * unit

    def optimism(self, counts: Float64Array) -> Pieces[float]:
        """Return how much more the points cost if each is measured against its centroid without it.

        Without a point a mean lies farther from it by the weight of its cluster over that of the others in it. What is
        sure to be in the summary, such as rows that stand for themselves, takes no part.
        """
        total = 0.0
        for part in self._parts():
            weights, (first, second) = self.weights[part], self.squares[:, part]
            share, of_cluster = self._drawn_share(part), counts[self.labels[part]]
            others = of_cluster - weights * share
            alone = others <= _LONE * of_cluster
            without = first * np.square(of_cluster / np.where(alone, of_cluster, others))
            without = np.where(alone & np.isfinite(second), second, np.minimum(without, second))
            total += float(np.dot(weights * share, np.maximum(without - first, 0.0)))
            yield
        return total

    def _parts(self) -> Iterator[slice]:
        step = max(_PIECE_VALUES // 8, self.n_clusters)
        for start in range(0, len(self.weights), step):
            yield slice(start, start + step)

    def _drawn_share(self, part: slice) -> Float64Array:
        """Return how much of the weight of each point of a part stands for rows that weren't kept themselves."""
        return np.maximum(1 - self.row_weights[part] / self.weights[part], 0.0)


def _spread(
    stands_for: WeightedPoints,
    centroids: Float64Array,
    labels: LabelArray,
    cost: float,
    seed: Sequence[int],
    kernels: SearchKernels,
) -> Pieces[float]:
    """Return by how much the rows of the points cost less because not all are nearest to their point's centroid."""
    k, d = centroids.shape
    mean_cost = cost / float(stands_for.weights.sum())
    rows = np.flatnonzero(stands_for.scatter > _NEGLIGIBLE * mean_cost * stands_for.weights)
    if k == 1 or not len(rows):
        return 0.0
    weights = stands_for.weights[rows]
    deviations = np.sqrt(stands_for.scatter[rows] / weights / d)
    step, total = max(_PIECE_VALUES // d, 1), 0.0
    parts = [slice(start, start + step) for start in range(0, len(rows), step)]
    moved, own = np.empty((len(rows), d), stands_for.points.dtype), np.empty(len(rows))
    for copy in range(COPIES):
        random, sign = np.random.default_rng([*seed, copy // 2]), -1.0 if copy % 2 else 1.0
        for part in parts:
            offsets = random.standard_normal((len(rows[part]), d))
            offsets *= sign * deviations[part, None]
            moved[part] = stands_for.points[rows[part]] + offsets
            own[part] = _squares(moved[part], centroids[labels[rows[part]]])
            yield
        search = Search(moved, weights, k, cosine=False, kernels=kernels)
        yield from search.pack()
        yield from search.place(centroids)
        (nearest, _), (squares, _) = search.nearest_two()
        gains = np.where(nearest == labels[rows], 0.0, np.maximum(own - squares, 0.0))
        total += float(np.dot(weights, gains))
    return total / COPIES


def _squares(points: Reals, others: Float64Array) -> Float64Array:
    deviations = points - others
    squares: Float64Array = np.einsum("nd,nd->n", deviations, deviations)
    return squares
