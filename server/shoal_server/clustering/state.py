"""A model and what it is made of. All immutable: a newer version is a new model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from struct import pack
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.buckets import IndexArray
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.drift import DriftWatch
from shoal_server.clustering.events import Event
from shoal_server.clustering.learning import Learning
from shoal_server.clustering.outliers import Outliers
from shoal_server.engines.contract import (
    BoolArray,
    EngineCache,
    Float64Array,
    Frame,
    LabelArray,
    NewCentroids,
    PointArray,
)
from shoal_server.errors import Refusal


class Batch(NamedTuple):
    """An array that was pushed at once: the one form of a batch from decoding to its result.

    There are very many, so that it is made as cheaply as can be.
    """

    points: PointArray  # (n, d) as they came
    sample_weight: Float64Array | None = None  # (n,)
    event_time: float | None = None  # seconds since the epoch
    return_labels: bool = False
    sequence: int = 0  # of its producer, where that has a name
    fingerprint: int = 0  # of what is applied, where it has a sequence
    size: int = 0  # bytes of points and weights
    refusal: Refusal | None = None  # why it could not be read; it has no points then, and uses its sequence up
    return_scores: bool = False


@dataclass(frozen=True)
class Warming:
    """How many points have been collected for the initial centroids."""

    seen: int
    needed: int


class BatchResult(NamedTuple):
    """What became of a batch: the one form of a result up to its reply."""

    version: int = 0  # 0 while the model is warming
    accepted: int = 0
    dropped: int = 0
    inertia: float = 0.0  # over the accepted rows, before the centroids moved
    labels: LabelArray | None = None  # (n,), -1 for a dropped row; None unless asked for
    warming: Warming | None = None
    sequence: int = 0  # of the batch
    duplicate: bool = False  # the batch had been pushed before, and was not applied again
    forgotten: bool = False  # of a duplicate: what became of it, or its labels, is no longer known
    refusal: Refusal | None = None  # why the batch was not applied
    late: float = 0.0  # seconds by which its event time was behind the newest before it
    weight: float | None = None  # what the accepted rows counted in sum; None: each of them 1
    refined: bool = False  # a refinement followed the batch, and made the next version
    outliers: int = 0  # accepted rows that stayed out of the update
    scores: Float64Array | None = None  # (n,) in (0, 1], NaN for a dropped row; None unless asked for


def array_bytes(result: BatchResult) -> int:
    """Return the size of the arrays of a result."""
    labels, scores = result.labels, result.scores
    return (0 if labels is None else labels.nbytes) + (0 if scores is None else scores.nbytes)


@dataclass(eq=False, slots=True, weakref_slot=True)
class Snapshot:
    """Everything that a reader may see of one version. The arrays are read-only.

    It is never changed. It isn't `frozen` because one is made for every batch, and making a frozen one takes longer.
    """

    version: int
    centroids: Float64Array  # (k, d)
    weights: Float64Array  # (k,)
    inertia: float  # of the batch that made the version
    movement: Float64Array  # (k,) Euclidean
    points_accepted: int
    batch_points: int  # rows accepted in the batch that made the version
    ids: IndexArray  # (k,) int64 of the clusters whose centroids they are
    refined: bool = False  # whether a refinement made the version
    estimated_inertia_per_point: float | None = (
        None  # of a weight of 1, as the last refinement left it; None: there was none
    )

    def __reduce__(self) -> tuple[Callable[..., Snapshot], tuple[Any, ...]]:
        """Pickle it so that its arrays come back read-only."""
        return read_only_snapshot, (
            self.version,
            self.centroids,
            self.weights,
            self.inertia,
            self.movement,
            self.points_accepted,
            self.batch_points,
            self.refined,
            self.ids,
            self.estimated_inertia_per_point,
        )

    @property
    def inertia_per_point(self) -> float | None:
        """Of the batch that made the version; None: there is none, or none of its rows was accepted."""
        return self.inertia / self.batch_points if self.batch_points else None


def read_only_snapshot(
    version: int,
    centroids: Float64Array,
    weights: Float64Array,
    inertia: float,
    movement: Float64Array,
    points_accepted: int,
    batch_points: int,
    refined: bool = False,
    ids: IndexArray | None = None,
    estimated_inertia_per_point: float | None = None,
) -> Snapshot:
    """Return a snapshot of arrays that nobody else will change; without ids they count from 0."""
    ids = np.arange(len(centroids)) if ids is None else ids
    for array in (centroids, weights, movement, ids):
        array.setflags(write=False)
    return Snapshot(
        version,
        centroids,
        weights,
        inertia,
        movement,
        points_accepted,
        batch_points,
        ids,
        refined,
        estimated_inertia_per_point,
    )


def shifts(before: Float64Array, after: Float64Array) -> Float64Array:
    """Return how far each centroid (k, d) has moved, (k,), Euclidean."""
    distance: Float64Array = np.linalg.norm(after - before, axis=1)
    return distance


def largest_shift(before: Float64Array, after: Float64Array) -> float:
    """Return how far the centroid (k, d) that moved most has moved."""
    return float(shifts(before, after).max())


def moved_rows(before: Float64Array, after: Float64Array) -> NDArray[np.int32]:
    """Return the labels of the centroids (k, d) that differ, ascending."""
    return np.flatnonzero((before != after).any(axis=1)).astype(np.int32)


@dataclass(frozen=True)
class CoordinateSystem:
    """What the first points settle for the life of a model: the precision, and the origin that keeps its digits.

    The expanded form of a squared distance loses the digits that points far from zero share, and so does float32
    itself. Relative to an origin among the points nothing is lost. Points near zero keep zero as their origin, so that
    they are computed with as they are; the origin lies on a coarse grid, so that round numbers stay round.
    """

    precision: np.dtype[Any]  # float32 or float64
    origin: NDArray[np.floating[Any]]  # (d,) exact in `precision`

    def frame(self, centroids: Float64Array, weights: Float64Array, cache: EngineCache, *, cosine: bool) -> Frame:
        """Return the coordinates to compute in, with centroids (k, d) and weights (k,) in them."""
        relative = (centroids - self.origin).astype(self.precision)
        return Frame(relative, self.origin, weights, cosine=cosine, cache=cache)


@dataclass(frozen=True)
class WarmupBatch:
    """Points of weight above 0 that wait for the initial centroids: of one batch, or of several that were joined."""

    points: PointArray  # (n, d)
    weights: Float64Array  # (n,)
    born: Float64Array  # (n,) half-lives that had passed when they came


@dataclass(frozen=True)
class WarmupBuffer:
    """What waits for the initial centroids, in the order of its coming; few batches, however many came."""

    batches: tuple[WarmupBatch, ...] = ()
    seen: int = 0  # points
    age: float = 0.0  # half-lives that have passed


@dataclass(frozen=True)
class ColumnMeans:
    """The mean of each column over the rows so far, for on_invalid="impute"."""

    rows: Float64Array  # (d,) how many finite values each mean stands for
    means: Float64Array  # (d,)


class ModelState(NamedTuple):
    """What of a model must last: arrays and numbers. With its configuration it is the model, bit for bit.

    The random state is not in it: the initial centroids are drawn from the configuration's seed, and nothing after.
    """

    n_features: int | None = None
    coordinates: CoordinateSystem | None = None  # None: no points have come
    snapshot: Snapshot | None = None  # None: no centroids yet
    warmup: WarmupBuffer | None = None  # None: the warm-up is over
    latest_event: float | None = None  # seconds since the epoch
    column_means: ColumnMeans | None = None
    points_accepted: int = 0
    points_dropped: int = 0
    learning: Learning | None = None  # None: the stream isn't summarised, or no centroids have been updated
    ids_given: int = 0  # to clusters: the next one has this id
    events_told: int = 0  # the number of the last event
    drift: DriftWatch = DriftWatch()
    outliers: Outliers | None = None  # None: there is no outlier_threshold, or no batch has met centroids

    def __eq__(self, other: object) -> bool:
        """Return whether the other is a state of the same bits."""
        return _same_bits(self, other)

    def __ne__(self, other: object) -> bool:
        """Return whether the other differs in a bit."""
        return not _same_bits(self, other)

    def __hash__(self) -> int:
        """Raise TypeError: arrays have no hash."""
        raise TypeError("a ModelState holds arrays, and has no hash")


class Model:
    """A session's clustering: its configuration, what must last of it, and what makes it fast. Never changed once made.

    There is one for every batch: so it is no dataclass, which would cost as much as a small batch.

    Attributes
    ----------
    config, state
        What the model is.
    cache
        What engines have learnt of it, shared by all its versions; it may be lost.
    moved_rows
        (k,) whether a row of the centroids has moved since `committed`; None: all are to be taken as moved.
    events
        Since `committed`.
    """

    __slots__ = ("_frame", "cache", "config", "events", "moved_rows", "state")

    def __init__(
        self,
        config: ModelConfig,
        state: ModelState,
        cache: EngineCache | None = None,
        *,
        frame: Frame | None = None,
        moved_rows: BoolArray | None = None,
        events: tuple[Event, ...] = (),
    ) -> None:
        self.config = config
        self.state = state
        self.cache = EngineCache() if cache is None else cache
        self.moved_rows = moved_rows
        self.events = events
        self._frame = frame  # what an engine left behind when it made the snapshot

    @property
    def frame(self) -> Frame:
        """The centroids of the newest version as engines compute with them. There must be some."""
        if self._frame is None:
            self._frame = self._new_frame()
        return self._frame

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest version; None: there are no centroids yet."""
        return self.state.snapshot

    @property
    def n_features(self) -> int | None:
        """Columns of the points; None: none have come, and the configuration doesn't say."""
        return self.state.n_features

    @property
    def points_dropped(self) -> int:
        """Rows that were left out so far."""
        return self.state.points_dropped

    @property
    def version(self) -> int:
        """How many updates and refinements have been applied."""
        snapshot = self.state.snapshot
        return snapshot.version if snapshot else 0

    @property
    def warming(self) -> Warming | None:
        """How far the collecting of the first points is; None when it is over."""
        warmup = self.state.warmup
        return None if warmup is None else Warming(warmup.seen, self.config.points_needed)

    def with_config(self, config: ModelConfig) -> Model:
        """Return the model with another configuration."""
        return Model(config, self.state, self.cache, frame=self._frame, moved_rows=self.moved_rows, events=self.events)

    def with_events(self, events: tuple[Event, ...]) -> Model:
        """Return the model with other events since it was committed."""
        return Model(self.config, self.state, self.cache, frame=self._frame, moved_rows=self.moved_rows, events=events)

    def with_state(self, state: ModelState) -> Model:
        """Return the model in another state."""
        before = self.state
        alike = state.snapshot is before.snapshot and state.coordinates is before.coordinates
        rows = self.moved_rows if state.snapshot is before.snapshot else None
        frame = self._frame if alike else None
        return Model(self.config, state, self.cache, frame=frame, moved_rows=rows, events=self.events)

    def with_centroids(self, state: ModelState, moved: NewCentroids) -> Model:
        """Return the model in a state whose snapshot has centroids that an update made of this one's."""
        rows = None if self.moved_rows is None else self.moved_rows | moved.moved_rows
        return Model(self.config, state, self.cache, frame=moved.frame, moved_rows=rows, events=self.events)

    def committed(self) -> Model:
        """Return the model with no events, and no row to be taken as moved: what it is now has been written."""
        rows = None if self.state.snapshot is None else np.zeros(len(self.state.snapshot.centroids), np.bool_)
        return Model(self.config, self.state, self.cache, frame=self._frame, moved_rows=rows)

    def _new_frame(self) -> Frame:
        snapshot, coordinates = self.state.snapshot, self.state.coordinates
        if snapshot is None:
            raise AssertionError("a model that is past its warm-up has centroids")
        if coordinates is None:
            coordinates = CoordinateSystem(np.dtype(np.float64), np.zeros(snapshot.centroids.shape[1]))
        cosine = self.config.metric == "cosine"
        return coordinates.frame(snapshot.centroids, snapshot.weights, self.cache, cosine=cosine)


def _same_bits(one: object, other: object) -> bool:
    """Return whether two states, or parts of them, are of the same types and hold the same bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, float) and isinstance(other, float):
        return pack("d", one) == pack("d", other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same_bits, one, other))
    if is_dataclass(one):
        return all(_same_bits(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    return one == other
