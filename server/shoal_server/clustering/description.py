"""What the clusters of a model are like, by the summary of its stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal_server.clustering.buckets import IndexArray, Reals, WeightedPoints
from shoal_server.clustering.search import Pieces, Search, SearchKernels, pack_work, run_steps
from shoal_server.clustering.summarised import SummarisedRows
from shoal_server.engines.chunks import row_work
from shoal_server.engines.contract import Float64Array, LabelArray, RunTasks

_PIECE_VALUES, _PIECE_ROWS = 1 << 18, 1 << 15
_COPIES = 6  # of the centroids and of what is found, in float64


@dataclass(frozen=True)
class ClusterDescriptions:
    """All clusters of a version; the rows of the arrays are the labels."""

    weights: Float64Array  # (k,) of the rows nearest to each centroid, forgotten as the session says
    counts: IndexArray  # (k,) points of the summary that stand for them
    radii: Float64Array  # (k,) root mean square distance of the rows to the centroid
    means: Float64Array  # (k, d) of each column; the centroid where there are no rows
    variances: Float64Array  # (k, d)
    nearest: LabelArray  # (k,) the other cluster whose centroid is nearest; -1: there is none
    nearest_distances: Float64Array  # (k,) Euclidean, between the centroids; infinite where there is none
    typical_points: Float64Array  # (t, d) points of the summary, by cluster and then by their distance to its centroid
    typical_labels: LabelArray  # (t,)


def describe_clusters(
    rows: SummarisedRows, n_typical: int, kernels: SearchKernels, run: RunTasks
) -> ClusterDescriptions:
    """Return what the clusters of the newest version are like.

    A point that stands for several rows has their scatter as a whole: in the variances it is shared among the columns
    as the standard deviation of the cluster's points is.

    Parameters
    ----------
    rows
        Of the summary.
    n_typical
        How many points nearest to its centroid to return of each cluster, at most.
    kernels, run
        Compute.
    """
    return run_steps(_descriptions(rows, n_typical, kernels), run)


def describe_work(m: int, k: int, d: int) -> int:
    """Return about how many multiplications it takes to describe k clusters by m points of d columns."""
    return pack_work(m, d) + (m + k) * row_work(k, d) + 16 * m * d


def describe_bytes(m: int, k: int, d: int, n_typical: int, precision_bytes: int) -> int:
    """Return how many bytes describing takes at most, with the description."""
    points = m * (precision_bytes * d * 2 + 96)
    return points + 8 * k * d * (_COPIES + 3 * n_typical) + 32 * _PIECE_VALUES


def _descriptions(rows: SummarisedRows, n_typical: int, kernels: SearchKernels) -> Pieces[ClusterDescriptions]:
    stands_for, frame = rows.points, rows.frame
    centroids = frame.centroids.astype(np.float64)
    k = len(centroids)
    search = Search(stands_for.points, stands_for.weights, k, cosine=frame.cosine, kernels=kernels)
    yield from search.pack()
    yield from search.place(centroids)
    (labels, _), (squares, _) = search.nearest_two()
    totals = yield from _totals(stands_for, labels, squares, k)
    counts, weights, within, costs = totals
    means, variances = yield from _moments(stands_for, labels, weights, within, centroids)
    nearest, distances = yield from _nearest_others(frame.centroids, kernels)
    chosen = yield from _typical(labels, squares, n_typical)
    return ClusterDescriptions(
        weights=weights,
        counts=counts.astype(np.int64),
        radii=np.sqrt(np.divide(costs + within, weights, out=np.zeros(k), where=weights > 0)),
        means=means + frame.origin,
        variances=variances,
        nearest=nearest,
        nearest_distances=distances,
        typical_points=stands_for.points[chosen].astype(np.float64) + frame.origin,
        typical_labels=labels[chosen],
    )


def _totals(stands_for: WeightedPoints, labels: LabelArray, squares: Float64Array, k: int) -> Pieces[Float64Array]:
    """Return of each cluster the number of points, their weight, scatter and inertia, (4, k)."""
    totals = np.zeros((4, k))
    for start in range(0, len(labels), _PIECE_ROWS):
        part = slice(start, start + _PIECE_ROWS)
        weights = stands_for.weights[part]
        for place, values in enumerate((None, weights, stands_for.scatter[part], weights * squares[part])):
            totals[place] += np.bincount(labels[part], values, k)
        yield
    return totals


def _moments(
    stands_for: WeightedPoints, labels: LabelArray, weights: Float64Array, within: Float64Array, centroids: Float64Array
) -> Pieces[tuple[Float64Array, Float64Array]]:
    """Return the means of the columns (k, d) and their variances, of the rows of each cluster."""
    k, d = centroids.shape
    shifts, squares = np.zeros((k, d)), np.zeros((k, d))  # relative to the centroids
    step = max(_PIECE_VALUES // d, 1)
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        order = np.argsort(labels[part], kind="stable")
        own = labels[part][order]
        present, starts = np.unique(own, return_index=True)
        deviations = stands_for.points[part][order] - centroids[own]
        weighted = deviations * stands_for.weights[part][order, None]
        shifts[present] += np.add.reduceat(weighted, starts, axis=0)
        squares[present] += np.add.reduceat(weighted * deviations, starts, axis=0)
        yield
    some = weights > 0
    divisor = np.where(some, weights, 1.0)[:, None]
    shifts /= divisor
    variances = np.maximum(squares / divisor - shifts**2, 0.0)
    # Near points were moved together where they varied most, so that they vary more evenly than these do.
    spreads = np.sqrt(variances)
    all_columns = spreads.sum(axis=1, keepdims=True)
    share = np.divide(spreads, all_columns, out=np.full((k, d), 1 / d), where=all_columns > 0)
    return centroids + shifts, variances + share * within[:, None] / divisor


def _nearest_others(centroids: Reals, kernels: SearchKernels) -> Pieces[tuple[LabelArray, Float64Array]]:
    """Return of each centroid (k, d) the label (k,) of the nearest other one, and the distance (k,)."""
    k = len(centroids)
    if k == 1:
        return np.full(1, -1, np.int32), np.full(1, np.inf)
    search = Search(np.ascontiguousarray(centroids), np.ones(k), k, cosine=False, kernels=kernels)
    yield from search.pack()
    yield from search.place(centroids.astype(np.float64))
    labels, _ = search.nearest_two()
    others = np.where(labels[0] == np.arange(k), labels[1], labels[0])  # of equal centroids the first may be another
    return others, np.linalg.norm(centroids.astype(np.float64) - centroids[others], axis=1)


def _typical(labels: LabelArray, squares: Float64Array, n_typical: int) -> Pieces[IndexArray]:
    """Return the rows of at most `n_typical` points of each cluster that are nearest to its centroid, nearest first."""
    rows = np.empty(0, np.int64)
    for start in range(0, len(labels), _PIECE_ROWS):
        rows = np.concatenate([rows, np.arange(start, min(start + _PIECE_ROWS, len(labels)))])
        rows = rows[np.lexsort((squares[rows], labels[rows]))]
        own = labels[rows]
        rows = rows[np.arange(len(own)) - np.searchsorted(own, own) < n_typical]
        yield
    return rows
