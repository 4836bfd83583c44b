"""How a summary stays small: neighbouring buckets become one of half as many points, or somewhat fewer.

Points that are near one another become one, their mean with their scatter, or one of them and its mirror image: weight,
mean and the sum of squares stay exact. The cells are found by D², as in Ackermann et al., "StreamKM++: a clustering
algorithm for data streams", 2012.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from shoal_server.clustering.buckets import (
    Bucket,
    IndexArray,
    Reals,
    SummaryKernels,
    bucket_of,
    decayed,
    joined,
    mixed,
    nearest_centroids,
)
from shoal_server.engines.contract import Float64Array, LabelArray, RunTasks

# Of the total weight, below which a bucket counts nothing.
MIN_SHARE = 2.0**-40
# And a point in a bucket that is reduced: float64 holds no sum of such a weight and the others.
_MIN_POINT_SHARE = 1e-15
# Each costs a little whenever something is asked of the summary; beyond this many the smallest neighbours are joined.
MAX_BUCKETS = 32
# In so few columns a cell becomes two points, which estimate inertia without bias: of china.jpg and 64 fitted centres
# within 1 %, where means were 5 % too high, and its fits were 1 % worse. In more columns a mean is the better place to
# fit to: 120 centroids for 50 blobs in 8 columns were 0.7 % worse with pairs, and flights in 5 columns the same. But
# after a thousand merges means in 5 to 8 columns estimate inertia up to 8 % too high, and pairs within 5 %.
MAX_PAIR_FEATURES, MAX_MERGED_PAIR_FEATURES = 4, 8
# A reduction may leave as few as a third of the points, if the summary is small enough then: otherwise a second one
# would follow. A tenth fewer points were written so, and china.jpg's fits were 0.3 % better, since there are more
# points on average.
_LEAST_LEFT = 1 / 3
# It leaves at most half of them, and three quarters where summaries are merged: after a thousand merges the inertia of
# skewed rows in 14 columns was estimated 5.3 % too high with halves, and 3.5 % with three quarters.
MOST_LEFT, MOST_MERGED_LEFT = 1 / 2, 3 / 4
# Few points are halved together with their neighbours if these have at most so many times as much weight for each of
# their points.
_ALIKE = 4.0
# Points of more columns are divided into cells by count sketches of them: column c is added to column c modulo 64, with
# a sign that is drawn (Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2002; Weinberger and
# others, "Feature hashing for large scale multitask learning", 2009). Squared distances are right on average, with a
# standard deviation of 18 %. 2,700 points in 1,536 columns became half as many in 20 ms instead of 50 to 200, with 3 %
# more scatter inside them.
_MAX_SPLIT_FEATURES, _SKETCH_FEATURES = 128, 64
_PIECE_WORK = 1 << 22  # differences of two values, in 3 ms


def reduced(
    buckets: tuple[Bucket, ...],
    size: int,
    age: float,
    centroids: Reals,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
    *,
    at_once: int = 0,
    max_pair_features: int = MAX_PAIR_FEATURES,
    most_left: float = MOST_LEFT,
) -> tuple[Bucket, ...]:
    """Return buckets with at most `size` points together, made of these.

    Of two neighbours in time those are taken first that have most points for their weight, and half of the points are
    left, or somewhat fewer: so each point that goes costs no more than one that is written, and the points end up
    spread as the weight is.

    Parameters
    ----------
    buckets
        Oldest first.
    size
        How many points there may be, 1 or more.
    age
        At which their weights are compared.
    centroids
        (k, d) points of different clusters aren't mixed, if there are points enough for that.
    seed
        Of what is drawn.
    kernels, run
        Compute.
    at_once
        Fewer points than that aren't halved alone if others like them are beside them in time. Of many small buckets
        the cells are finer then: after a thousand merges of small summaries inertia is estimated within 1 %, and
        without it within 6 %. One after another, as blocks of a stream are closed, it makes no difference.
    max_pair_features
        In so many columns at most a cell becomes two points.
    most_left
        What of the points is left at most, if the buckets have few enough points then.

    Raises
    ------
    ValueError
        The size is below 1: whatever has weight is a point at least.
    """
    if size < 1:
        raise ValueError(f"size is {size}: buckets are reduced to 1 point at least")
    before = None
    while True:
        buckets = without_tiny_buckets(buckets, age)
        points = _points(buckets)
        if points <= size and len(buckets) <= MAX_BUCKETS:
            return buckets
        if before == (points, len(buckets)):
            raise AssertionError("buckets that are too many, or have too many points, become fewer")
        before = points, len(buckets)
        if points > size:
            first, last = _sparsest(buckets, age, at_once)
        else:
            first = min(range(len(buckets) - 1), key=lambda at: _points(buckets[at : at + 2]))
            last = first + 2
        some = buckets[first:last]
        whole = joined(some, max(bucket.age for bucket in some))
        if points > size:
            left = _points_left(_points(some), points - size, most_left)
            whole = reduced_bucket(
                whole, left, centroids, mixed(seed, first, points), kernels, run, max_pair_features
            )  # fmt: skip
        buckets = (*buckets[:first], whole, *buckets[last:])


def reduced_bucket(
    bucket: Bucket,
    size: int,
    centroids: Reals,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
    max_pair_features: int,
) -> Bucket:
    """Return a bucket of at most `size` points that stands for the same; parameters as those of `reduced`."""
    counting = bucket.weights > bucket.weight * _MIN_POINT_SHARE
    points, weights, scatter = bucket.points, bucket.weights, bucket.scatter
    if not counting.all():
        points, weights, scatter = points[counting], weights[counting], scatter[counting]
    if len(weights) <= size:
        return bucket_of(points, weights, scatter, bucket.age, bucket.rows)
    labels, squares = nearest_centroids(points, centroids, kernels, run)
    relative = weights / bucket.weight  # lest the product with a square overflow
    inner = scatter / bucket.weight
    pairs = points.shape[1] <= max_pair_features and size > 1
    order, stack, sets = _sets(labels, relative, relative * squares + inner, max(size // 2, 1) if pairs else size)
    sketches = points if points.shape[1] <= _MAX_SPLIT_FEATURES else _sketches(points, seed, run)
    progress = np.array([sets, 0, 0])
    count = int(stack[:sets, 2].sum()) * (2 if pairs else 1)
    means, mean_weights, mean_scatter = (
        np.empty((count, sketches.shape[1]), points.dtype),
        np.empty(count),
        np.empty(count),
    )
    nearest, cells, spare = np.empty(len(points)), np.empty(len(points), np.int64), np.empty(len(points), np.int64)
    places = np.empty(len(points), np.int32)

    def work(_: int) -> Iterator[None]:
        while not kernels.split_cells(
            sketches, relative, inner, order, stack, progress, seed, pairs, _PIECE_WORK, nearest, cells, spare, places,
            means, mean_weights, mean_scatter,
        ):  # fmt: skip
            yield

    run(work, 1)
    made = int(progress[1])
    if sketches is points:
        means = means[:made].copy()
    else:
        means, squares = _means(points, relative, places, made, kernels, run)
        mean_scatter = squares + np.bincount(places, inner, made)
    return bucket_of(
        means,
        mean_weights[:made] * bucket.weight,
        mean_scatter[:made] * bucket.weight,
        bucket.age,
        bucket.rows,
    )


def _sketches(points: Reals, seed: int, run: RunTasks) -> Reals:
    """Return points (n, d) in _SKETCH_FEATURES columns, about as far from one another, but for a common factor."""
    n, d = points.shape
    parts = -(-d // _SKETCH_FEATURES)
    signs = np.zeros((parts, _SKETCH_FEATURES), points.dtype)
    signs.reshape(-1)[:d] = np.random.default_rng(seed).choice(np.array([-1, 1], points.dtype), d)
    signs /= math.sqrt(parts)  # lest squares overflow that didn't
    sketches = np.zeros((n, _SKETCH_FEATURES), points.dtype)
    step = max(_PIECE_WORK // d, 1)

    def work(_: int) -> Iterator[None]:
        for first in range(0, n, step):
            rows = slice(first, first + step)
            for part, factors in enumerate(signs):
                columns = points[rows, part * _SKETCH_FEATURES : (part + 1) * _SKETCH_FEATURES]
                sketches[rows, : columns.shape[1]] += columns * factors[: columns.shape[1]]
            yield

    run(work, 1)
    return sketches


def _means(
    points: Reals, weights: Float64Array, places: LabelArray, count: int, kernels: SummaryKernels, run: RunTasks
) -> tuple[Reals, Float64Array]:
    """Return the mean (count, d) of the points (n, d) at each place (n,), and the squares around it (count,)."""
    (n, d), order = points.shape, np.argsort(places, kind="stable")
    begins = np.searchsorted(places[order], np.arange(count + 1))
    means, squares = np.empty((count, d), points.dtype), np.empty(count)
    step = max(_PIECE_WORK // d * count // n, 1)

    def work(_: int) -> Iterator[None]:
        for first in range(0, count, step):
            kernels.write_means(points, weights, order, begins, first, min(first + step, count), means, squares)
            yield

    run(work, 1)
    return means, squares


def _points_left(points: int, excess: int, most: float) -> int:
    """Return how many of some points are to be left, where there are so many too many in all."""
    enough = points - excess
    left = min(enough, int(points * most)) if enough >= _LEAST_LEFT * points else points // 2
    return max(left, 1)


def without_tiny_buckets(buckets: tuple[Bucket, ...], age: float) -> tuple[Bucket, ...]:
    """Return buckets without those that weigh next to nothing beside the others."""
    weights = [decayed(bucket.weight, bucket.age, age) for bucket in buckets]
    least = sum(weights) * MIN_SHARE
    return tuple([bucket for bucket, weight in zip(buckets, weights, strict=True) if weight > least])


def _sets(
    labels: LabelArray, weights: Float64Array, errors: Float64Array, size: int
) -> tuple[IndexArray, IndexArray, int]:
    """Return points sorted into sets, the stack of `split_cells` with these sets, and how many they are.

    A set is what has one label; all points are one set where the sets could make fewer than two cells each.
    """
    of_each = np.bincount(labels)
    live = of_each > 0
    counts, label_of = of_each[live], (np.cumsum(live) - 1)[labels]
    if 2 * len(counts) > size:
        label_of, counts = np.zeros(len(labels), np.int64), np.array([len(labels)])
    sets = len(counts)
    ends = np.cumsum(counts)
    stack = np.zeros((len(labels), 3), np.int64)
    stack[:sets, 0], stack[:sets, 1] = ends - counts, ends
    set_weights = np.bincount(label_of, weights, sets).astype(np.float64)
    set_errors = np.bincount(label_of, errors, sets).astype(np.float64)
    stack[:sets, 2] = _allotted(set_weights, set_errors, counts.astype(np.int64), size)
    # Of 16 bits they are sorted in a fifth of the time.
    keys = label_of.astype(np.uint16) if sets <= 1 << 16 else label_of
    return np.argsort(keys, kind="stable"), stack, sets


def _allotted(weights: Float64Array, errors: Float64Array, counts: IndexArray, size: int) -> IndexArray:
    """Return how many cells each set may make, (sets,): one, and the rest shared, half by weight and half by error.

    None gets more than it has points, (sets,) `counts`; together they get `size`, or all points.
    """
    share = weights / weights.sum()
    if errors.sum() > 0:
        share = 0.5 * share + 0.5 * errors / errors.sum()
    allotted = np.ones(len(counts), np.int64)
    while (left := size - int(allotted.sum())) > 0 and (free := allotted < counts).any():
        part = np.where(free, share, 0.0)
        more = np.zeros_like(allotted) if part.sum() <= 0 else (left * part / part.sum()).astype(np.int64)
        if not more.any():
            more[np.flatnonzero(free)[np.argsort(-part[free], kind="stable")[:left]]] = 1
        allotted = np.minimum(allotted + more, counts)
    return allotted


def _sparsest(buckets: tuple[Bucket, ...], age: float, at_once: int) -> tuple[int, int]:
    """Return where neighbours begin and end that are to become one bucket of half as many points.

    They are the two with most points for their weight, and as long as these are fewer than `at_once`, others like them
    beside them.
    """
    count = min(len(buckets), 2)
    first = min(range(len(buckets) - count + 1), key=lambda at: _sparsity(buckets[at : at + count], age))
    last = first + count
    most = _ALIKE * _sparsity(buckets[first:last], age)
    while _points(buckets[first:last]) < at_once:
        beside = [
            at for at in (first - 1, last) if 0 <= at < len(buckets) and _sparsity(buckets[at : at + 1], age) <= most
        ]
        if not beside:
            break
        chosen = min(beside, key=lambda at: _sparsity(buckets[at : at + 1], age))
        first, last = min(first, chosen), max(last, chosen + 1)
    return first, last


def _sparsity(buckets: tuple[Bucket, ...], age: float) -> float:
    """Return how much buckets weigh for each of their points."""
    return sum(decayed(bucket.weight, bucket.age, age) for bucket in buckets) / _points(buckets)


def _points(buckets: tuple[Bucket, ...]) -> int:
    return sum(len(bucket.weights) for bucket in buckets)
