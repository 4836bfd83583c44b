"""What a summary is made of: weighted points, immutable buckets of them, and the kernels that make them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import (
    Float64Array,
    Frame,
    LabelArray,
    PointArray,
    RowSample,
    RunTasks,
    UnusablePoints,
    max_value,
)

Reals = NDArray[np.floating[Any]]
IndexArray = NDArray[np.int64]


class WeightedPoints(NamedTuple):
    """Points that each stand for many. They cost centroids Σ weight·(squared distance to the nearest) + Σ scatter."""

    points: Reals  # (m, d) in the model's precision, relative to its origin
    weights: Float64Array  # (m,)
    scatter: Float64Array  # (m,) weighted squares of what a point stands for, around it


class Bucket(NamedTuple):
    """A part of a summary. Never changed once made.

    Weights are as they were at an age, in half-lives: at a later one they are 0.5 ** (later - age) of that. What came
    after that age weighs more than it did, to decay to the same.
    """

    points: Reals  # (m, d)
    weights: Float64Array  # (m,) above 0
    scatter: Float64Array  # (m,)
    age: float
    weight: float  # sum of the weights
    rows: float  # how many it stands for, decayed as the weights are


class SummaryKernels(Protocol):
    """The hot loops of a summary; see engines/numba for what the arrays mean."""

    def sample_rows(
        self,
        points: Reals,
        weight: Float64Array,
        labels: LabelArray,
        ages: Float64Array,
        start: int,
        stop: int,
        first_number: int,
        seed: int,
        origin: Reals,
        reference: Reals,
        begin: float,
        span: float,
        uniform: float,
        by_distance: float,
        by_label: Float64Array,
        max_weight: float,
        max_rows: int,
        totals: Float64Array,
        counts: Float64Array,
        sums: Float64Array,
        squares: Float64Array,
        kept: IndexArray,
        kept_weight: Float64Array,
    ) -> tuple[int, int, bool]:
        """Add rows to a block and draw those to keep, until the block is full."""
        ...

    def sample_batch(
        self, points: PointArray, weight: Float64Array, labels: LabelArray, frame: Frame, sample: RowSample
    ) -> bool:
        """Sample a batch (n, d) as a whole, by its distances to a frame's centroids, and return whether that is done.

        Weights (n,) are C-contiguous; none: all are 1.
        """
        ...

    def add_deviations(
        self,
        points: Reals,
        weight: Float64Array,
        labels: LabelArray,
        first: int,
        last: int,
        reference: Reals,
        sums: Float64Array,
    ) -> None:
        """Add weight times deviation from the reference (k, row_length) of some rows to sums (k, d)."""
        ...

    def add_squares(
        self,
        points: Reals,
        weight: Float64Array,
        labels: LabelArray,
        first: int,
        last: int,
        middles: Float64Array,
        squares: Float64Array,
    ) -> None:
        """Add weight times squared distance from the middles (k, d) of some rows to squares (k,)."""
        ...

    def stretch_rows(
        self,
        points: Reals,
        labels: LabelArray,
        first: int,
        last: int,
        middles: Float64Array,
        stretch: Float64Array,
        goals: Float64Array,
        stretched: Reals,
    ) -> None:
        """Write some rows, stretched around their middles (k, d), which are moved to goals (k, d)."""
        ...

    def write_means(
        self,
        points: Reals,
        weight: Float64Array,
        order: IndexArray,
        begins: IndexArray,
        first: int,
        last: int,
        means: Reals,
        squares: Float64Array,
    ) -> None:
        """Write the weighted means (m, d) of some sets of points, and the weighted squares around them (m,)."""
        ...

    def split_cells(
        self,
        points: Reals,
        weight: Float64Array,
        scatter: Float64Array,
        order: IndexArray,
        stack: IndexArray,
        progress: IndexArray,
        seed: int,
        pairs: bool,
        work: int,
        nearest: Float64Array,
        cells: IndexArray,
        spare: IndexArray,
        places: LabelArray,
        means: Reals,
        mean_weight: Float64Array,
        mean_scatter: Float64Array,
    ) -> bool:
        """Divide sets of points into cells, each of which becomes one point, and return whether that is done."""
        ...

    def row_length(self, n_features: int) -> int:
        """Return the length of the rows of origin, reference and sums: zeros follow the columns."""
        ...

    def nearest(self, points: Reals, centroids: Reals, run: RunTasks) -> tuple[LabelArray, Reals]:
        """Return the label of the centroid (k, d) nearest to each point (n, d), and its squared distance, (n,) both."""
        ...


def nearest_centroids(
    points: Reals, centroids: Reals, kernels: SummaryKernels, run: RunTasks
) -> tuple[LabelArray, Reals]:
    """Return what `kernels.nearest` does, for points of a summary as far from its origin as rows of the stream may be.

    Each row is near enough to zero for the squares of its precision, but perhaps not to the origin, which may be as far
    on the other side. Such points are scaled by a power of two, which changes no digit.
    """
    try:
        return kernels.nearest(points, centroids, run)
    except UnusablePoints:
        largest = max(float(np.abs(points).max()), float(np.abs(centroids).max()))
        power = math.ceil(math.log2(largest / max_value(points.dtype, points.shape[1])))
        labels, squares = kernels.nearest(np.ldexp(points, -power), np.ldexp(centroids, -power), run)
        return labels, np.ldexp(squares.astype(np.float64), 2 * power)


def decayed(weight: float, age: float, later: float) -> float:
    """Return what a weight as of an age is at a later one."""
    return float(weight * 0.5 ** (later - age))


def total_of(buckets: tuple[Bucket, ...], age: float) -> float:
    """Return what buckets weigh together at an age."""
    return sum(decayed(bucket.weight, bucket.age, age) for bucket in buckets)


def bucket_of(points: Reals, weights: Float64Array, scatter: Float64Array, age: float, rows: float) -> Bucket:
    """Return a bucket of arrays that nobody else will change."""
    for array in (points, weights, scatter):
        array.setflags(write=False)
    return Bucket(points, weights, scatter, age, float(weights.sum()), rows)


def joined(buckets: tuple[Bucket, ...], age: float) -> Bucket:
    """Return buckets as one, at an age."""
    if len(buckets) == 1 and buckets[0].age == age:
        return buckets[0]
    factors = [0.5 ** (age - bucket.age) for bucket in buckets]
    return bucket_of(
        np.concatenate([bucket.points for bucket in buckets]),
        np.concatenate([bucket.weights * factor for bucket, factor in zip(buckets, factors, strict=True)]),
        np.concatenate([bucket.scatter * factor for bucket, factor in zip(buckets, factors, strict=True)]),
        age,
        sum(bucket.rows * factor for bucket, factor in zip(buckets, factors, strict=True)),
    )


def mixed(*numbers: int) -> int:
    """Return a seed of 63 bits that is a hash of numbers: SplitMix64, see engines/numba/sampling.py."""
    word = 0
    for number in numbers:
        word = (word + number + 0x9E3779B97F4A7C15) & _WORD
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
        word ^= word >> 31
    return word >> 1


_WORD = (1 << 64) - 1
