"""How unusual a row is: its squared distance over that of its cluster, ranked among those of the rows before it.

The score is a conformal p-value, as in Laxhammar and Falkman, "Conformal prediction for distribution-independent
anomaly detection" (2010): the share of earlier rows that lay as far out or farther, itself counted. So on stationary
rows a share t of them scores at most t, whatever their distribution is and however well the clusters fit.

What ranks is a histogram of the ratios of all clusters together. It counts outliers too, so that it follows a tail that
grows. But those far beyond the threshold, as rows of no cluster are, count as half the threshold's share at most: so
neither a burst of them nor a few in every batch hide the others. Where they are many for some hundreds of rows the rows
have changed, and where there has been none for long the clusters have become tighter: then all begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import BoolArray, Float64Array, LabelArray, RunTasks

# Rows that are scored together, against those before them; what a batch has beyond these is scored against its own.
CHUNK_ROWS = 4096
# The rows that a threshold's quantile is known from: so many beyond it, which is then known to 5 %, and so many in all.
_ROWS_BEYOND, _MIN_MEMORY = 400, 10_000
_SPREAD_MEMORY = 1 << 20  # rows that the spreads are known from, at most
# Outliers are far if those at a quarter of their squared distance are some too. With the tails of Cauchy's distribution
# half of all are. Those that count of each row, as a share of the threshold; and beyond that at a time, as a share of
# the rows beyond the threshold.
_FAR, _FAR_SHARE, _FAR_BURST = 4.0, 0.5, 0.25
# All begins anew after so many outliers beyond a share of the rows, this or twice the threshold, as in Page,
# "Continuous inspection schemes" (1954); and after rows that so many are expected of and that had none but far ones.
_MAX_EXCESS, _EXCESS_SHARE, _MAX_EXPECTED = 425.0, 0.1, 32.0
_PRIOR_ROWS = 4.0  # of the average spread, in each cluster's own
# After a refinement: rows that its spreads count as, for each cluster, since those of the summary are some percent off;
# and how fast the ratios before it are forgotten when the clusters have become tighter, and the ratios' shape another.
_REBASED_ROWS, _TIGHTER_POWER = 30.0, 8
# Edges of the histogram's bins, in powers of 2: fine around the spread, coarse where only heavy tails are.
_FINE, _FINE_STEPS, _COARSE, _COARSE_STEPS = 8, 64, 48, 4
_EDGES = np.exp2(
    np.concatenate(
        [
            np.arange(-_FINE * _FINE_STEPS, _FINE * _FINE_STEPS) / _FINE_STEPS,
            np.arange(_FINE * _COARSE_STEPS, _COARSE * _COARSE_STEPS + 1) / _COARSE_STEPS,
        ]
    )
)


class Outliers(NamedTuple):
    """What scores are computed from: sums over the rows so far, older ones forgotten. Never changed once made."""

    counts: Float64Array  # (k,) rows of each cluster that weren't outliers
    squares: Float64Array  # (k,) the sums of their squared distances
    ratios: Float64Array  # (bins,) all rows, by the ratio of their squared distance to the spread
    scored: float  # rows that have been counted in the ratios; fewer after what made them worth less
    spread_rows: float  # the same of the counts
    found: int  # outliers, in the session's life
    far_left: float = 0.0  # far outliers that may still count in the ratios
    excess: float = 0.0  # outliers beyond what is no change, of late
    since: float = 0.0  # rows since the last outlier that wasn't far


class Scores(NamedTuple):
    """The scores of rows, and what the next ones are computed from."""

    scores: Float64Array  # (n,) in (0, 1]
    outliers: BoolArray  # (n,)
    after: Outliers


def no_scores(n_clusters: int, found: int = 0) -> Outliers:
    """Return what there is before the first row, with the number of outliers found before."""
    nothing = np.zeros(n_clusters)
    return Outliers(nothing, nothing, np.zeros(len(_EDGES) + 1), 0.0, 0.0, found)


def scored(
    outliers: Outliers,
    labels: LabelArray,
    squares: NDArray[np.floating[Any]],
    counting: BoolArray | None,
    kept: float,
    threshold: float,
    run: RunTasks,
) -> Scores:
    """Return the scores of rows.

    Parameters
    ----------
    outliers
        From the rows before them.
    labels, squares
        (n,) the cluster of each row, and its squared distance.
    counting
        (n,) which rows have a weight; None: all.
    kept
        The factor of what came before, as the half-life says: the spreads are those of the rows that still count.
    threshold
        Rows with a lower score are outliers.
    run
        Computes.
    """
    n = len(labels)
    scores, is_outlier = np.empty(n), np.empty(n, np.bool_)
    state = outliers._replace(counts=outliers.counts * kept, squares=outliers.squares * kept)

    def score(_: int) -> Iterator[None]:
        nonlocal state
        for start in range(0, n, CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            own = squares[chunk].astype(np.float64)
            counts = None if counting is None else counting[chunk]
            ratios, scores[chunk] = _ranked(state, labels[chunk], own)
            is_outlier[chunk] = scores[chunk] < threshold
            state = _with_rows(state, labels[chunk], own, ratios, is_outlier[chunk], counts, threshold)
            yield

    run(score, 1)
    return Scores(scores, is_outlier, state)


def scores_of(
    outliers: Outliers, labels: LabelArray, squares: NDArray[np.floating[Any]], run: RunTasks
) -> Float64Array:
    """Return the scores (n,) of rows that are assigned and don't count: of each as the next row."""
    scores = np.empty(len(labels))

    def score(_: int) -> Iterator[None]:
        for start in range(0, len(labels), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            scores[chunk] = _ranked(outliers, labels[chunk], squares[chunk].astype(np.float64))[1]
            yield

    run(score, 1)
    return scores


def rebased(
    outliers: Outliers, n_clusters: int, labels: LabelArray, weights: Float64Array, squares: Float64Array
) -> Outliers:
    """Return what scores are computed from after the centroids have been fitted anew.

    Parameters
    ----------
    outliers
        Before.
    n_clusters
        How many there are now.
    labels, weights, squares
        (m,) the cluster of each point of the summary, what it stands for, and the sum of that many squared distances.
    """
    counts = np.bincount(labels, weights, n_clusters).astype(np.float64)
    sums = np.bincount(labels, squares, n_clusters).astype(np.float64)
    before, after = _mean(outliers.counts, outliers.squares), _mean(counts, sums)
    left = min(after / before, 1.0) ** _TIGHTER_POWER if before > 0 else 1.0
    if n_clusters != len(outliers.counts):
        left = 0.0  # the ratios' shape is another, even where the clusters have become wider
    share = np.minimum(_REBASED_ROWS / np.where(counts > 0, counts, 1.0), 1.0)
    counts = counts * share
    return Outliers(
        counts,
        sums * share,
        outliers.ratios * left,
        outliers.scored * left,
        min(outliers.spread_rows, float(counts.sum())),
        outliers.found,
        outliers.far_left * left,
        outliers.excess,
        outliers.since * left,
    )


def outliers_bytes(n_clusters: int) -> int:
    """Return how many bytes the arrays take."""
    return 8 * (2 * n_clusters + len(_EDGES) + 1)


def _ranked(state: Outliers, labels: LabelArray, squares: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the ratios of rows to the spreads, and their scores, (n,) both."""
    mean = _mean(state.counts, state.squares)
    spreads = (state.squares + _PRIOR_ROWS * mean) / (state.counts + _PRIOR_ROWS)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.where(squares > 0, np.minimum(squares / spreads[labels], _BEYOND), 0.0)
    return ratios, _scores(state, ratios)


def _scores(state: Outliers, ratios: Float64Array) -> Float64Array:
    bins = _bins(ratios)
    total = float(state.ratios.sum())
    beyond = total - np.cumsum(state.ratios)  # (bins,) rows in the bins above each
    inside = np.clip((_UPPER[bins] - ratios) * _DENSITY[bins], 0.0, 1.0)
    # Differences of sums may be below 0 by a rounding.
    above = np.maximum(beyond[bins], 0.0) + np.where(_DENSITY[bins] > 0, inside, 1.0) * state.ratios[bins]
    scores: Float64Array = np.minimum((above + 1.0) / (total + 1.0), 1.0)
    return scores


def _bins(ratios: Float64Array) -> NDArray[np.intp]:
    return np.searchsorted(_EDGES, ratios, side="right")


_BEYOND = 2 * _EDGES[-1]
# The upper end of each bin, and one over its width: 0 for the bins below the first edge and above the last.
_UPPER = np.append(_EDGES, _EDGES[-1])
_DENSITY = np.concatenate([[0.0], 1 / np.diff(_EDGES), [0.0]])


def _with_rows(
    state: Outliers,
    labels: LabelArray,
    squares: Float64Array,
    ratios: Float64Array,
    is_outlier: BoolArray,
    counting: BoolArray | None,
    threshold: float,
) -> Outliers:
    found = state.found + int(np.count_nonzero(is_outlier))
    if counting is not None:
        labels, squares = labels[counting], squares[counting]
        ratios, is_outlier = ratios[counting], is_outlier[counting]
    rows = len(ratios)
    if not rows:
        return state._replace(found=found)
    usual = ~is_outlier
    labels, squares = labels[usual], squares[usual]
    spread_kept = _kept(state.spread_rows, rows, _SPREAD_MEMORY)
    k = len(state.counts)
    counts = state.counts * spread_kept + np.bincount(labels, minlength=k)
    sums = state.squares * spread_kept + np.bincount(labels, squares, k)
    state = state._replace(counts=counts, squares=sums, spread_rows=state.spread_rows + rows, found=found)
    if state.spread_rows == rows:  # the first rows have nothing to be compared with
        return state
    return _with_ratios(state, ratios[usual], ratios[is_outlier], threshold)


def _with_ratios(state: Outliers, usual: Float64Array, outlying: Float64Array, threshold: float) -> Outliers:
    """Return the state with the ratios of rows in it; or the first one, if they aren't of the same kind any more."""
    is_far = _scores(state, outlying / _FAR) < threshold
    rows, far = len(usual) + len(outlying), int(np.count_nonzero(is_far))
    near = len(outlying) - far
    excess = max(state.excess + len(outlying) - max(_EXCESS_SHARE, 2 * threshold) * rows, 0.0)
    can_be = float(state.ratios.sum()) * threshold > 1  # with fewer rows none can be an outlier
    since = 0.0 if near else state.since + rows * can_be
    if excess > _MAX_EXCESS or since * threshold > _MAX_EXPECTED:
        return no_scores(len(state.counts), state.found)
    may_count = state.far_left + _FAR_SHARE * threshold * rows
    counted = min(may_count, float(far))
    bins = len(state.ratios)
    ratios = state.ratios * _kept(state.scored, rows, max(_ROWS_BEYOND / threshold, _MIN_MEMORY))
    ratios += np.bincount(_bins(np.concatenate([usual, outlying[~is_far]])), minlength=bins)
    if far:
        ratios += np.bincount(_bins(outlying[is_far]), minlength=bins) * (counted / far)
    far_left = min(may_count - counted, _FAR_BURST * threshold * float(ratios.sum()))
    return state._replace(ratios=ratios, scored=state.scored + rows, far_left=far_left, excess=excess, since=since)


def _kept(rows: float, more: int, memory: float) -> float:
    """Return the factor of what earlier rows add up to, so that the newest `memory` count, and at first half of all.

    What the first rows said of a model that had yet to learn is so forgotten with the square of their share.
    """
    before = min(rows, memory)
    return before / (before + more)


def _mean(counts: Float64Array, squares: Float64Array) -> float:
    total = float(counts.sum())
    return float(squares.sum()) / total if total > 0 else 0.0
