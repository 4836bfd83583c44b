"""The one contract of the engines: points and centroids in, what the points add up to out.

An engine answers with a Contribution, and the update rule of clustering/ applies it. So the engines differ in how they
assign and add, and in nothing else. A FusedEngine also applies that rule itself, where a call for each
of many small batches would cost more than the batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
LabelArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
PointArray = NDArray[Any]  # (n, d), of the type in which they came
T = TypeVar("T")

# Sums are float64, and so many squares may be added up that some room must be left for them.
_MAX_VALUE = 1e100


class UnusablePoints(Exception):  # noqa: N818  (what it says, to whom it concerns: not an error of the program)
    """A value is not finite or too large for the frame, or under cosine a row has no direction."""


class EngineCache:
    """What engines learn of a model on their way, to be faster later. It may be lost, and changes no result."""

    def __init__(self) -> None:
        self._learnt: dict[Callable[[], Any], Any] = {}

    def get(self, kind: Callable[[], T]) -> T:
        """Return what is kept under a type, made by it if there is nothing yet."""
        learnt: T = self._learnt.setdefault(kind, kind()) if kind not in self._learnt else self._learnt[kind]
        return learnt


class Frame:
    """The centroids as an engine computes with them: relative to an origin, in one precision, perhaps of length 1.

    Points far from zero lose their digits in float32; relative to an origin among them they don't. Never changed once
    made, and made for every batch: so it is no dataclass, which would cost as much as a small batch.

    Attributes
    ----------
    centroids
        (k, d) in `dtype`, relative to the origin; rows of length 1 under cosine.
    origin
        (d,) exact in `dtype`; zero for the cosine metric.
    weights
        (k,) after forgetting.
    cosine
        Whether rows are scaled to length 1.
    cache
        Of the model.
    max_value
        The largest absolute value of a point that can be computed with.
    """

    __slots__ = ("_prepared", "cache", "centroids", "cosine", "max_value", "origin", "weights")

    def __init__(
        self,
        centroids: NDArray[np.floating[Any]],
        origin: NDArray[np.floating[Any]],
        weights: Float64Array,
        *,
        cosine: bool,
        cache: EngineCache | None = None,
    ) -> None:
        self.centroids = centroids
        self.origin = origin
        self.weights = weights
        self.cosine = cosine
        self.cache = EngineCache() if cache is None else cache
        self.max_value = max_value(centroids.dtype, centroids.shape[1])
        self._prepared: dict[Callable[[Frame], Any], Any] = {}

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the computing: float32 or float64."""
        return self.centroids.dtype

    def prepared(self, prepare: Callable[[Frame], T]) -> T:
        """Return what an engine makes of the frame before it computes; once made it is kept."""
        if prepare not in self._prepared:
            self._prepared[prepare] = prepare(self)
        kept: T = self._prepared[prepare]
        return kept

    def keep(self, prepare: Callable[[Frame], T], made: T) -> None:
        """Store what `prepared` is to return: the engine has made it already."""
        self._prepared[prepare] = made

    def at(self, centroids: NDArray[np.floating[Any]], weights: Float64Array) -> Frame:
        """Return the same coordinates with newer centroids (k, d) and weights (k,) in them."""
        frame = Frame.__new__(Frame)
        frame.centroids = centroids
        frame.origin = self.origin
        frame.weights = weights
        frame.cosine = self.cosine
        frame.cache = self.cache
        frame.max_value = self.max_value
        frame._prepared = {}  # noqa: SLF001  (of its own class)
        return frame

    def with_weights(self, weights: Float64Array) -> Frame:
        """Return the same centroids with other weights (k,); what engines have prepared doesn't depend on them."""
        frame = self.at(self.centroids, weights)
        frame._prepared = self._prepared  # noqa: SLF001  (of its own class)
        return frame

    def transform(self, points: PointArray) -> NDArray[np.floating[Any]]:
        """Return points (n, d) in these coordinates: a new C-contiguous array in `dtype`.

        Raises
        ------
        UnusablePoints
            They can't be computed with.
        """
        if not self._usable(points):
            raise UnusablePoints
        if self.cosine:
            return np.ascontiguousarray(to_sphere(points.astype(np.float64)), dtype=self.dtype)
        # In the wider of the two types: a float64 point loses its digits only after the shift.
        wide = np.result_type(points.dtype, self.dtype)
        shifted: NDArray[np.floating[Any]] = np.subtract(points, self.origin, dtype=wide)
        return shifted.astype(self.dtype, order="C", copy=False)

    def _usable(self, points: PointArray) -> bool:
        if self.cosine and not points.any(axis=1).all():
            return False
        if np.issubdtype(points.dtype, np.integer) and np.iinfo(points.dtype).max <= self.max_value:
            return True
        # NaN spreads through min and max, which need no memory.
        return float(points.min()) >= -self.max_value and float(points.max()) <= self.max_value


@cache
def max_value(precision: np.dtype[Any], d: int) -> float:
    """Return the largest value whose squared distances, summed over `d` columns, the precision still holds well."""
    return min(float(np.sqrt(np.finfo(precision).max / d) / 4), _MAX_VALUE)


def to_sphere(rows: Float64Array) -> Float64Array:
    """Scale rows (n, d), none of them all zeros, to length 1: by the largest value first, lest a square overflow."""
    scaled = rows / np.abs(rows).max(axis=1, keepdims=True)
    unit: Float64Array = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return unit


@dataclass(frozen=True)
class Contribution:
    """What points add to a model. Contributions to one version add up, in any grouping."""

    counts: Float64Array  # (k,) sum of the sample weights of the points of each cluster
    sums: Float64Array  # (k, d) sum of weight times point, relative to the frame's origin
    inertia: float  # sum of weight times squared distance to the nearest centroid
    labels: LabelArray  # (n,); empty unless asked for


def empty_contribution(frame: Frame) -> Contribution:
    """Return what no points add up to."""
    counts = np.zeros(len(frame.centroids))
    return Contribution(counts, np.zeros(frame.centroids.shape), 0.0, np.empty(0, np.int32))


@dataclass(frozen=True)
class Assignment:
    """The nearest centroid of each point; of equally near ones the lowest."""

    labels: LabelArray  # (n,)
    distances: NDArray[np.floating[Any]] | None  # (n,) squared; None unless asked for
    scores: Float64Array | None = None  # (n,) in (0, 1]; an engine computes none


# The part of some work that has a number. A long one is an iterator: between two of its items others may go first.
Task = Callable[[int], Iterable[None] | None]
# Runs tasks 0 … count-1, on whatever threads there are, and returns when all are done; or raises Halted.
RunTasks = Callable[[Task, int], None]


def holding_memory(run: RunTasks) -> RunTasks:
    """Return what runs tasks that hold much memory between two pieces: one after another, as `run` does otherwise.

    Whoever hands out `run` says by an attribute `holding_memory` how these are run, if that is different.
    """
    holding: RunTasks = getattr(run, "holding_memory", run)
    return holding


class Halted(Exception):  # noqa: N818  (what has happened, and no error)
    """The work is no longer wanted: it was stopped between two pieces, and nothing of it holds."""


def run_in_order(task: Task, count: int) -> None:
    """Run the tasks on this thread, one after another."""
    for index in range(count):
        for _ in task(index) or ():
            pass


class Engine(Protocol):
    """Assigns points to centroids and adds them up. Holds nothing that belongs to a session.

    Both methods raise UnusablePoints where a value can't be computed with.
    """

    def contribute(
        self,
        points: PointArray,  # (n, d), C-contiguous
        sample_weight: Float64Array | None,  # (n,)
        frame: Frame,
        run: RunTasks,
        *,
        return_labels: bool = True,
    ) -> Contribution:
        """Assign the points to the frame's centroids and add them up."""
        ...

    def assign(self, points: PointArray, frame: Frame, run: RunTasks, *, return_distances: bool) -> Assignment:
        """Assign the points to the frame's centroids."""
        ...

    def warm_up(self) -> None:
        """Do whatever the first call would otherwise wait for: compile, load."""
        ...


class RowSample(NamedTuple):
    """A sample to draw from the rows of batches, and what all of these add up to: of a block of a summary.

    A row of weight w in a batch of factor f counts v = w·f, and is kept with the chance
    min(1, v·(uniform + by_distance·d² + by_label[label])), d² its squared distance to its centroid as that was before
    the batch. A batch is sampled as a whole or not at all: if there is no room for it, or if its squares are so small
    that they lose digits.
    """

    reference: NDArray[np.floating[Any]]  # (k, length) relative to the origin: d columns, and zeros behind them
    rates: Float64Array  # (2,) uniform, by_distance
    by_label: Float64Array  # (k,)
    max_weight: Float64Array  # (1,) that the sum of v must stay below
    numbers: NDArray[np.int64]  # (2,) a seed, and the number of the first row in the stream
    factors: Float64Array  # (m,) of the batches
    totals: Float64Array  # (3,) sum of v, sum of f of the rows, and their number; kept up to date, as the next three
    counts: Float64Array  # (k,) sums of v,
    sums: Float64Array  # (k, length) of v·(x - reference)
    squares: Float64Array  # (k,) and of v times its square
    kept: NDArray[np.floating[Any]]  # (room, d) get the rows that are kept, relative to the origin,
    kept_weight: Float64Array  # (room,) their v divided by their chance,
    kept_label: LabelArray  # (room,) and their labels; there is room for fewer rows than these hold
    found: NDArray[np.int64]  # (2,) get how many these are, and whether a batch could not be taken
    distances: NDArray[np.floating[Any]]  # (rows of the largest batch,) to work in
    labels: LabelArray  # (rows of the largest batch,) likewise, where labels aren't asked for
    batch_squares: Float64Array  # (k,) likewise
    draws: Float64Array  # (r,) likewise: what is drawn for r rows at a time,
    chosen: NDArray[np.int64]  # (r,) and which of these are kept


class FusedBatches(NamedTuple):
    """Batches that are to be applied one after another, each to the centroids that the one before it left."""

    batches: Sequence[PointArray]  # m of (n, d)
    decays: Float64Array | None  # (m,) what of the weights before it each batch leaves; None: all of them
    centroids: Float64Array  # (k, d)
    frame: Frame  # at these centroids
    return_labels: bool
    sample_weights: Sequence[Float64Array] | None = None  # m of (n,); None: all 1
    sample: RowSample | None = None  # gets the batches, too; not for cosine


class NewCentroids(NamedTuple):
    """A newer version of centroids."""

    centroids: Float64Array  # (k, d) read-only, as the next two are
    weights: Float64Array  # (k,)
    movement: Float64Array  # (k,) Euclidean
    moved_rows: BoolArray  # (k,) the others are, bit for bit, where they were before the call
    frame: Frame  # at these centroids


class FusedResult(NamedTuple):
    """What became of the first batches: all, or those before the first with unusable points or that no sample takes."""

    inertias: Float64Array  # (applied,)
    labels: LabelArray  # of the rows of these batches, one batch after another; empty unless asked for
    moved: NewCentroids


class FusedEngine(Engine, Protocol):
    """An engine that can also apply the update rule, and to many small batches in one call.

    It moves centroids exactly as clustering/update.py does, but for the rounding of lengths: of cosine's centroids, and
    of movements.
    """

    def move(self, centroids: Float64Array, frame: Frame, contribution: Contribution) -> NewCentroids | None:
        """Apply a contribution to centroids (k, d) that the frame stands for; None: something would not be finite."""
        ...

    def max_rows(self, frame: Frame) -> int:
        """Return how many rows a batch given to `apply_batches` may have."""
        ...

    def apply_batches(self, fused_batches: FusedBatches, run: RunTasks) -> FusedResult:
        """Apply batches of the frame's type, each C-contiguous."""
        ...


def is_fused(engine: Engine) -> TypeGuard[FusedEngine]:
    """Return whether an engine is a FusedEngine; isinstance would cost more than a small batch."""
    return hasattr(engine, "apply_batches")
