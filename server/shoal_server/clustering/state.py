"""A model and what it is made of. All immutable: a newer version is a new model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import ModelConfig
from shoal_server.engines.contract import EngineCache, Float64Array, Frame, LabelArray, PointArray
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


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that a reader may see of one version. The arrays are read-only."""

    version: int
    centroids: Float64Array  # (k, d)
    weights: Float64Array  # (k,)
    inertia: float  # of the batch that made the version
    movement: Float64Array  # (k,) Euclidean
    points_accepted: int
    batch_points: int  # rows accepted in the batch that made the version

    @property
    def inertia_per_point(self) -> float:
        """Of the batch that made the version; 0 where it has no rows."""
        return self.inertia / self.batch_points if self.batch_points else 0.0


@dataclass(frozen=True)
class CoordinateSystem:
    """What the first points settle for the life of a model."""

    precision: np.dtype[Any]  # float32 or float64
    origin: NDArray[np.floating[Any]]  # (d,) exact in `precision`

    def frame(self, centroids: Float64Array, weights: Float64Array, cache: EngineCache, *, cosine: bool) -> Frame:
        """Return the coordinates to compute in, with centroids (k, d) and weights (k,) in them."""
        inside = (centroids - self.origin).astype(self.precision)
        return Frame(inside, self.origin, weights, cosine, cache)


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


@dataclass(frozen=True)
class Model:
    """The whole state of a session's clustering."""

    config: ModelConfig
    n_features: int | None = None
    coordinates: CoordinateSystem | None = None  # None: no points have come
    snapshot: Snapshot | None = None  # None: no centroids yet
    collected: WarmupBuffer | None = None  # None: the warming is over
    latest_event: float | None = None  # seconds since the epoch
    column_means: ColumnMeans | None = None
    points_accepted: int = 0
    points_dropped: int = 0
    cache: EngineCache = field(default_factory=EngineCache)
    last_frame: tuple[Snapshot, Frame] | None = None  # what an engine left behind when it made a snapshot

    @cached_property
    def frame(self) -> Frame:
        """The coordinates in which the newest version is computed with. There must be one."""
        if self.snapshot is None:
            raise AssertionError("a model that is past its warming has centroids")
        if self.last_frame and self.last_frame[0] is self.snapshot:
            return self.last_frame[1]
        centroids = self.snapshot.centroids
        coordinates = self.coordinates or CoordinateSystem(np.dtype(np.float64), np.zeros(centroids.shape[1]))
        return coordinates.frame(centroids, self.snapshot.weights, self.cache, cosine=self.config.metric == "cosine")

    @property
    def version(self) -> int:
        """How many updates have been applied."""
        return self.snapshot.version if self.snapshot else 0

    @property
    def warming(self) -> Warming | None:
        """How far the collecting of the first points is; None when it is over."""
        if self.collected is None:
            return None
        return Warming(self.collected.seen, self.config.points_needed)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array that nobody else holds read-only."""
    array.flags.writeable = False
    return array
