"""The steps of a search for better centroids of weighted points: seed, assign, move to the means, swap.

In which order they are taken is refinement.py's. Each is done in pieces, on one thread, and its work is counted in
multiplications; the pieces change no bit of the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines import chunks
from shoal_server.engines.chunks import row_work
from shoal_server.engines.contract import Float64Array, LabelArray, RunTasks

Points = NDArray[np.floating[Any]]  # (m, d) float32 or float64, C-contiguous
T = TypeVar("T")
Pieces = Generator[None, None, T]

# How far candidates lie on the way from their centroid to the point that is drawn: the point itself serves in few
# columns, where it may be another cluster's middle. In many columns no other point is near it: what helps there is to
# split a cluster in its direction.
_REACH = (1.0, 0.25)
# Where the inertia falls by less, moving all centroids to their means isn't worth another step.
_TOLERANCE = 1e-4
# Kernels that look for two centroids do half as many multiplications in a nanosecond as those of an engine.
PIECE_WORK = chunks.PIECE_WORK // 2
# What a distance costs beside its columns, in multiplications, where few are computed at a time: see the kernels.
_DISTANCE_WORK = 16
# What it costs to lay out a value, in multiplications: it is written far from the one before it.
_PACK_WORK = 8
# Points that are drawn at once, centroids that move together when a swap is tried, and how often they are assigned.
_CANDIDATES, _MAX_LOCAL, _LOCAL_ASSIGNMENTS = 4, 16, 5
# Points are left as they are up to 2 to this power, and down to its inverse: their squares are far from any limit.
_MAX_EXPONENT = 30
# As in the update rule: directions that cancel out leave none.
_EPSILON = float(np.finfo(np.float64).eps)


class Refined(NamedTuple):
    """Centroids, and what they make of the points that they were fitted to."""

    centroids: Float64Array  # (k, d)
    weights: Float64Array  # (k,) of the points of each cluster
    inertia: float  # of the points alone: a summary's points stand for rows that scatter around them
    work: int  # multiplications done to find them
    labels: LabelArray  # (m,) of the points
    before: Refined | None = None  # what the centroids make of the points that a light refinement began with
    without_small_cluster: float | None = None  # the inertia if none had been preferred; None: none was


class Swaps(NamedTuple):
    """What came of swaps."""

    tried: int
    kept: int


class Partition(Protocol):
    """Weighted points and the two nearest of k centroids of each, as kernels hold them; p is m or a few more."""

    @property
    def points(self) -> Points:
        """Of (m, d)."""

    @property
    def lanes(self) -> Points:
        """The points in groups, (groups, d, points of a group)."""

    @property
    def weights(self) -> Float64Array:
        """Of (p,): 0 behind the last."""

    @property
    def centroids(self) -> Points:
        """Of (k, d), in the precision of the points: they may be written."""

    @property
    def squares(self) -> Points:
        """Squared distances to the nearest centroid and to the second, (2, p)."""

    @property
    def labels(self) -> LabelArray:
        """Which these are, (2, p)."""


class SearchKernels(Protocol):
    """What is computed for a search; a session's engine has no part in it.

    A row's or a group's results don't depend on which others are asked for in the same call.
    """

    @property
    def candidates(self) -> int:
        """How many random numbers a swap, or a centroid that is seeded, takes."""

    def partition(self, points: Points, weights: Float64Array, n_clusters: int) -> Any:
        """Return a Partition of points (m, d) of weights (m,), in which nothing has been computed."""

    def pack(self, partition: Any, first: int, last: int) -> None:
        """Write the lanes of groups `first` to `last` - 1."""

    def find_nearest_two(self, partition: Any, first: int, last: int) -> None:
        """Write squares and labels of these groups."""

    def add_members(self, partition: Any, first: int, last: int, counts: Float64Array, sums: Float64Array) -> float:
        """Add rows `first` to `last` - 1 to their clusters' weights (k,) and sums (k, d), and return their inertia."""

    def seed(self, partition: Any, draws: Float64Array, chosen: NDArray[np.int64], first: int, last: int) -> None:
        """Choose points (k,) by greedy k-means++: numbers `first` to `last` - 1, by draws (k, candidates)."""

    def try_swaps(
        self,
        partition: Any,
        draws: Float64Array,  # (swaps, candidates), uniform in [0, 1)
        reach: Float64Array,  # (any, candidates): see _REACH; for one swap after another, in turn
        first: int,  # swap to begin with
        max_work: int,  # multiplications, after which no more is begun
        *,
        allowed: float,  # what a swap may lose, as in STAGES
        cosine: bool,
    ) -> tuple[int, int, int]:
        """Try swaps; return the next one, how many were kept, and the multiplications. At least two centroids."""


class _Resting(NamedTuple):
    """What a search that rests keeps of its Partition."""

    centroids: Points
    squares: Points
    labels: LabelArray


class Search:
    """A search among weighted points, some of weight above 0; parameters as those of `refinement.refine`."""

    def __init__(
        self, points: Points, weights: Float64Array, n_clusters: int, *, cosine: bool, kernels: SearchKernels
    ) -> None:
        self.work = 0
        self._cosine = cosine
        self._kernels = kernels
        self._scale = _power_of_two(points)
        self._unit = float(weights.max())  # weights are computed with in this unit, lest their sums overflow
        self._points, self._weights = points, weights
        self._means = np.zeros((n_clusters, points.shape[1]))
        self._partition = self._new_partition()
        self._resting: _Resting | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """The numbers of points, of centroids and of columns."""
        (m, d), k = self._points.shape, len(self._means)
        return m, k, d

    def rest(self) -> None:
        """Let go of what the points can be laid out in again: nothing else is done before `wake`."""
        if self._resting is None:
            partition = self._partition
            self._resting = _Resting(partition.centroids, partition.squares, partition.labels)
            del self._partition

    def wake(self) -> Pieces[None]:
        """Go on after `rest`, as if there had been none."""
        resting = self._resting
        if resting is None:
            return
        self._partition, self._resting = self._new_partition(), None
        self._partition.centroids[...] = resting.centroids
        self._partition.squares[...] = resting.squares
        self._partition.labels[...] = resting.labels
        _, _, d = self.shape
        yield from self._in_groups(self._kernels.pack, _PACK_WORK * d)

    def pack(self) -> Pieces[None]:
        """Lay the points out: before anything else."""
        m, _, d = self.shape
        yield from self._in_groups(self._kernels.pack, _PACK_WORK * d)
        self.work += pack_work(m, d)

    def place(self, centroids: Float64Array) -> Pieces[None]:
        """Begin with centroids (k, d)."""
        yield from self._place(centroids / self._scale)

    def nearest_two(self) -> tuple[LabelArray, Float64Array]:
        """Return the labels of the nearest two centroids of each point, and the squared distances to them, (2, m) both.

        Of a single centroid the second distance is infinite. The centroids must not have moved since `place`.
        """
        m, k, _ = self.shape
        squares = self._partition.squares[:, :m].astype(np.float64) * self._scale**2
        if k == 1:
            squares[1] = np.inf
        return self._partition.labels[:, :m].copy(), squares

    def scaled_points(self) -> tuple[Points, Float64Array, LabelArray, Float64Array]:
        """Return points (m, d) and weights (m,), scaled so that no sum overflows, and `nearest_two` of these.

        What is computed from them is multiplied by `scale` to be a centroid.
        """
        m, _, _ = self.shape
        partition = self._partition
        squares = partition.squares[:, :m].astype(np.float64)
        return partition.points[:m], partition.weights[:m], partition.labels[:, :m].copy(), squares

    @property
    def scale(self) -> float:
        """What the points are divided by."""
        return self._scale

    def seed(self, random: np.random.Generator) -> Pieces[None]:
        """Begin with points that greedy k-means++ chooses."""
        _, k, d = self.shape
        draws, chosen = random.random((k, self._kernels.candidates)), np.empty(k, np.int64)
        yield from self._seed(draws, chosen, 0)
        seeds = self._partition.points[chosen].astype(np.float64)
        yield from self._place(self._to_sphere(seeds, np.eye(1, d)))

    def grow(self, centroids: Float64Array, random: np.random.Generator) -> Pieces[None]:
        """Begin with fewer centroids (j, d), and add points that greedy k-means++ chooses to go with them."""
        _, k, d = self.shape
        present = len(centroids)
        start = np.concatenate((centroids, np.repeat(centroids[:1], k - present, axis=0))) / self._scale
        yield from self._place(start)  # squared distances to those that there are
        draws, chosen = random.random((k, self._kernels.candidates)), np.empty(k, np.int64)
        yield from self._seed(draws, chosen, present)
        start[present:] = self._to_sphere(self._partition.points[chosen[present:]].astype(np.float64), np.eye(1, d))
        yield from self._place(start)

    def losses(self) -> tuple[Float64Array, LabelArray]:
        """Return what the inertia gains if a centroid is taken away, (k,), and which one gets most of its points, (k,).

        That of a centroid without points is itself. At least two centroids, as they have been placed.
        """
        m, k, _ = self.shape
        weights, (nearest, second) = self._partition.weights[:m], self._partition.labels[:, :m]
        squares = self._partition.squares[:, :m].astype(np.float64)
        lost = np.bincount(nearest, weights * (squares[1] - squares[0]), k).astype(np.float64)
        keys, pairs = np.unique(nearest.astype(np.int64) * k + second, return_inverse=True)
        shared = np.bincount(pairs, weights, len(keys))
        old, heirs = np.divmod(keys, k)
        largest = np.lexsort((-heirs, shared))  # the last one of a cluster is its largest; of equals the lowest label
        heir = np.arange(k, dtype=np.int32)
        heir[old[largest]] = heirs[largest]
        return lost, heir

    def settle(self, steps: int) -> Pieces[Refined]:
        """Move all centroids to the means of their points, at most so many times, and return what they make."""
        before = np.inf
        for step in range(steps + 1):
            counts, sums, inertia = yield from self._add_up()
            if step == steps or (step and before - inertia <= _TOLERANCE * inertia):
                break
            before = inertia
            yield from self._place(self._new_means(counts, sums, occupy=step == 0))
        inertia *= self._scale**2 * self._unit
        labels = self._partition.labels[0, : len(self._partition.points)].copy()
        return Refined(self._means * self._scale, counts * self._unit, inertia, self.work, labels)

    def move(self) -> Pieces[tuple[Float64Array, float]]:
        """Move all centroids to the means of their points; return them, and the inertia before that: it comes last."""
        counts, sums, inertia = yield from self._add_up()
        self._means = self._new_means(counts, sums, occupy=True)
        return self._means * self._scale, inertia * self._scale**2 * self._unit

    def swap(self, swaps: int, allowed: float, max_work: int, random: np.random.Generator) -> Pieces[Swaps]:
        """Try so many swaps, and no more after so much work.

        One is kept if it loses no more than `allowed` times what a cluster adds to the inertia on average.
        """
        _, k, _ = self.shape
        kept = number = done = 0
        if k == 1:
            return Swaps(swaps, 0)
        draws = random.random((swaps, self._kernels.candidates))
        reach = np.repeat(np.array(_REACH)[:, None], self._kernels.candidates, axis=1)
        while number < swaps and done < max_work:
            number, more, work = self._kernels.try_swaps(
                self._partition,
                draws,
                reach,
                number,
                min(PIECE_WORK, max_work - done),
                allowed=allowed,
                cosine=self._cosine,
            )
            kept, done = kept + more, done + work
            yield
        self.work += done
        moved = (self._partition.centroids != self._means.astype(self._partition.centroids.dtype)).any(axis=1)
        self._means[moved] = self._partition.centroids[moved]
        return Swaps(number, kept)

    def _new_partition(self) -> Partition:
        points = self._points
        scaled = points if self._scale == 1.0 else np.ascontiguousarray(points / points.dtype.type(self._scale))
        partition: Partition = self._kernels.partition(scaled, self._weights / self._unit, len(self._means))
        return partition

    def _place(self, means: Float64Array) -> Pieces[None]:
        m, k, d = self.shape
        self._means = means
        self._partition.centroids[...] = means
        yield from self._in_groups(self._kernels.find_nearest_two, row_work(k, d))
        self.work += m * row_work(k, d)

    def _seed(self, draws: Float64Array, chosen: NDArray[np.int64], first: int) -> Iterator[None]:
        """Choose points for the centroids from number `first` on."""
        m, k, d = self.shape
        step = max(1, PIECE_WORK // seed_work(m, 1, d))
        for begin in range(first, k, step):
            self._kernels.seed(self._partition, draws, chosen, begin, min(begin + step, k))
            yield
        self.work += seed_work(m, k - first, d)

    def _in_groups(self, kernel: Callable[[Any, int, int], None], a_row: int) -> Iterator[None]:
        groups, _, rows = self._partition.lanes.shape
        step = max(1, PIECE_WORK // (a_row * rows))
        for first in range(0, groups, step):
            kernel(self._partition, first, min(first + step, groups))
            yield

    def _add_up(self) -> Pieces[tuple[Float64Array, Float64Array, float]]:
        """Return the weights (k,) and weighted sums (k, d) of the clusters' points, and the inertia."""
        m, k, d = self.shape
        counts, sums, inertia = np.zeros(k), np.zeros((k, d)), 0.0
        step = max(1, PIECE_WORK // row_work(1, d))
        for first in range(0, m, step):
            inertia += self._kernels.add_members(self._partition, first, min(first + step, m), counts, sums)
            yield
        return counts, sums, inertia

    def _new_means(self, counts: Float64Array, sums: Float64Array, *, occupy: bool) -> Float64Array:
        """Return the means of the clusters; one without points stays, or goes where it helps if it is to `occupy`."""
        means, some = self._means.copy(), counts > 0
        means[some] = sums[some] / counts[some, None]
        if occupy and not some.all():
            empty = np.flatnonzero(~some)
            rows = self._neediest(len(empty))
            means[empty[: len(rows)]] = self._partition.points[rows]
        return self._to_sphere(means, self._means)

    def _neediest(self, count: int) -> NDArray[np.intp]:
        """Return the points, at most so many, that add most to the inertia; of equal ones those of most weight."""
        m, _, _ = self.shape
        weights = self._partition.weights[:m]
        added = weights * self._partition.squares[0, :m]
        rows = np.lexsort((-weights, -added))[:count]
        return rows[weights[rows] > 0]

    def _to_sphere(self, means: Float64Array, others: Float64Array) -> Float64Array:
        """Under cosine, scale means to length 1; one without a direction is replaced."""
        if not self._cosine:
            return means
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        some = lengths > _EPSILON
        return np.where(some, means / np.where(some, lengths, 1.0), others)


def run_steps(steps: Pieces[T], run: RunTasks) -> T:
    """Run steps in pieces, and return what they return."""
    found: list[T] = []

    def work(_: int) -> Iterator[None]:
        found.append((yield from steps))

    run(work, 1)
    return found[0]


def pack_work(m: int, d: int) -> int:
    """Return the multiplications that cost as much as laying out m points of d columns."""
    return _PACK_WORK * m * d


def seed_work(m: int, k: int, d: int) -> int:
    """Return the multiplications for k centroids of greedy k-means++."""
    return k * _CANDIDATES * m * (d + _DISTANCE_WORK)


def overshoot(m: int, k: int, d: int) -> int:
    """Return the most multiplications of one swap: by so many the work of swaps may be over what is allowed."""
    local = min(k, _MAX_LOCAL)
    return m * (_CANDIDATES + (_LOCAL_ASSIGNMENTS + 1) * local + k) * (d + _DISTANCE_WORK)


def _power_of_two(points: Points) -> float:
    """Return what points (m, d) are to be divided by, exactly, so that their squares can be computed with."""
    largest = max(float(points.max()), -float(points.min()))
    _, exponent = math.frexp(largest)
    return math.ldexp(1.0, exponent) if largest > 0 and abs(exponent) > _MAX_EXPONENT else 1.0
