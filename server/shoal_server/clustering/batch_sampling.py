"""Batches that go into a summary as a whole, with what the update rule has computed of them already.

A block of a summary takes a batch so if all of it has room; if not, or if it is a small one, or so large that it is
worked through in pieces, its rows go in one by one. Which way depends on the batches before and the batch alone: so it
is the same however they are grouped into calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import SummaryKernels
from shoal_server.clustering.open_block import MAX_SPAN, KeptRows, OpenBlock, Rows, with_kept
from shoal_server.clustering.summary import Summary, open_block, with_open_block
from shoal_server.engines.contract import Frame, PointArray, RowSample, RunTasks

# Rows that a batch has at least, for small centroids and for large ones: copying and adding up _VALUES_A_ROW values of
# sums costs as much as a row, so smaller batches are better added row by row, many at a time.
_MIN_ROWS_OF_SMALL, _MIN_ROWS_OF_LARGE, _VALUES_A_ROW = 16, 256, 16
# Rows and values of a batch, which are added at once, in up to 3 ms.
MAX_ROWS, MAX_VALUES = 1 << 18, 1 << 20
_DRAWS = 1024  # rows that are drawn for at a time
# Room in a sample: how often as many as are expected, and some more. Arrays for all rows of a call, which a block can
# keep, took longer to get from the system than all else here.
_TIMES_EXPECTED, _SPARE_ROOM = 4, 256
# Weights are added up in another order here than in the kernels, which decide.
_ROUNDING = 1e-9


class Sampling(NamedTuple):
    """A summary, and what the batches after it are added to."""

    summary: Summary
    block: OpenBlock  # of the summary
    sample: RowSample
    batches: int  # how many of the first ones are expected to have room
    has_all_room: bool  # whether the sample has as much as the block; else it may fail for lack of it alone


def is_sampled_whole(rows: int, frame: Frame) -> bool:
    """Return whether a batch of so many rows may go into a summary as a whole."""
    return min_rows(*frame.centroids.shape) <= rows <= MAX_ROWS and rows * frame.centroids.shape[1] <= MAX_VALUES


@lru_cache(maxsize=1024)
def min_rows(k: int, d: int) -> int:
    """Return how many rows such a batch has at least."""
    return min(max(k * d // _VALUES_A_ROW, _MIN_ROWS_OF_SMALL), _MIN_ROWS_OF_LARGE)


def begin_sampling(
    summary: Summary,
    batches: Sequence[PointArray],
    weights: Iterable[float],
    ages: Sequence[float],
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
    *,
    all_room: bool = False,
) -> Sampling | None:
    """Return what takes the first of some batches as a whole; None: the first one's rows go in one by one.

    Parameters
    ----------
    summary
        Before them.
    batches
        m of (n, d), in the summary's precision.
    weights
        What the rows of each weigh; asked for only as far as there is room.
    ages
        How many half-lives had passed when each came.
    seed, kernels, run
        As for `absorb`.
    all_room
        Whether to make room for all rows that the block can keep; else for a few times as many as are expected. If that
        is too little, it is to be done again, with all room: the result must not depend on what was expected.
    """
    if summary.reference is None:
        return None
    block = open_block(summary, float(summary.waiting.ages[0]) if len(summary.waiting.ages) else ages[0], kernels)
    if np.isinf(block.uniform) or _may_end(block, summary.waiting):
        return None  # all rows are kept, so their sums aren't needed; or work that is lost with a batch that is invalid
    summary, block = with_open_block(summary._replace(block=block), seed, kernels, run)
    count, added = _batches_with_room(block, weights, ages)
    if not count:
        return None
    rows = list(map(len, batches[:count]))
    most = min(block.max_kept - block.kept, sum(rows) + 1)
    room = most if all_room else min(most, _room(block, added))
    (k, d), precision = (len(block.counts), batches[0].shape[1]), block.reference.dtype
    sample = RowSample(
        block.reference,
        np.array((block.uniform, block.by_distance)),
        block.by_label,
        np.array((block.max_weight,)),
        np.array((seed, summary.rows)),
        np.array([2.0 ** (age - block.begin) for age in ages[:count]]),
        block.totals.copy(),
        block.counts.copy(),
        block.sums.copy(),
        block.squares.copy(),
        np.empty((room, d), precision),
        np.empty(room),
        np.empty(room, np.int32),
        np.zeros(2, np.int64),
        np.empty(max(rows), precision),
        np.empty(max(rows), np.int32),
        np.empty(k),
        np.empty(_DRAWS),
        np.empty(_DRAWS, np.int64),
    )
    return Sampling(summary, block, sample, count, room == most)


def with_batches(sampling: Sampling, rows: int, age: float) -> Summary:
    """Return the summary with batches that the sample has: so many rows, the last of which came at an age."""
    summary, block, sample, *_ = sampling
    found = slice(sample.found[0])
    new = KeptRows(sample.kept[found], sample.kept_weight[found], sample.kept_label[found])
    block = with_kept(block, new, age, sample.totals, sample.counts, sample.sums, sample.squares)
    return summary._replace(block=block, rows=summary.rows + rows)


def _may_end(block: OpenBlock, waiting: Rows) -> bool:
    """Return whether a block may end with rows that wait."""
    if not len(waiting.ages):
        return False
    passed = float(waiting.ages[-1]) - block.begin
    if passed > MAX_SPAN or block.kept + len(waiting.ages) >= block.max_kept:
        return True
    added = float(waiting.weights.sum()) * 2.0**passed
    return bool(block.totals[0] + added >= block.max_weight * (1 - _ROUNDING))


def _room(block: OpenBlock, added: float) -> int:
    """Return a few times as many rows as are expected to be kept of those that add so much to the block's weight."""
    return _SPARE_ROOM + int(_TIMES_EXPECTED * 3 * block.uniform * added)  # see `begin_block`


def _batches_with_room(block: OpenBlock, weights: Iterable[float], ages: Sequence[float]) -> tuple[int, float]:
    """Return how many batches a block has room for by their weight, and what that adds."""
    before = float(block.totals[0])
    total, most = before, block.max_weight * (1 + _ROUNDING)
    for count, (weight, age) in enumerate(zip(weights, ages, strict=True)):
        passed = age - block.begin
        after = total + weight * 2.0**passed if passed <= MAX_SPAN else most
        if not after < most:
            return count, total - before
        total = after
    return len(ages), total - before
