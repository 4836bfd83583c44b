"""The newest rows of a summary: a sample of them, and what all of them add up to, until they become a bucket.

A row is kept with a chance that grows with its distance from its cluster's middle and with the rarity of its cluster:
sensitivity sampling, as in Feldman and Langberg, "A unified framework for approximating and clustering data", 2011. All
that the chance depends on is fixed when the block begins, and the draw is a hash of the row's number: so the sample is
unbiased, and the same however the rows came. When the block is closed, weight, mean and scatter of each cluster's
sample are made those of all its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import Bucket, Reals, SummaryKernels, bucket_of, decayed, total_of
from shoal_server.engines.contract import Float64Array, LabelArray, RunTasks

# Half-lives that a block spans at most: what came before weighs nothing beside what comes then.
MAX_SPAN = 32.0
# How many blocks a summary's points are worth, and, once it is full, of how much weight a block is beside all before.
# With blocks of W/16 four times as many points are written, and the fit is no better.
_BLOCKS, _GROWTH = 8, 5
PAGE_ROWS = 256  # kept rows that are never copied again
_PIECE_WORK = 1 << 23  # values of rows added at once, in 5 ms
_MIN_SHARE = 1e-15  # of a block's weight: no sum of both has digits of less
_MAX_STRETCH = 2.0
_MAX_RATE = 1e300


class Rows(NamedTuple):
    """Rows of the stream, in their order."""

    points: Reals  # (n, d)
    weights: Float64Array  # (n,); empty: all 1
    labels: LabelArray  # (n,)
    ages: Float64Array  # (n,) half-lives that had passed when each came; or (1,), of all


class Reference(NamedTuple):
    """Where the clusters are for a summary: the update rule, applied block by block."""

    centroids: Reals  # (k, d)
    weights: Float64Array  # (k,) of all rows, as of an age
    recent: Float64Array  # (k,) of those of the last block
    age: float  # half-lives
    inertia: float  # of a row of weight 1


class KeptRows(NamedTuple):
    """Rows of a sample; the weights are those of the rows divided by their chance."""

    points: Reals  # (m, d)
    weights: Float64Array  # (m,)
    labels: LabelArray  # (m,)


class OpenBlock(NamedTuple):
    """The rows that have come since the last bucket. Weights are as of the age at which the block began."""

    begin: float  # age of the first row
    latest: float  # and of the last
    reference: Reals  # (k, d)
    uniform: float  # of the chance to be kept; infinite: all rows are
    by_distance: float
    by_label: Float64Array  # (k,)
    max_weight: float  # at which the block is full,
    max_rows: int  # or
    max_kept: int
    totals: Float64Array  # (3,): weight, decayed number and number of the rows
    counts: Float64Array  # (k,) weights of the rows of each label,
    sums: Float64Array  # (k, d) of weight times deviation from the reference,
    squares: Float64Array  # (k,) of weight times its square
    pages: tuple[KeptRows, ...]  # of PAGE_ROWS each
    page: KeptRows  # the last ones

    @property
    def kept(self) -> int:
        """How many rows the sample has."""
        return PAGE_ROWS * len(self.pages) + len(self.page.labels)


def begin_block(buckets: tuple[Bucket, ...], reference: Reference, size: int, age: float) -> OpenBlock:
    """Return a block without rows for a summary of `size` points that has these buckets.

    It is to hold size / 8 points, of a fifth of the weight of all rows before it; of rows fewer than `size` all.
    """
    centroids = reference.centroids
    k, d = centroids.shape
    rows = sum(decayed(bucket.rows, bucket.age, age) for bucket in buckets)
    kept = max(size // _BLOCKS, 1)
    uniform, by_distance, by_label, max_weight = np.inf, 0.0, np.zeros(k), np.inf
    if rows >= size:
        max_weight = total_of(buckets, age) / _GROWTH
        uniform = kept / (3 * max_weight)
        # By their squares where these are above average, and by their cluster's share of the weight.
        by_distance = min(uniform / max(reference.inertia, 1 / _MAX_RATE), _MAX_RATE)
        share = 0.5 * (_shares(reference.weights) + _shares(reference.recent))
        by_label = np.full(k, _MAX_RATE)
        np.divide(uniform, share * np.count_nonzero(share), out=by_label, where=share > 1 / _MAX_RATE)
    nothing = KeptRows(np.empty((0, d), centroids.dtype), np.empty(0), np.empty(0, np.int32))
    return OpenBlock(
        age, age, centroids, uniform, by_distance, by_label, max_weight, kept if rows < size else 1 << 62, 2 * kept,
        np.zeros(3), np.zeros(k), np.zeros((k, d)), np.zeros(k), (), nothing,
    )  # fmt: skip


def add_rows(
    block: OpenBlock,
    rows: Rows,
    start: int,
    first_number: int,
    origin: Reals,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
) -> tuple[OpenBlock, int, bool]:
    """Return the block with rows from `start` on, up to which it has them, and whether it is full.

    The number of row 0 in the stream is `first_number`; rows are relative to zero after `origin` (d,) is subtracted.
    """
    totals, counts, sums, squares = (
        block.totals.copy(), block.counts.copy(), block.sums.copy(), block.squares.copy(),
    )  # fmt: skip
    room = block.max_kept - block.kept
    kept, kept_weights = np.empty(room, np.int64), np.empty(room)
    stop, found, full = start, 0, False
    n, d = rows.points.shape
    piece = max(_PIECE_WORK // d, 1)

    def work(_: int) -> Iterator[None]:
        nonlocal stop, found, full
        while stop < n and not full:
            if stop > start:
                yield
            stop, more, full = kernels.sample_rows(
                rows.points, rows.weights, rows.labels, rows.ages, stop, min(stop + piece, n), first_number, seed,
                origin, block.reference, block.begin, MAX_SPAN, block.uniform, block.by_distance, block.by_label,
                block.max_weight, block.max_rows, totals, counts, sums, squares, kept[found:], kept_weights[found:],
            )  # fmt: skip
            found += more

    run(work, 1)
    chosen = kept[:found]
    new = KeptRows(rows.points[chosen] - origin, kept_weights[:found], rows.labels[chosen])
    pages, page = _paged(block.page, new)
    latest = block.latest if stop == start else float(rows.ages[min(stop, len(rows.ages)) - 1])
    block = block._replace(
        latest=latest, totals=totals, counts=counts, sums=sums, squares=squares, pages=block.pages + pages, page=page
    )
    return block, stop, full


def calibrated(block: OpenBlock) -> Bucket | None:
    """Return what the block's rows are as a bucket; None: it has no rows.

    Of each cluster the weights are scaled to the weight of all its rows, the deviations from the mean to their scatter,
    at most twofold, and the points are shifted to their mean. What of the scatter is missing then is noted as such. A
    cluster none of whose rows was kept becomes one point.
    """
    weight, decayed_rows, rows = block.totals
    if not rows:
        return None
    parts = (*block.pages, block.page)
    points = np.concatenate([part.points for part in parts])
    weights = np.concatenate([part.weights for part in parts])
    if np.isinf(block.uniform):
        return bucket_of(points, weights, np.zeros(len(weights)), block.begin, float(decayed_rows))
    labels = np.concatenate([part.labels for part in parts])
    live = block.counts > weight * _MIN_SHARE
    if not live[labels].all():
        counting = live[labels]
        points, weights, labels = points[counting], weights[counting], labels[counting]
    exact = _Moments(block.counts, block.sums, block.squares, live)
    deviations = points.astype(np.float64) - block.reference[labels]
    sampled = np.bincount(labels, weights, len(live))
    present = sampled > 0
    deviations -= _means(deviations, weights, labels, sampled)[labels]
    factor = np.divide(block.counts, sampled, out=np.zeros(len(live)), where=present)
    weights *= factor[labels]
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.bincount(labels, weights * np.einsum("nd,nd->n", deviations, deviations), len(live))
        wanted = np.where(np.isfinite(exact.scatter), exact.scatter, found)
        stretch = np.ones(len(live))
        np.divide(wanted, found, out=stretch, where=found > 1e-9 * wanted)
        stretch = np.clip(np.sqrt(stretch), 1 / _MAX_STRETCH, _MAX_STRETCH)
        missing = np.maximum(wanted - stretch**2 * found, 0.0)
        missing = np.where(np.isfinite(missing), missing, 0.0)
    scatter = weights * np.divide(missing, block.counts, out=np.zeros(len(live)), where=live)[labels]
    middles = block.reference + exact.means
    moved = (middles[labels] + stretch[labels, None] * deviations).astype(points.dtype)
    lost = live & ~present
    if lost.any():
        moved = np.concatenate([moved, middles[lost].astype(points.dtype)])
        weights = np.concatenate([weights, block.counts[lost]])
        scatter = np.concatenate([scatter, wanted[lost]])
    return bucket_of(moved, weights, scatter, block.begin, float(decayed_rows))


def followed(reference: Reference, block: OpenBlock) -> Reference:
    """Return the reference after a block: each centroid is the mean of all its cluster's rows."""
    weights = reference.weights * decayed(1.0, reference.age, block.begin) + block.counts
    shift = np.divide(block.sums, weights[:, None], out=np.zeros_like(block.sums), where=block.counts[:, None] > 0)
    weight = float(block.totals[0])
    inertia = float(block.squares.sum()) / weight if weight else reference.inertia
    centroids = (reference.centroids + shift).astype(reference.centroids.dtype)
    return Reference(centroids, weights, block.counts, block.begin, inertia)


class _Moments:
    """What all rows of a block add up to."""

    def __init__(self, counts: Float64Array, sums: Float64Array, squares: Float64Array, live: LabelArray) -> None:
        self.means = np.divide(sums, counts[:, None], out=np.zeros_like(sums), where=live[:, None])
        with np.errstate(over="ignore", invalid="ignore"):
            inside = squares - counts * np.einsum("kd,kd->k", self.means, self.means)
        self.scatter = np.where(live, np.maximum(inside, 0.0), 0.0)


def _means(values: Float64Array, weights: Float64Array, labels: LabelArray, totals: Float64Array) -> Float64Array:
    """Return the weighted mean (k, d) of the rows of each label; 0 without any."""
    means = np.zeros((len(totals), values.shape[1]))
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    if len(present):
        sums = np.add.reduceat(weights[order, None] * values[order], starts, axis=0)
        means[present] = sums / totals[present, None]
    return means


def _paged(page: KeptRows, new: KeptRows) -> tuple[tuple[KeptRows, ...], KeptRows]:
    """Return a page with more rows as whole pages, and the rest."""
    if not len(new.labels):
        return (), page
    whole = KeptRows(*map(np.concatenate, zip(page, new, strict=True)))
    count = len(whole.labels) // PAGE_ROWS
    pages = [
        KeptRows(*[field[PAGE_ROWS * number : PAGE_ROWS * (number + 1)] for field in whole]) for number in range(count)
    ]
    return tuple(pages), whole if not count else KeptRows(*[field[PAGE_ROWS * count :].copy() for field in whole])


def _shares(weights: Float64Array) -> Float64Array:
    total = weights.sum()
    return weights / total if total > 0 else np.zeros_like(weights)
