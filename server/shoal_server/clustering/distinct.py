"""Small clusters that lie apart get a centroid, even where another place would save as much inertia.

A second centroid in a large cluster may save more than one of its own for a thousandth of the rows that are far from
all others. Whoever looks at clusters wants the latter: where next to nothing is lost by it, it is preferred.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shoal_server.clustering.search import Points
from shoal_server.engines.contract import BoolArray, Float64Array, LabelArray

# What a fit may lose of its inertia for such a cluster. With 0.003 a cluster of a thousandth of the rows, 6 standard
# deviations from a large one, was lost at times.
MAX_LOSS = 5e-3
# A point may belong to such a cluster if its square is so many times the mean of those with the same label.
_REMOTE = 3.0
# How far the means of two sets of points are apart, in the sum of their standard deviations along that line, as in
# Fisher's discriminant. A cluster that lies apart is at least _APART from the others of its label, and two that are one
# are at most _TOGETHER. Halves of a normal distribution are at 1.3, halves of a uniform one at 1.7, and two normal
# distributions whose means are 6 standard deviations apart at 3.
_APART, _TOGETHER = 2.5, 1.8
_MIN_SHARE, _MIN_POINTS = 2e-4, 3  # of such a cluster: fewer are outliers
_LABELS, _STEPS = 2, 3  # whose remote points are looked at, and how often these are assigned
_MAX_ESTIMATED_LOSS = 0.05  # before the centroids have moved to their means, which most often makes up for it
_PIECE_VALUES = 1 << 16


class Move(NamedTuple):
    """A centroid that is to be put elsewhere."""

    label: int
    place: Float64Array  # (d,)


def move_to_distinct(
    points: Points, weights: Float64Array, labels: LabelArray, squares: Float64Array, k: int
) -> Move | None:
    """Return which of two or more centroids had better be in a small cluster that lies apart; None: none.

    Parameters
    ----------
    points, weights
        (m, d) and (m,), some above 0.
    labels, squares
        Of the two centroids nearest to each point, (2, m) both.
    k
        How many centroids there are.
    """
    nearest, second = labels
    costs = weights * squares[0]
    counts, own = np.bincount(nearest, weights, k), np.bincount(nearest, costs, k)
    mean = np.divide(own, counts, out=np.zeros(k), where=counts > 0)
    remote = squares[0] > _REMOTE * mean[nearest]
    remote_weights, remote_costs = (np.bincount(nearest[remote], each[remote], k) for each in (weights, costs))
    least = _MIN_SHARE * float(weights.sum())
    candidates = np.argsort(np.where(remote_weights < least, 0.0, -remote_costs), kind="stable")[:_LABELS]
    lost = np.bincount(nearest, weights * (squares[1] - squares[0]), k)
    spare = int(lost.argmin())
    its_own = nearest == spare
    if not counts[spare] > 0 or not remote_costs[candidates[0]] > 0:
        return None
    heir = int(np.bincount(second[its_own], weights[its_own], k).argmax())
    if _separation(points, weights, its_own, nearest == heir) > _TOGETHER:
        return None
    for label in candidates.tolist():
        moved = heir if label == spare else spare
        members = np.flatnonzero((nearest == label) & (weights > 0))
        found = _distinct_part(points[members], weights[members], squares[0][members], remote[members], least)
        if found is not None and lost[moved] - found.gain <= _MAX_ESTIMATED_LOSS * float(costs.sum()):
            return Move(moved, found.place)
    return None


class _Part(NamedTuple):
    place: Float64Array  # (d,)
    gain: float  # inertia that a centroid there saves


def _distinct_part(
    points: Points, weights: Float64Array, squares: Float64Array, remote: BoolArray, least: float
) -> _Part | None:
    """Return the part of a cluster that lies apart from the rest of it, around its costliest remote point."""
    if not weights[remote].sum() >= least:
        return None
    place = points[np.argmax(np.where(remote, weights * squares, -1.0))].astype(np.float64)
    for _ in range(_STEPS):
        distances = _squares_from(place, points)
        part = distances < squares
        if part.sum() < _MIN_POINTS or weights[part].sum() < least or part.all():
            return None
        place = np.average(points[part], axis=0, weights=weights[part])
    if _separation(points, weights, part, ~part) < _APART:
        return None
    return _Part(place, float(weights[part] @ (squares[part] - distances[part])))


def _separation(points: Points, weights: Float64Array, one: BoolArray, other: BoolArray) -> float:
    """Return how far the means of two sets of points are apart: in the sum of their deviations along that line."""
    sets = [(points[some], weights[some]) for some in (one, other)]
    if not all(each.sum() > 0 for _, each in sets):
        return 0.0
    means = [np.average(rows, axis=0, weights=each) for rows, each in sets]
    line = means[0] - means[1]
    length = float(np.linalg.norm(line))
    if not length > 0:
        return 0.0
    spread = 0.0
    for (rows, each), mean in zip(sets, means, strict=True):
        along = rows @ (line / length) - mean @ (line / length)
        spread += float(np.sqrt(np.average(along**2, weights=each)))
    return length / spread if spread > 0 else np.inf


def _squares_from(place: Float64Array, points: Points) -> Float64Array:
    """Return the squared distances of points (n, d) to a place, (n,)."""
    found = np.empty(len(points))
    step = max(_PIECE_VALUES // len(place), 1)
    for start in range(0, len(points), step):
        deviations = points[start : start + step] - place
        found[start : start + step] = np.einsum("nd,nd->n", deviations, deviations)
    return found
