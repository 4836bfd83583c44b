"""Exact labels from scores that may be off: whichever centroid could be the nearest is tried, in float64."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.bounds import bound, lowest_bit, project, reaching
from shoal_server.engines.numba.compiling import Reals, compiled
from shoal_server.engines.numba.room import Room
from shoal_server.engines.numba.vectors import distance, score


@compiled
def try_few(points: int, count: int, d: int, origin: Reals, centroids: Reals, room: Room) -> None:
    """Label rows by all their distances."""
    thresholds = numba.carray(room.thresholds, count)
    thresholds[:] = -np.inf
    _try_all(
        points, count, d, origin, numba.carray(room.factors, count), centroids, thresholds,
        numba.carray(room.found, count),
    )  # fmt: skip


@compiled
def settle_doubts(
    points: int, count: int, d: int, group: int, stored: int, origin: Reals, centroids: Reals, room: Room
) -> int:
    """Label the rows that have a threshold below infinity; return how many distances were computed."""
    factors, labels = numba.carray(room.factors, group), numba.carray(room.found, group)
    thresholds = numba.carray(room.thresholds, group)
    if stored == 0:
        return _try_all(points, count, d, origin, factors, centroids, thresholds, labels)
    scores, near = numba.carray(room.scores, (stored, group)), numba.carray(room.near, group)
    return _try_reaching(points, count, d, origin, factors, centroids, scores, thresholds, labels, near)


@compiled
def label_by_bounds(
    points: int,
    count: int,
    d: int,
    group: int,
    origin: Reals,
    centroids: Reals,
    basis: Reals,
    short_tiles: Reals,
    offsets: Reals,
    margins: Float64Array,
    longest: float,
    room: Room,
) -> int:
    """Label rows by way of upper bounds of their scores; return how many distances were computed.

    The bounds come from `basis`, p vectors of length 1 at right angles: by Cauchy and Schwarz, with x′ the coordinates
    in it and the length of the rest, x·c ≤ x′·c′. The centroid of the highest bound is tried, and then those whose
    bounds reach its true score. Where rounding may decide between two, float64 does.
    """
    p, k = len(basis) // d, len(centroids)
    factors, labels, squares = (
        numba.carray(room.factors, group),
        numba.carray(room.found, group),
        numba.carray(room.squares, group),
    )
    bounds, thresholds = numba.carray(room.scores, (k, group)), numba.carray(room.thresholds, group)
    near, short = numba.carray(room.near, group), numba.carray(room.short, (p + 1, group))
    first, highest = numba.carray(room.first, group), numba.carray(room.highest, group)
    doubtful, scored = numba.carray(room.doubtful, group), numba.carray(room.scored, group)
    allowed = numba.carray(room.allowed, group)
    project(room.lanes, basis, p, d, short)
    _append_lengths(squares, p, margins[5], short)
    bound(short, short_tiles, offsets, len(centroids), p + 1, bounds, labels)
    for lane in range(count):
        first[lane] = labels[lane]
        highest[lane] = score(points, lane, d, origin, factors[lane], labels[lane], centroids, offsets)
        bounds[labels[lane], lane] = -np.inf
        doubtful[lane] = False
        # In two steps: what rounding can do to a score, and to a bound.
        scored[lane] = margins[0] * squares[lane] + margins[1] * longest + margins[2]
        allowed[lane] = margins[3] * squares[lane] + margins[4] * longest + scored[lane]
        thresholds[lane] = highest[lane] - allowed[lane]
    for lane in range(count, len(thresholds)):
        thresholds[lane] = np.inf
    tried = count
    for label in range(len(centroids)):
        reached = reaching(bounds, label, thresholds)
        while reached != 0:
            lane = lowest_bit(reached)
            reached &= reached - 1
            other = score(points, lane, d, origin, factors[lane], label, centroids, offsets)
            tried += 1
            if other > highest[lane]:
                doubtful[lane] = other - highest[lane] <= scored[lane]
                highest[lane] = other
                labels[lane] = label
                thresholds[lane] = other - allowed[lane]
            elif highest[lane] - other <= scored[lane]:
                doubtful[lane] = True
    for lane in range(count):
        if doubtful[lane]:
            bounds[first[lane], lane] = np.inf
        else:
            thresholds[lane] = np.inf
    return tried + _try_reaching(points, count, d, origin, factors, centroids, bounds, thresholds, labels, near)


@compiled
def _try_all(
    points: int,
    count: int,
    d: int,
    origin: Reals,
    factors: Reals,
    centroids: Reals,
    thresholds: Reals,
    labels: NDArray[np.int32],
) -> int:
    """Label the rows in doubt, those with a threshold below infinity; return how many distances were computed."""
    tried = 0
    for lane in range(count):
        if thresholds[lane] < np.inf:
            least = np.inf
            labels[lane] = 0  # also where a value is NaN: then nothing is nearer than anything
            for label in range(len(centroids)):
                square = distance(points, lane, d, origin, factors[lane], label, centroids)
                if square < least:
                    least = square
                    labels[lane] = label
            tried += len(centroids)
    return tried


@compiled
def _try_reaching(
    points: int,
    count: int,
    d: int,
    origin: Reals,
    factors: Reals,
    centroids: Reals,
    scores: Reals,
    thresholds: Reals,
    labels: NDArray[np.int32],
    near: Float64Array,
) -> int:
    """Do what `_try_all` does, with those centroids alone whose scores (k, group) reach the threshold of the row."""
    doubts = False
    for lane in range(count):
        if thresholds[lane] < np.inf:
            near[lane] = np.inf
            doubts = True
    for lane in range(count, len(thresholds)):
        thresholds[lane] = np.inf
    tried = 0
    if not doubts:
        return tried
    for label in range(len(centroids)):
        reached = reaching(scores, label, thresholds)
        while reached != 0:
            lane = lowest_bit(reached)
            reached &= reached - 1
            square = distance(points, lane, d, origin, factors[lane], label, centroids)
            tried += 1
            if square < near[lane]:
                near[lane] = square
                labels[lane] = label
    return tried


@compiled
def _append_lengths(squares: Reals, p: int, residual: float, short: Reals) -> None:
    """Write the length of what the first p coordinates leave, rounded up, behind them."""
    group = len(squares)
    for lane in range(group):
        short[p, lane] = 0.0
    for axis in range(p):
        for lane in range(group):
            short[p, lane] += short[axis, lane] * short[axis, lane]
    for lane in range(group):
        left = max(squares[lane] - short[p, lane], 0.0) + residual * squares[lane]
        short[p, lane] = np.sqrt(left)
