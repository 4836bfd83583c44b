"""The newest rows of a summary: a sample of them, and what all of them add up to, until they become a bucket.

A row is kept with a chance that grows with its distance from its cluster's middle and with the rarity of its cluster:
sensitivity sampling, as in Feldman and Langberg, "A unified framework for approximating and clustering data", 2011. All
that the chance depends on is fixed when the block begins, and the draw is a hash of the row's number: so the sample is
unbiased, and the same however the rows came. When the block is closed, weight, mean and scatter of each cluster's
sample are made those of all its rows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import Bucket, Reals, SummaryKernels, WeightedPoints, bucket_of, decayed, total_of
from shoal_server.engines.contract import BoolArray, Float64Array, LabelArray, RunTasks

# Half-lives that a block spans at most: what came before weighs nothing beside what comes then.
MAX_SPAN = 32.0
# What a block is to hold of a summary's size; and, once that many rows have come, of the weight of all before it. Many
# small blocks are worse: to make room for them points become fewer again and again. With eighths of the size and fifths
# of the weight as many points were written, and china.jpg's and flower.jpg's fits were 1 % and 0.3 % worse.
_SIZE_DIVISOR, _WEIGHT_FACTOR = 2, 1 / 2
# Once many rows have come (decayed), of all their weight: to end a block takes some 2 ms. Ingest of 3 columns was 6 %
# slower where blocks had twice the weight. On 2.4 million rows that stay the same estimates of inertia were off by
# 0.26 % on average, and by 0.21 % with twice, 0.15 % with once the weight. Before that many rows china.jpg's fits were
# 0.7 % worse with blocks of all the weight.
_MANY_ROWS, _LATER_WEIGHT_FACTOR = 300_000, 3
# A block ends when it has kept so many times as many rows as it was to: the rows aren't what they were before.
MAX_OVERSHOOT = 2
PAGE_ROWS = 256  # kept rows that are never copied again
_PIECE_WORK = 1 << 23  # values of rows added at once, in 5 ms,
_PIECE_VALUES = 1 << 22  # and of rows calibrated
_MIN_SHARE = 1e-15  # of a block's weight: no sum of both has digits of less
_MAX_STRETCH = 2.0
_MIN_FOUND = 1e-9  # of the scatter, in the sample: less can't be stretched to it
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
    reference: Reals  # (k, length): d columns, and zeros behind them; see SummaryKernels.row_length
    uniform: float  # of the chance to be kept; infinite: all rows are
    by_distance: float
    by_label: Float64Array  # (k,)
    max_weight: float  # at which the block is full,
    max_rows: int  # or
    max_kept: int
    totals: Float64Array  # (3,): weight, decayed number and number of the rows
    counts: Float64Array  # (k,) weights of the rows of each label,
    sums: Float64Array  # (k, length) of weight times deviation from the reference,
    squares: Float64Array  # (k,) of weight times its square
    pages: tuple[KeptRows, ...]  # of PAGE_ROWS each
    page: KeptRows  # the last ones

    @property
    def kept(self) -> int:
        """How many rows the sample has."""
        return PAGE_ROWS * len(self.pages) + len(self.page.labels)


def block_points(size: int) -> int:
    """Return how many points a block of a summary of `size` points is to hold."""
    return max(size // _SIZE_DIVISOR, 1)


def begin_block(buckets: tuple[Bucket, ...], reference: Reference, size: int, age: float, row_length: int) -> OpenBlock:
    """Return a block without rows for a summary of `size` points that has these buckets.

    It is to hold half as many points, and ends at half the weight of all rows before it; once these are many, at three
    times that weight. While they are fewer than `size` all rows are kept.
    """
    centroids = reference.centroids
    k, d = centroids.shape
    rows = sum(decayed(bucket.rows, bucket.age, age) for bucket in buckets)
    kept = block_points(size)
    uniform, by_distance, by_label, max_weight = np.inf, 0.0, np.zeros(k), np.inf
    if rows >= size:
        max_weight = total_of(buckets, age) * (_WEIGHT_FACTOR if rows < _MANY_ROWS else _LATER_WEIGHT_FACTOR)
        uniform = kept / (3 * max_weight)
        # By their squares where these are above average, and by their cluster's share of the weight.
        by_distance = min(uniform / max(reference.inertia, 1 / _MAX_RATE), _MAX_RATE)
        share = 0.5 * (_shares(reference.weights) + _shares(reference.recent))
        by_label = np.full(k, _MAX_RATE)
        np.divide(uniform, share * np.count_nonzero(share), out=by_label, where=share > 1 / _MAX_RATE)
    nothing = KeptRows(np.empty((0, d), centroids.dtype), np.empty(0), np.empty(0, np.int32))
    max_rows = kept if rows < size else 1 << 62
    padded = np.zeros((k, row_length), centroids.dtype)
    padded[:, :d] = centroids
    return OpenBlock(
        age, age, padded, uniform, by_distance, by_label, max_weight, max_rows, MAX_OVERSHOOT * kept, np.zeros(3),
        np.zeros(k), np.zeros((k, row_length)), np.zeros(k), (), nothing,
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
    padded_origin = np.zeros(block.reference.shape[1], origin.dtype)
    padded_origin[:d] = origin

    def work(_: int) -> Iterator[None]:
        nonlocal stop, found, full
        while stop < n and not full:
            if stop > start:
                yield
            stop, more, full = kernels.sample_rows(
                rows.points, rows.weights, rows.labels, rows.ages, stop, min(stop + piece, n), first_number, seed,
                padded_origin, block.reference, block.begin, MAX_SPAN, block.uniform, block.by_distance, block.by_label,
                block.max_weight, block.max_rows, totals, counts, sums, squares, kept[found:], kept_weights[found:],
            )  # fmt: skip
            found += more

    run(work, 1)
    chosen = kept[:found]
    latest = block.latest if stop == start else float(rows.ages[min(stop, len(rows.ages)) - 1])
    new = KeptRows(rows.points[chosen] - origin, kept_weights[:found], rows.labels[chosen])
    return with_kept(block, new, latest, totals, counts, sums, squares), stop, full


def with_kept(
    block: OpenBlock,
    new: KeptRows,
    latest: float,
    totals: Float64Array,
    counts: Float64Array,
    sums: Float64Array,
    squares: Float64Array,
) -> OpenBlock:
    """Return the block with more rows in its sample, and with what all its rows add up to now."""
    pages, page = _paged(block.page, new)
    return block._replace(
        latest=latest, totals=totals, counts=counts, sums=sums, squares=squares, pages=block.pages + pages, page=page
    )


def calibrated(block: OpenBlock, kernels: SummaryKernels, run: RunTasks) -> Bucket | None:
    """Return what the block's rows are as a bucket; None: it has no rows.

    Of each cluster the weights are scaled to the weight of all its rows, the deviations from the mean to their scatter,
    at most twofold, and the points are shifted to their mean. What of the scatter is missing then is noted as such. A
    cluster none of whose rows was kept becomes one point.
    """
    decayed_rows, rows = float(block.totals[1]), block.totals[2]
    if not rows:
        return None
    sample = _joined((*block.pages, block.page))
    if np.isinf(block.uniform):
        return bucket_of(sample.points, sample.weights, np.zeros(len(sample.weights)), block.begin, decayed_rows)
    live = block.counts > block.totals[0] * _MIN_SHARE
    if not live[sample.labels].all():
        counting = live[sample.labels]
        sample = KeptRows(sample.points[counting], sample.weights[counting], sample.labels[counting])
    made: list[WeightedPoints] = []

    def work(_: int) -> Iterator[None]:
        made.append((yield from _calibration(block, sample, live, kernels)))

    run(work, 1)
    return bucket_of(*made[0], block.begin, decayed_rows)


def _calibration(
    block: OpenBlock, sample: KeptRows, live: BoolArray, kernels: SummaryKernels
) -> Generator[None, None, WeightedPoints]:
    """Return the sample calibrated to what all rows of the clusters (k,) that are `live` add up to."""
    points, weights, labels = sample
    k, (n, d) = len(block.sums), points.shape
    step = max(_PIECE_VALUES // d, 1)
    pieces = [(first, min(first + step, n)) for first in range(0, n, step)]
    sampled = np.bincount(labels, weights, k)
    present = sampled > 0
    means = np.zeros((k, d))  # of the deviations from the reference, in the sample
    for piece in pieces:
        kernels.add_deviations(points, weights, labels, *piece, block.reference, means)
        yield
    np.divide(means, sampled[:, None], out=means, where=present[:, None])
    weights = weights * np.divide(block.counts, sampled, out=np.zeros(k), where=present)[labels]
    reference = block.reference[:, :d].astype(np.float64)
    middles = reference + means
    found = np.zeros(k)
    for piece in pieces:
        kernels.add_squares(points, weights, labels, *piece, middles, found)
        yield
    exact, wanted = _moments(block, live, d)
    stretch, missing = _stretch(found, np.where(np.isfinite(wanted), wanted, found))
    goals = reference + exact
    lost = live & ~present
    moved = np.empty((n + int(lost.sum()), d), points.dtype)
    for piece in pieces:
        kernels.stretch_rows(points, labels, *piece, middles, stretch, goals, moved)
        yield
    moved[n:] = goals[lost]
    scatter = weights * np.divide(missing, block.counts, out=np.zeros(k), where=live)[labels]
    return WeightedPoints(
        moved,
        np.concatenate([weights, block.counts[lost]]),
        np.concatenate([scatter, np.where(np.isfinite(wanted), wanted, 0.0)[lost]]),
    )


def _moments(block: OpenBlock, live: BoolArray, d: int) -> tuple[Float64Array, Float64Array]:
    """Return of all rows of each label the mean deviation from the reference (k, d), and the scatter around it (k,)."""
    sums = block.sums[:, :d]
    means = np.divide(sums, block.counts[:, None], out=np.zeros_like(sums), where=live[:, None])
    with np.errstate(over="ignore", invalid="ignore"):
        scatter = np.maximum(block.squares - block.counts * np.einsum("kd,kd->k", means, means), 0.0)
    return means, np.where(live, scatter, 0.0)


def _stretch(found: Float64Array, wanted: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return what to multiply deviations of each label by, and the scatter that is missing then, (k,)."""
    ratio = np.ones(len(found))
    with np.errstate(over="ignore", invalid="ignore"):
        np.divide(wanted, found, out=ratio, where=found > _MIN_FOUND * wanted)
        stretch = np.clip(np.sqrt(ratio), 1 / _MAX_STRETCH, _MAX_STRETCH)
        missing = np.maximum(wanted - stretch**2 * found, 0.0)
    return stretch, np.where(np.isfinite(missing), missing, 0.0)


def followed(reference: Reference, block: OpenBlock) -> Reference:
    """Return the reference after a block: each centroid is the mean of all its cluster's rows."""
    weights = reference.weights * decayed(1.0, reference.age, block.begin) + block.counts
    sums = block.sums[:, : reference.centroids.shape[1]]
    shift = np.divide(sums, weights[:, None], out=np.zeros_like(sums), where=block.counts[:, None] > 0)
    weight = float(block.totals[0])
    inertia = float(block.squares.sum()) / weight if weight else reference.inertia
    centroids = (reference.centroids + shift).astype(reference.centroids.dtype)
    return Reference(centroids, weights, block.counts, block.begin, inertia)


def _joined(parts: tuple[KeptRows, ...]) -> KeptRows:
    return KeptRows(*map(np.concatenate, zip(*parts, strict=True)))


def _paged(page: KeptRows, new: KeptRows) -> tuple[tuple[KeptRows, ...], KeptRows]:
    """Return a page with more rows as whole pages, and the rest."""
    if not len(new.labels):
        return (), page
    whole = _joined((page, new))
    begins = range(0, len(whole.labels) - PAGE_ROWS + 1, PAGE_ROWS)
    pages = tuple([_part(whole, begin, begin + PAGE_ROWS) for begin in begins])
    return pages, _part(whole, PAGE_ROWS * len(pages), len(whole.labels)) if pages else whole


def _part(rows: KeptRows, begin: int, end: int) -> KeptRows:
    return KeptRows(rows.points[begin:end].copy(), rows.weights[begin:end].copy(), rows.labels[begin:end].copy())


def _shares(weights: Float64Array) -> Float64Array:
    total = weights.sum()
    return weights / total if total > 0 else np.zeros_like(weights)
