"""Exact labels from scores that may be off: whichever centroid could be the nearest is tried, in float64."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import ZERO, Reals, compiled, inlined
from shoal_server.engines.numba.scores import (
    UNROLLED,
    bound,
    distance,
    lowest_bit,
    project,
    reaching,
    score,
    score_some,
)
from shoal_server.engines.numba.workspace import Workspace


@compiled
def try_few(points: int, count: int, d: int, origin: Reals, centroids: Reals, workspace: Workspace) -> None:
    """Label rows by all their distances."""
    thresholds = numba.carray(workspace.thresholds, count)
    thresholds[:] = -np.inf
    _try_all(
        points, count, d, origin, numba.carray(workspace.factors, count), centroids, thresholds,
        numba.carray(workspace.labels, count),
    )  # fmt: skip


@compiled
def settle_doubts(
    points: int, count: int, d: int, group: int, stored: int, origin: Reals, centroids: Reals, workspace: Workspace
) -> int:
    """Label the rows that have a threshold below infinity; return how many distances were computed."""
    factors, labels = numba.carray(workspace.factors, group), numba.carray(workspace.labels, group)
    thresholds = numba.carray(workspace.thresholds, group)
    if stored == 0:
        return _try_all(points, count, d, origin, factors, centroids, thresholds, labels)
    scores = numba.carray(workspace.scores, (stored, group))
    squares = numba.carray(workspace.nearest_squares, group)
    return _try_reaching(points, count, d, origin, factors, centroids, scores, thresholds, labels, squares)


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
    workspace: Workspace,
) -> int:
    """Label rows by way of upper bounds of their scores; return how many distances were computed.

    The bounds come from `basis`, p vectors of length 1 at right angles: by Cauchy and Schwarz, with x′ the coordinates
    in it and the length of the rest, x·c ≤ x′·c′. (Of x′ half that length is kept, which is added twice; see `bound`.)
    The centroid that is likely to be the nearest is tried, and then those whose bounds reach the highest true score so
    far. Where rounding may decide between two, float64 does.
    """
    p, k = len(basis) // d, len(centroids)
    factors, labels, squares = (
        numba.carray(workspace.factors, group),
        numba.carray(workspace.labels, group),
        numba.carray(workspace.squares, group),
    )
    bounds, thresholds = numba.carray(workspace.scores, (k, group)), numba.carray(workspace.thresholds, group)
    projected, highest = numba.carray(workspace.projected, (p + 1, group)), numba.carray(workspace.highest, group)
    project(workspace.transposed, basis, p, d, projected)
    _append_lengths(squares, p, margins[5], projected)
    bound(projected, short_tiles, offsets, k, p + 1, bounds, labels)
    for lane in range(count):
        highest[lane] = score(points, lane, d, origin, factors[lane], labels[lane], centroids, offsets)
        thresholds[lane] = highest[lane] - _allowed(squares[lane], longest, margins)
    for lane in range(count, group):
        thresholds[lane] = np.inf
    _list_candidates(k, group, workspace)
    tried = count
    for lane in range(count):
        # In two steps: what rounding can do to a score, and to a bound as well.
        apart = margins[0] * squares[lane] + margins[1] * longest + margins[2]
        allowed = _allowed(squares[lane], longest, margins)
        tried += _try_candidates(
            points, lane, d, group, origin, factors[lane], centroids, offsets, apart, allowed, workspace
        )
    return tried


@inlined
def _allowed(square: float, longest: float, margins: Float64Array) -> float:
    """Return what rounding can do to a score and a bound together, of a row of a squared length."""
    return float((margins[0] + margins[3]) * square + (margins[1] + margins[4]) * longest + margins[2])


@compiled
def _list_candidates(k: int, group: int, workspace: Workspace) -> None:
    """List for each row of a group the labels whose bounds reach its threshold, in their order."""
    bounds, thresholds = numba.carray(workspace.scores, (k, group)), numba.carray(workspace.thresholds, group)
    candidates, counts = numba.carray(workspace.candidates, (group, k)), numba.carray(workspace.candidate_counts, group)
    counts[:] = 0
    for label in range(k):
        reached = reaching(bounds, label, thresholds)
        while reached != 0:
            lane = lowest_bit(reached)
            reached &= reached - 1
            candidates[lane, counts[lane]] = label
            counts[lane] += 1


@compiled
def _try_candidates(
    points: int,
    lane: int,
    d: int,
    group: int,
    origin: Reals,
    factor: float,
    centroids: Reals,
    offsets: Reals,
    apart: float,
    allowed: float,
    workspace: Workspace,
) -> int:
    """Label a row with one of its candidates; return how many distances were computed.

    Parameters
    ----------
    points, lane, d, group
        Address of the group's first row, which row it is, the number of columns, and of a group's rows.
    origin, factor, centroids, offsets
        See layout.py; `factor` is the row's own.
    apart, allowed
        What rounding can do to a score, and to a score and a bound together.
    workspace
        Has what `_list_candidates` found, and gets the label.
    """
    selected, scores = numba.carray(workspace.selected, UNROLLED), numba.carray(workspace.selected_scores, UNROLLED)
    labels, highest = numba.carray(workspace.labels, group), numba.carray(workspace.highest, group)[lane]
    first = best = labels[lane]
    at, tried, doubtful = ZERO, 0, False
    while True:
        at, some = _select_candidates(at, lane, group, len(centroids), first, highest - allowed, workspace)
        if some == 0:
            break
        score_some(points, lane, d, origin, factor, selected, centroids, offsets, scores)
        tried += some
        for place in range(some):
            other = scores[place]
            if other > highest:
                doubtful = other - highest <= apart
                highest, best = other, selected[place]
            elif highest - other <= apart:
                doubtful = True
    labels[lane] = best
    if doubtful:
        tried += _settle_candidates(points, lane, d, group, origin, factor, centroids, highest - allowed, workspace)
    return tried


@compiled
def _select_candidates(
    at: int, lane: int, group: int, k: int, first: int, threshold: float, workspace: Workspace
) -> tuple[int, int]:
    """Write the next candidates, from number `at` on, whose bounds reach a threshold; return where they end.

    The first of them also fills the places of those that are missing to UNROLLED; returned too is how many are not.
    """
    bounds, candidates = numba.carray(workspace.scores, (k, group)), numba.carray(workspace.candidates, (group, k))
    selected, count = numba.carray(workspace.selected, UNROLLED), numba.carray(workspace.candidate_counts, group)[lane]
    some = 0
    while at < count and some < UNROLLED:
        label = candidates[lane, at]
        at += 1
        if bounds[label, lane] >= threshold and label != first:
            selected[some] = label
            some += 1
    if some > 0:
        for place in range(some, UNROLLED):
            selected[place] = selected[0]
    return at, some


@compiled
def _settle_candidates(
    points: int,
    lane: int,
    d: int,
    group: int,
    origin: Reals,
    factor: float,
    centroids: Reals,
    threshold: float,
    workspace: Workspace,
) -> int:
    """Label a row in doubt with one of the candidates whose bounds reach a threshold; return how many these are."""
    k = len(centroids)
    bounds, candidates = numba.carray(workspace.scores, (k, group)), numba.carray(workspace.candidates, (group, k))
    labels, count = numba.carray(workspace.labels, group), numba.carray(workspace.candidate_counts, group)[lane]
    least, tried = np.inf, 0
    for place in range(count):
        label = candidates[lane, place]
        if bounds[label, lane] >= threshold:
            square = distance(points, lane, d, origin, factor, label, centroids)
            tried += 1
            if square < least:
                least = square
                labels[lane] = label
    return tried


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
    nearest_squares: Float64Array,
) -> int:
    """Do what `_try_all` does, with those centroids alone whose scores (k, group) reach the threshold of the row."""
    doubts = False
    for lane in range(count):
        if thresholds[lane] < np.inf:
            nearest_squares[lane] = np.inf
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
            if square < nearest_squares[lane]:
                nearest_squares[lane] = square
                labels[lane] = label
    return tried


@compiled
def _append_lengths(squares: Reals, p: int, residual: float, projected: Reals) -> None:
    """Write half the length of what the first p coordinates leave, rounded up, behind them."""
    group = len(squares)
    for lane in range(group):
        projected[p, lane] = 0.0
    for axis in range(p):
        for lane in range(group):
            projected[p, lane] += projected[axis, lane] * projected[axis, lane]
    for lane in range(group):
        left = max(squares[lane] - projected[p, lane], 0.0) + residual * squares[lane]
        projected[p, lane] = 0.5 * np.sqrt(left)
