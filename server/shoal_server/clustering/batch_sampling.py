"""Batches that go into a summary as a whole, with what the update rule has computed of them already.

A block of a summary takes a batch so if all of it has room; if not, or if it is a small one, or so large that it is
worked through in pieces, its rows go in one by one. Which way is for the batch and the block alone to say: so it is the
same however batches are grouped into calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import SummaryKernels
from shoal_server.clustering.open_block import MAX_SPAN, KeptRows, OpenBlock, with_kept
from shoal_server.clustering.summary import Summary, with_open_block
from shoal_server.engines.contract import PointArray, RowSample, RunTasks

# Rows of a batch: to add one costs as much as to add k·d values, so fewer are better added with others.
MIN_ROWS = 256
# Values of a batch, which are added at once: up to 5 ms, and 8 MB of distances.
MAX_VALUES = 1 << 20
# Weights are added up in another order here than in the kernels, which decide.
_ROUNDING = 1e-9


class Sampling(NamedTuple):
    """A summary, and what the batches after it are added to."""

    summary: Summary
    block: OpenBlock  # of the summary
    sample: RowSample
    batches: int  # how many of the first ones are expected to have room


def is_sampled_whole(rows: int, n_features: int) -> bool:
    """Return whether a batch of so many rows may go into a summary as a whole."""
    return rows >= MIN_ROWS and rows * n_features <= MAX_VALUES


def begin_sampling(
    summary: Summary,
    batches: Sequence[PointArray],
    weights: Sequence[float],
    ages: Sequence[float],
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
) -> Sampling | None:
    """Return what takes the first of some batches as a whole; None: the first one's rows go in one by one.

    Parameters
    ----------
    summary
        Before them.
    batches
        m of (n, d), in the summary's precision.
    weights
        What the rows of each weigh.
    ages
        How many half-lives had passed when each came.
    seed, kernels, run
        As for `absorb`.
    """
    if summary.reference is None:
        return None
    summary, block = with_open_block(summary, ages[0], seed, kernels, run)
    count = _batches_with_room(block, weights, ages)
    if not count:
        return None
    rows = list(map(len, batches[:count]))
    room = min(block.max_kept - block.kept, sum(rows) + 1)
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
        np.empty(k),
    )
    return Sampling(summary, block, sample, count)


def with_batches(sampling: Sampling, rows: int, age: float) -> Summary:
    """Return the summary with batches that the sample has: so many rows, the last of which came at an age."""
    summary, block, sample, _ = sampling
    found = slice(sample.found[0])
    new = KeptRows(sample.kept[found], sample.kept_weight[found], sample.kept_label[found])
    block = with_kept(block, new, age, sample.totals, sample.counts, sample.sums, sample.squares)
    return summary._replace(block=block, rows=summary.rows + rows)


def _batches_with_room(block: OpenBlock, weights: Sequence[float], ages: Sequence[float]) -> int:
    """Return how many batches a block has room for, unless more of their rows are kept than is to be expected."""
    if np.isinf(block.uniform):
        return 0  # all rows are kept: their sums aren't needed
    total, most = float(block.totals[0]), block.max_weight * (1 + _ROUNDING)
    span = ages[-1] - block.begin
    if span <= MAX_SPAN and total + sum(weights) * 2.0**span < block.max_weight * (1 - _ROUNDING):
        return len(weights)
    for count, (weight, age) in enumerate(zip(weights, ages, strict=True)):
        total += weight * 2.0 ** (age - block.begin)
        if not total < most or age - block.begin > MAX_SPAN:
            return count
    return len(weights)
