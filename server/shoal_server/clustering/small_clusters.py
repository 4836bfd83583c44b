"""Small clusters that lie apart get a centroid, even where another place would save as much inertia.

A second centroid in a large cluster may save more than one of its own for a thousandth of the rows that are far from
all others. Whoever looks at clusters wants the latter: where next to nothing is lost by it, it is preferred.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import IndexArray
from shoal_server.clustering.search import Pieces, Points
from shoal_server.engines.contract import BoolArray, Float64Array, LabelArray

# What a refinement may lose of its inertia for such a cluster. With 0.003 a cluster of a thousandth of the rows, 6
# standard deviations from a large one, was lost at times.
MAX_LOSS = 5e-3
# A point may belong to such a cluster if its square is so many times the mean of those with the same label.
_REMOTE = 3.0
# How far the means of two sets of points are apart, in the sum of their standard deviations along that line, as in
# Fisher's discriminant. A cluster that lies apart is at least _APART from the others of its label, and two that are one
# are at most _TOGETHER. Halves of a normal distribution are at 1.3, halves of a uniform one at 1.7, and two normal
# distributions whose means are 6 standard deviations apart at 3. It must also be _TIMES_APART as far away as the two
# are: otherwise pixels, whose colours blend, had small clusters for which china.jpg's worst fit was 1 % worse.
_APART, _TOGETHER, _TIMES_APART = 2.5, 1.8, 1.5
_MIN_SHARE, _MIN_POINTS = 2e-4, 3  # of such a cluster: fewer are outliers
# Labels whose remote points are looked at, centroids that may be spared, and how often points are assigned to a place.
_MAX_LABELS, _MAX_SPARE, _ASSIGNMENTS = 2, 4, 3
_MAX_ESTIMATED_LOSS = 0.05  # before the centroids have moved to their means, which most often makes up for it
_PIECE_VALUES = 1 << 19  # in 2 ms


class Move(NamedTuple):
    """A centroid that is to be moved."""

    label: int
    mean: Float64Array  # (d,) of the small cluster


class _Spare(NamedTuple):
    """A centroid that can be spared: its points and those of another one are one cluster."""

    label: int
    heir: int  # the other one
    separation: float  # of the two


def small_cluster_work(m: int, d: int) -> int:
    """Return as how many multiplications a look at m points of d columns counts, at most."""
    passes = 2 * _MAX_SPARE + _MAX_LABELS * (2 * _ASSIGNMENTS + 4)
    return m * (passes * d + 64)


def find_small_cluster(
    points: Points, weights: Float64Array, labels: LabelArray, squares: Float64Array, k: int
) -> Pieces[Move | None]:
    """Return which of two or more centroids is better moved to a small cluster that lies apart; None: none is.

    Parameters
    ----------
    points, weights
        (m, d) and (m,), whose sums don't overflow.
    labels, squares
        Of the two centroids nearest to each point, (2, m) both.
    k
        How many centroids there are.
    """
    nearest, _ = labels
    costs = weights * squares[0]
    counts, own = np.bincount(nearest, weights, k), np.bincount(nearest, costs, k)
    mean = np.divide(own, counts, out=np.zeros(k), where=counts > 0)
    remote = (squares[0] > _REMOTE * mean[nearest]) & (weights > 0)
    least = _MIN_SHARE * float(weights.sum())
    remote_weights, remote_costs = (np.bincount(nearest[remote], each[remote], k) for each in (weights, costs))
    remote_costs[remote_weights < least] = 0.0
    yield
    if not remote_costs.any():
        return None
    lost = np.bincount(nearest, weights * (squares[1] - squares[0]), k).astype(np.float64)
    spare = yield from _spare(points, weights, labels, lost, k)
    if spare is None:
        return None
    for label in np.argsort(-remote_costs, kind="stable")[:_MAX_LABELS].tolist():
        moved = spare.heir if label == spare.label else spare.label
        members = np.flatnonzero((nearest == label) & (weights > 0))
        apart = max(_APART, _TIMES_APART * spare.separation)
        found = yield from _separate_part(points, weights, squares[0], members, remote, least, apart)
        if found is not None and lost[moved] - found.gain <= _MAX_ESTIMATED_LOSS * float(costs.sum()):
            return Move(moved, found.mean)
    return None


def _spare(
    points: Points, weights: Float64Array, labels: LabelArray, lost: Float64Array, k: int
) -> Pieces[_Spare | None]:
    """Return the centroid by which least is lost (k,) of the cheapest that are one cluster with another; None: none."""
    nearest, second = labels
    for label in np.argsort(lost, kind="stable")[:_MAX_SPARE].tolist():
        own = nearest == label
        heir = int(np.bincount(second[own], weights[own], k).argmax())
        sets = np.flatnonzero(own), np.flatnonzero(nearest == heir)
        separation = yield from _separation(points, weights, *sets)
        if separation <= _TOGETHER:
            return _Spare(label, heir, separation)
    return None


class _Part(NamedTuple):
    mean: Float64Array  # (d,)
    gain: float  # inertia that a centroid there saves


def _separate_part(
    points: Points,
    weights: Float64Array,
    squares: Float64Array,
    members: IndexArray,
    remote: BoolArray,
    least: float,
    apart: float,
) -> Pieces[_Part | None]:
    """Return the part of a cluster that lies apart from the rest of it, around its costliest remote point."""
    if not weights[members][remote[members]].sum() >= least:
        return None
    costs = np.where(remote, weights * squares, -1.0)[members]
    mean = points[members[np.argmax(costs)]].astype(np.float64)
    for _ in range(_ASSIGNMENTS):
        distances = yield from _squares_from(mean, points, members)
        is_part = distances < squares[members]
        part = members[is_part]
        if not _MIN_POINTS <= len(part) < len(members) or weights[part].sum() < least:
            return None
        mean = yield from _mean(points, weights, part)
    separation = yield from _separation(points, weights, part, members[~is_part])
    if separation < apart:
        return None
    return _Part(mean, float(weights[part] @ (squares[part] - distances[is_part])))


def _separation(points: Points, weights: Float64Array, one: IndexArray, other: IndexArray) -> Pieces[float]:
    """Return how far the means of two sets of points are apart: in the sum of their deviations along that line."""
    if not (weights[one].sum() > 0 and weights[other].sum() > 0):
        return 0.0
    means = (yield from _mean(points, weights, one)), (yield from _mean(points, weights, other))
    line = means[0] - means[1]
    length = float(np.linalg.norm(line))
    if not length > 0:
        return 0.0
    line /= length
    deviations = 0.0
    for rows, mean in zip((one, other), means, strict=True):
        total = 0.0
        for part in _parts(points, rows):
            total += float(weights[part] @ (points[part] @ line - mean @ line) ** 2)
            yield
        deviations += float(np.sqrt(total / weights[rows].sum()))
    return length / deviations if deviations > 0 else np.inf


def _mean(points: Points, weights: Float64Array, rows: IndexArray) -> Pieces[Float64Array]:
    total = np.zeros(points.shape[1])
    for part in _parts(points, rows):
        total += weights[part] @ points[part]
        yield
    total /= weights[rows].sum()
    return total


def _squares_from(place: Float64Array, points: Points, rows: IndexArray) -> Pieces[Float64Array]:
    """Return the squared distances of some points (n,) to a place."""
    found = []
    for part in _parts(points, rows):
        deviations = points[part] - place
        found.append(np.einsum("nd,nd->n", deviations, deviations))
        yield
    return np.concatenate(found)


def _parts(points: Points, rows: IndexArray) -> list[IndexArray]:
    """Return rows in pieces."""
    step = max(_PIECE_VALUES // points.shape[1], 1)
    return [rows[start : start + step] for start in range(0, len(rows), step)]
