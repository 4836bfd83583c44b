"""Arguments and results of calls, as plain values. No protobuf, no gRPC.

Arrays that the server sent are read-only views of the message's bytes; ``numpy.array(x)`` makes a copy to write in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal._errors import ShoalError

Engine = Literal["numba", "sklearn", "scipy"]
Metric = Literal["euclidean", "cosine"]
OnInvalid = Literal["reject", "drop", "impute"]
InitMethod = Literal["k-means++", "random"]
Precision = Literal["float32", "float64"]
HalfLifeUnit = Literal["batches", "points", "seconds"]
Durability = Literal["durable", "memory"]
SessionState = Literal["warming", "ready"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Points to push, with weights or an event time."""

    points: ArrayLike
    """Shape (n, d), numbers."""
    sample_weight: ArrayLike | None = None
    """Shape (n,), not negative; None: every point counts 1."""
    event_time: datetime | None = None
    """When the points happened, with a time zone. A session whose half-life is in seconds needs it."""


@dataclass(frozen=True)
class HalfLife:
    """How fast a session forgets: after this much, earlier points count half."""

    value: float
    """Above 0."""
    unit: HalfLifeUnit = "batches"
    """Seconds are those between the event times of the batches."""


@dataclass(frozen=True)
class Warming:
    """How many of the first points a warming session has, and needs."""

    seen: int
    needed: int


@dataclass(frozen=True, eq=False)
class PushResult:
    """The outcome of one batch."""

    sequence: int
    """Of the batch that this answers; 0 for a push without one."""
    version: int
    """The version that the batch made; 0 while the session is warming."""
    accepted: int
    """Rows that count."""
    dropped: int
    """Rows left out, as ``on_invalid="drop"`` wants it."""
    inertia: float
    """The sum of weight times squared distance to the centroid assigned; 0 while the session is warming."""
    labels: NDArray[np.int32] | None = None
    """Shape (n,), those that the update used, -1 for a dropped row; None unless asked for, while warming, and where
    they are `forgotten`."""
    durable: bool = False
    """Whether the batch survives a crash of the server's machine."""
    duplicate: bool = False
    """The batch had been sent by an earlier call, and is not counted again."""
    forgotten: bool = False
    """The batch had been sent before, and the server no longer has the whole answer. The labels go first; where
    ``version`` is 0 too, nothing is known but that the batch was taken then, and ``accepted`` says nothing."""
    warming: Warming | None = None
    """Present while the session is warming."""
    error: ShoalError | None = None
    """Why the batch was refused, nothing of it applied; only from ``ingest(on_error="return")``."""
    late: float = 0.0
    """Seconds by which the batch's event time was behind the newest event time applied before it; 0: it was not."""
    weight: float = 0.0
    """What the accepted rows counted in sum: their sample weights, and less where the half-life is in seconds and the
    batch was late. `accepted` without either; 0 where it was refused, or so late that nothing of it is left."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """The nearest centroid of each point."""

    version: int
    """Of the centroids that were used."""
    labels: NDArray[np.int32]
    """Shape (n,)."""
    distances: NDArray[np.floating[Any]] | None = None
    """Shape (n,), squared; None unless asked for."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that can be read of one version."""

    version: int
    """How many updates have been applied."""
    centroids: NDArray[np.float64]
    """Shape (k, d)."""
    weights: NDArray[np.float64]
    """Shape (k,): how many points, after forgetting, each centroid stands for."""
    inertia: float
    """Of the batch that made the version, before it moved the centroids."""
    movement: NDArray[np.float64]
    """Shape (k,): how far the update moved each centroid (Euclidean)."""
    points_accepted: int
    """Rows accepted so far."""
    session_uid: str
    """Identifies the session, even after another one takes its name."""
    batch_points: int
    """Rows accepted in the batch that made the version: ``inertia / batch_points`` is the inertia per point. 0 in
    version 0."""


@dataclass(frozen=True, eq=False)
class RecentPoints:
    """A sample of the points that a session applied lately."""

    points: NDArray[Any]
    """Shape (m, d), oldest first, in the type in which they were pushed; of several types in one that holds them all.
    Without rows that were refused or dropped, or of which a value was imputed."""
    version: int
    """The newest version when they were read; 0 while the session is warming."""


@dataclass(frozen=True, eq=False)
class CentroidUpdate(Snapshot):
    """A newer version, as a watch saw it: always whole, even where only the rows that moved were sent."""


@dataclass(frozen=True, eq=False)
class SessionConfig:
    """The configuration of a session, with the values that the server chose filled in."""

    n_clusters: int
    n_features: int | None
    """None: as many as the first batch has."""
    engine: Engine
    metric: Metric
    on_invalid: OnInvalid
    init: InitMethod | NDArray[Any] | None
    """The method, or the centroids (k, d) that were given; None: `Client.list_sessions` leaves those out."""
    init_size: int
    """How many points the first centroids are computed from."""
    random_state: int | None
    dtype: Precision | None
    """None: it follows the first points."""
    half_life: HalfLife | None
    """None: nothing is forgotten."""
    durability: Durability
    idle_ttl: float | None
    """Seconds without use after which the session is deleted; None: it stays."""


@dataclass(frozen=True, eq=False)
class SessionDescription:
    """The configuration and the current state of a session."""

    name: str
    uid: str
    """Identifies the session, even after another one takes its name."""
    config: SessionConfig
    etag: str
    """Changes with every change of the configuration."""
    state: SessionState
    warming: Warming | None
    """Present while the session is warming."""
    version: int
    """How many updates have been applied."""
    points_accepted: int
    points_dropped: int
    queued_batches: int
    queued_bytes: int
    watchers: int
    create_time: datetime
    """UTC."""
    update_time: datetime
    """Of the configuration; UTC."""
    inertia_per_point: float
    """Of the newest version: the inertia of the batch that made it, divided by the rows accepted in it; 0 before the
    first."""
