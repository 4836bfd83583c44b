"""A bounded sample of a stream that centroids can be fitted to at any time, almost as well as to the stream itself.

It is a coreset in buckets that never change, with an open block of the newest rows: total weight and mean are exact,
forgetting applies as to the centroids, and it is the same, bit for bit, however the rows are grouped into calls. A
commit needs to write the buckets that are new, the last page of the open block's sample, and its sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.buckets import (
    Bucket,
    Reals,
    SummaryKernels,
    WeightedPoints,
    bucket_of,
    decayed,
    joined,
    mixed,
    total_of,
)
from shoal_server.clustering.open_block import (
    MAX_OVERSHOOT,
    OpenBlock,
    Reference,
    Rows,
    add_rows,
    begin_block,
    block_points,
    calibrated,
    followed,
)
from shoal_server.clustering.reduction import MAX_MERGED_PAIR_FEATURES, MOST_MERGED_LEFT, reduced, without_tiny_buckets
from shoal_server.engines.contract import BoolArray, Float64Array, LabelArray, RunTasks

Real = TypeVar("Real", bound=np.floating[Any])

# Rows wait until the row number is a multiple of this: a call for one row copies these instead of the sums (k, d).
CHUNK_ROWS = 64


class Summary(NamedTuple):
    """All that must last of a summary: arrays and numbers, never changed once made."""

    size: int  # points that the buckets may hold
    buckets: tuple[Bucket, ...]  # oldest first
    block: OpenBlock | None  # None: the next row begins one
    reference: Reference | None  # None: no rows have come
    waiting: Rows  # fewer than CHUNK_ROWS, which are not in the block yet
    rows: int  # that have come; the number of the next
    blocks: int  # that have been closed


def empty_summary(size: int, n_features: int, precision: np.dtype[Any]) -> Summary:
    """Return a summary without rows for points (n, n_features) of a precision.

    Its buckets hold at most `size` points, and its open block as many. A good size is 40 points a cluster, at least 20.
    """
    return Summary(size, (), None, None, _no_rows(n_features, precision), 0, 0)


def absorb(
    summary: Summary,
    points: Reals,
    sample_weight: Float64Array | None,
    labels: LabelArray,
    centroids: Reals,
    ages: Float64Array | float,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
    *,
    origin: Reals | None = None,
) -> Summary:
    """Return the summary with more rows.

    Parameters
    ----------
    summary
        Before them.
    points
        (n, d) C-contiguous, in the summary's precision.
    sample_weight
        (n,) rows of weight 0 don't count; None: all weigh 1.
    labels
        (n,) of the cluster that each row was assigned to.
    centroids
        (k, d) as they were before the first row that ever came. Later the summary keeps track of them itself, so that
        nothing depends on where a call begins; see `relabelled`.
    ages
        How many half-lives had passed when each row came, (n,), never falling; or a number for all.
    seed
        Of what is drawn: always the same for one summary.
    kernels, run
        Compute.
    origin
        (d,) what is to be subtracted from the points; None: nothing.
    """
    n, d = points.shape
    if not n:
        return summary
    if summary.reference is None:
        summary = summary._replace(reference=_first_reference(centroids, points.dtype))
    no_origin = np.zeros(d, points.dtype)
    points = _aligned(points)
    rows = Rows(
        points, np.empty(0) if sample_weight is None else _aligned(sample_weight), labels,
        ages if isinstance(ages, np.ndarray) else np.full(1, ages),
    )  # fmt: skip
    number, after = summary.rows, summary.rows + n
    due = after - after % CHUNK_ROWS - number
    if due > 0:
        summary = _with_waiting(summary, seed, kernels, run)
        first = Rows(points[:due], rows.weights[:due], labels[:due], rows.ages[:due])
        summary = _with_rows(summary, first, number, no_origin if origin is None else origin, seed, kernels, run)
    waiting = _waiting(summary.waiting, rows, max(due, 0), origin)
    return summary._replace(waiting=waiting, rows=after)


def open_block(summary: Summary, age: float, kernels: SummaryKernels) -> OpenBlock:
    """Return the open block, or one for rows of an age."""
    if summary.block is not None:
        return summary.block
    reference = _reference(summary)
    row_length = kernels.row_length(reference.centroids.shape[1])
    return begin_block(summary.buckets, reference, summary.size, age, row_length)


def with_open_block(summary: Summary, seed: int, kernels: SummaryKernels, run: RunTasks) -> tuple[Summary, OpenBlock]:
    """Return a summary that has an open block with the rows in it that have waited, which don't end it.

    The other parameters are those of `absorb`.
    """
    summary = _with_waiting(summary, seed, kernels, run)
    if summary.block is None:
        raise AssertionError("the rows that waited have ended the block")
    return summary, summary.block


def with_block_ended(summary: Summary, seed: int, kernels: SummaryKernels, run: RunTasks) -> Summary:
    """Return the summary with all rows in its buckets: of more points than its size, perhaps, until `relabelled`.

    The other parameters are those of `absorb`.
    """
    return _with_bucket(_with_waiting(summary, seed, kernels, run), kernels, run)


def weighted_points(summary: Summary, age: float, kernels: SummaryKernels, run: RunTasks) -> WeightedPoints:
    """Return what stands for all rows: weighted as of an age, in half-lives, that is not before the last row's."""
    return _counting(summary, without_tiny_buckets(_all_buckets(summary, kernels, run), age), age)[0]


def points_and_row_weights(
    summary: Summary, age: float, kernels: SummaryKernels, run: RunTasks
) -> tuple[WeightedPoints, Float64Array]:
    """Return `weighted_points`, and what each row weighs that they stand for, (m,): on average in their bucket."""
    buckets = without_tiny_buckets(_all_buckets(summary, kernels, run), age)
    points, counting = _counting(summary, buckets, age)
    each = [decayed(bucket.weight, bucket.age, age) / bucket.rows if bucket.rows > 0 else 0.0 for bucket in buckets]
    row_weights = np.repeat(np.array(each), [len(bucket.weights) for bucket in buckets])
    return points, row_weights[counting]


def max_weighted_points(summary: Summary) -> int:
    """Return how many points `weighted_points` has at most."""
    block, waiting = summary.block, len(summary.waiting.labels)
    # Of an open block each cluster that has lost all its rows is a point too.
    open_ = 0 if block is None else block.kept + len(block.counts)
    return sum(len(bucket.weights) for bucket in summary.buckets) + open_ + waiting


def total_weight(summary: Summary, age: float) -> float:
    """Return the weight of all rows as of an age, in half-lives."""
    block, waiting = summary.block, summary.waiting
    total = total_of(summary.buckets, age)
    if block is not None:
        total += decayed(float(block.totals[0]), block.begin, age)
    return total + float(np.dot(waiting.weights, 0.5 ** (age - waiting.ages)))


def relabelled(
    summary: Summary,
    centroids: Reals,
    weights: Float64Array,
    inertia: float,
    age: float,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
    *,
    is_reduced: bool = True,
) -> Summary:
    """Return the summary for rows to come whose labels mean other clusters: those of a refinement, or of another k.

    The open block ends: what it adds up to is of the clusters before. There are no more points than the size then,
    unless it is left to `within_size`.

    Parameters
    ----------
    summary
        Before.
    centroids, weights
        (k, d) in the summary's coordinates, and (k,).
    inertia
        Of a row of weight 1, as far as is known.
    age
        Half-lives that have passed.
    seed, kernels, run
        As for `absorb`.
    is_reduced
        False: it is left to `within_size`, which follows soon.
    """
    summary = with_block_ended(summary, seed, kernels, run)
    summary = within_size(summary, age, seed, kernels, run) if is_reduced else summary
    relative = np.array(centroids, summary.waiting.points.dtype, order="C")
    return summary._replace(reference=Reference(relative, weights.copy(), weights.copy(), age, inertia))


def within_size(summary: Summary, age: float, seed: int, kernels: SummaryKernels, run: RunTasks) -> Summary:
    """Return a summary with no more points in its buckets than its size; their weights compare at an age."""
    centroids = _reference(summary).centroids
    buckets = reduced(summary.buckets, summary.size, age, centroids, mixed(seed, summary.blocks - 1), kernels, run)
    return summary._replace(buckets=buckets)


def merge(
    one: Summary,
    other: Summary,
    age: float,
    other_age: float,
    shift: Float64Array,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
) -> Summary:
    """Return a summary of the rows of both, of the size of the first, and with its clusters if it has any.

    Parameters
    ----------
    one, other
        Of the same precision and number of columns.
    age, other_age
        How many half-lives have passed for each: rows that came as long before these weigh the same.
    shift
        (d,) what brings points of the other into the coordinates of the first.
    seed, kernels, run
        As for `absorb`.
    """
    one = with_block_ended(one, seed, kernels, run)
    other = with_block_ended(other, seed, kernels, run)
    moved = [
        bucket._replace(points=(bucket.points + shift).astype(bucket.points.dtype), age=bucket.age + age - other_age)
        for bucket in other.buckets
    ]
    reference = one.reference
    if reference is None:
        if other.reference is None:
            return one
        reference = _moved_reference(other.reference, shift, age - other_age)
    buckets = tuple(sorted([*one.buckets, *moved], key=lambda bucket: bucket.age))
    blocks = one.blocks + other.blocks
    buckets = reduced(
        buckets, one.size, age, reference.centroids, mixed(seed, blocks), kernels, run,
        at_once=one.size, max_pair_features=MAX_MERGED_PAIR_FEATURES, most_left=MOST_MERGED_LEFT,
    )  # fmt: skip
    return one._replace(buckets=buckets, reference=reference, rows=one.rows + other.rows, blocks=blocks)


def max_summary_bytes(size: int, n_clusters: int, n_features: int, precision: np.dtype[Any]) -> int:
    """Return how many bytes a summary's arrays take at most; while rows are absorbed it may be three times that."""
    row = n_features * precision.itemsize
    kept = MAX_OVERSHOOT * block_points(size)
    buckets = size * (row + 16)
    block = kept * (row + 12) + n_clusters * ((n_features + 7) * (precision.itemsize + 8) + 24) + 24  # in whole vectors
    reference = n_clusters * (row + 16)
    return buckets + block + reference + CHUNK_ROWS * (row + 20)


def _with_rows(
    summary: Summary, rows: Rows, number: int, origin: Reals, seed: int, kernels: SummaryKernels, run: RunTasks
) -> Summary:
    """Return the summary with rows in its blocks, the first of which has a number in the stream."""
    stop = 0
    while stop < len(rows.labels):
        block = open_block(summary, float(rows.ages[min(stop, len(rows.ages) - 1)]), kernels)
        block, stop, full = add_rows(block, rows, stop, number, origin, seed, kernels, run)
        summary = summary._replace(block=block)
        if full:
            summary = within_size(_with_bucket(summary, kernels, run), block.latest, seed, kernels, run)
            run(_one_piece, 1)
    return summary


def _one_piece(_: int) -> Iterator[None]:
    """Let others go first between two blocks."""
    yield


def _with_waiting(summary: Summary, seed: int, kernels: SummaryKernels, run: RunTasks) -> Summary:
    """Return the summary with the rows that have waited in its blocks."""
    waiting = summary.waiting
    count, d = waiting.points.shape
    if not count:
        return summary
    summary = summary._replace(waiting=_no_rows(d, waiting.points.dtype))
    no_origin = np.zeros(d, waiting.points.dtype)
    return _with_rows(summary, waiting, summary.rows - count, no_origin, seed, kernels, run)


def _with_bucket(summary: Summary, kernels: SummaryKernels, run: RunTasks) -> Summary:
    """Return the summary with its open block as a bucket."""
    block = summary.block
    if block is None:
        return summary
    bucket = calibrated(block, kernels, run)
    if bucket is None:
        return summary._replace(block=None)
    return summary._replace(
        buckets=(*summary.buckets, bucket),
        block=None,
        reference=followed(_reference(summary), block),
        blocks=summary.blocks + 1,
    )


def _all_buckets(summary: Summary, kernels: SummaryKernels, run: RunTasks) -> tuple[Bucket, ...]:
    """Return the buckets, and as such the open block and the rows that wait."""
    open_ = None if summary.block is None else calibrated(summary.block, kernels, run)
    waiting = summary.waiting
    counting = waiting.weights > 0
    buckets = summary.buckets if open_ is None else (*summary.buckets, open_)
    if not counting.any():
        return buckets
    age = float(waiting.ages[-1])
    factors = 0.5 ** (age - waiting.ages)
    last = bucket_of(
        waiting.points[counting],
        (waiting.weights * factors)[counting],
        np.zeros(int(counting.sum())),
        age,
        float(factors[counting].sum()),
    )
    return (*buckets, last)


def _counting(summary: Summary, buckets: tuple[Bucket, ...], age: float) -> tuple[WeightedPoints, BoolArray]:
    """Return the points of buckets that have not decayed to nothing, and which they are, (m,)."""
    if not buckets:
        empty = _no_rows(summary.waiting.points.shape[1], summary.waiting.points.dtype)
        return WeightedPoints(empty.points, empty.weights, np.empty(0)), np.zeros(0, np.bool_)
    whole = joined(buckets, age)
    counting = whole.weights > 0
    if counting.all():
        return WeightedPoints(whole.points, whole.weights, whole.scatter), counting
    return WeightedPoints(whole.points[counting], whole.weights[counting], whole.scatter[counting]), counting


def _waiting(waiting: Rows, rows: Rows, start: int, origin: Reals | None) -> Rows:
    """Return rows that wait, and those of a call from `start` on."""
    count = len(rows.labels) - start
    if not count:
        return waiting
    points = rows.points[start:] if origin is None else rows.points[start:] - origin
    return Rows(
        np.concatenate((waiting.points, points)),
        np.concatenate((waiting.weights, rows.weights[start:] if len(rows.weights) else np.ones(count))),
        np.concatenate((waiting.labels, rows.labels[start:])),
        np.concatenate((waiting.ages, rows.ages[start:] if len(rows.ages) > 1 else np.full(count, rows.ages[0]))),
    )


def _aligned(array: NDArray[Real]) -> NDArray[Real]:
    """Return an array as the kernels take it: those of a message lie anywhere."""
    return array if array.flags.aligned else array.copy()


def _no_rows(n_features: int, precision: np.dtype[Any]) -> Rows:
    return Rows(np.empty((0, n_features), precision), np.empty(0), np.empty(0, np.int32), np.empty(0))


def _first_reference(centroids: Reals, precision: np.dtype[Any]) -> Reference:
    nothing = np.zeros(len(centroids))
    return Reference(np.array(centroids, precision, order="C"), nothing, nothing, 0.0, 0.0)


def _moved_reference(reference: Reference, shift: Float64Array, later: float) -> Reference:
    centroids = (reference.centroids + shift).astype(reference.centroids.dtype)
    return reference._replace(centroids=centroids, age=reference.age + later)


def _reference(summary: Summary) -> Reference:
    if summary.reference is None:
        raise AssertionError("a summary that has rows has a reference")
    return summary.reference
