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
UpdateRule = Literal["incremental", "refined"]
OnDrift = Literal["report", "adapt"]
SessionState = Literal["warming", "ready"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Points to push, with weights or an event time."""

    points: ArrayLike
    """Shape (n, d), numbers."""
    sample_weight: ArrayLike | None = None
    """Shape (n,), not negative; None: every point counts 1."""
    event_time: datetime | None = None
    """When the events happened, with a time zone. Required if the session's half-life is in seconds."""


@dataclass(frozen=True)
class HalfLife:
    """How fast a session forgets: after this much, earlier points count half."""

    value: float
    """Above 0."""
    unit: HalfLifeUnit = "batches"
    """Seconds are measured between the event times of batches."""


@dataclass(frozen=True)
class Warming:
    """How many of the first points a warming session has, and needs."""

    seen: int
    needed: int


@dataclass(frozen=True, eq=False)
class PushResult:
    """The outcome of one batch."""

    sequence: int
    """The sequence of the batch; 0 for a push without one."""
    version: int
    """The version that the batch made; 0 while the session is warming."""
    accepted: int
    """The number of rows that count."""
    dropped: int
    """The number of rows left out under ``on_invalid="drop"``."""
    inertia: float
    """The sum of weight times squared distance to the centroid assigned; 0 while the session is warming."""
    labels: NDArray[np.int32] | None = None
    """Shape (n,), as used by the update, -1 for a dropped row; None unless requested, while the session is warming,
    and if `forgotten`."""
    durable: bool = False
    """Whether the batch survives a crash of the server's machine."""
    duplicate: bool = False
    """The batch was sent by an earlier call and isn't counted again."""
    forgotten: bool = False
    """The batch was sent before, and the server no longer has its whole result. It drops labels first. If ``version``
    is 0 too, all other fields are unknown, also ``accepted``: it is only known that the batch was accepted."""
    warming: Warming | None = None
    """Present while the session is warming."""
    error: ShoalError | None = None
    """Why the batch was refused (as a whole); only from ``ingest(on_error="return")``."""
    late: float = 0.0
    """Seconds by which the batch's event time was behind the newest one applied before it; 0 if it wasn't behind."""
    weight: float = 0.0
    """How much the accepted rows counted in total: the sum of their sample weights, or less if the half-life is in
    seconds and the batch was late. Equal to `accepted` without either; 0 if it was refused, or too late to count."""
    refined: bool = False
    """Whether a refinement followed the batch: it made the next version, ``version + 1``."""
    outliers: int = 0
    """The number of accepted rows that scored below the session's ``outlier_threshold``. They count in `inertia` and
    `weight`, but not in the centroids."""
    scores: NDArray[np.float64] | None = None
    """Shape (n,): how unusual each point is, above 0 (unusual) up to 1. It is the share of earlier points that lay as
    far from their centroid, for their cluster's spread, or farther; NaN for a dropped row. None unless requested, while
    the session is warming, and if `forgotten`."""

    @property
    def unverified(self) -> bool:
        """Whether the server has only the sequence of a batch sent before: it may not know if the points are the same.

        It refuses other points under a sequence (``SEQUENCE_REUSED``) as long as it knows them.
        """
        return self.forgotten and not self.version and self.warming is None


@dataclass(frozen=True, eq=False)
class Assignment:
    """The nearest centroid of each point."""

    version: int
    """The version of the centroids that were used."""
    labels: NDArray[np.int32]
    """Shape (n,); -1 for a row that the session drops (``on_invalid="drop"``). With ``"impute"``, invalid values are
    replaced before the row is assigned."""
    distances: NDArray[np.floating[Any]] | None = None
    """Shape (n,), squared; None unless requested."""
    scores: NDArray[np.float64] | None = None
    """Shape (n,), as `PushResult.scores`; None unless requested."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that can be read of one version."""

    version: int
    """How many updates and refinements have been applied."""
    centroids: NDArray[np.float64]
    """Shape (k, d)."""
    weights: NDArray[np.float64]
    """Shape (k,): the number of points that each centroid stands for, after forgetting."""
    inertia: float | None
    """The inertia of the batch that made the version, before it moved the centroids; None if `batch_points` is 0."""
    movement: NDArray[np.float64]
    """Shape (k,): how far the update moved each centroid (Euclidean)."""
    points_accepted: int
    """Rows accepted so far."""
    session_uid: str
    """Identifies the session, even after another one takes its name."""
    batch_points: int
    """Rows accepted in the batch that made the version, so ``inertia / batch_points`` is the inertia per point; 0
    before the first batch, and in a newly merged session."""
    ids: NDArray[np.int64]
    """Shape (k,): the id of the cluster that each centroid belongs to. A cluster keeps its id as long as it lives, and
    no other one gets it later. Refinements begin and end clusters; see `Session.events`."""
    refined: bool = False
    """Whether a refinement made the version, and no batch."""
    estimated_inertia_per_point: float | None = None
    """The inertia per point (per weight of 1) that the last refinement left, estimated from the session's summary;
    None before the first one."""


@dataclass(frozen=True, eq=False)
class RecentPoints:
    """A sample of the points that a session applied recently."""

    points: NDArray[Any]
    """Shape (m, d), oldest first, in the type in which they were pushed (if several, in one that holds them all).
    Rows that were refused or dropped, or had a value imputed, are left out."""
    version: int
    """The newest version at the time of reading; 0 while the session is warming."""


@dataclass(frozen=True, eq=False)
class CentroidUpdate(Snapshot):
    """A newer version, from a watch: always whole, even if only the rows that moved were sent."""


@dataclass(frozen=True, eq=False)
class SessionConfig:
    """The configuration of a session, with the values that the server chose filled in."""

    n_clusters: int
    n_features: int | None
    """None: set by the first batch."""
    engine: Engine
    metric: Metric
    on_invalid: OnInvalid
    init: InitMethod | NDArray[Any] | None
    """The method, or the given centroids (k, d); None in `Client.list_sessions`, which leaves these out."""
    init_weights: NDArray[np.float64] | None
    """Shape (k,): how many points each of the given centroids stood for; None: none, or as `init`."""
    init_size: int
    """The number of points from which the initial centroids are computed."""
    random_state: int | None
    dtype: Precision | None
    """None: set by the first points."""
    half_life: HalfLife | None
    """None: nothing is forgotten."""
    durability: Durability
    idle_ttl: float | None
    """Seconds without use after which the session is deleted; None: never."""
    update_rule: UpdateRule
    """The rule that applies. If neither it nor n_features was given, the first batch may make it incremental."""
    summary_size: int
    """The maximum number of points of the summary; 0: there is none."""
    outlier_threshold: float | None = None
    """Points with a lower score stay out of the centroids; None: there are no scores and no outliers."""
    on_drift: OnDrift = "report"


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
    """How many updates and refinements have been applied."""
    points_accepted: int
    points_dropped: int
    queued_batches: int
    queued_bytes: int
    watchers: int
    create_time: datetime
    """UTC."""
    update_time: datetime
    """When the configuration was last changed; UTC."""
    inertia_per_point: float | None
    """The inertia of the batch that made the newest version, divided by the rows accepted in it; None if there is no
    such batch yet, as while the session is warming or newly merged, or none of its rows was accepted."""
    outliers: int = 0
    """Accepted rows that stayed out of the centroids, since the session got its ``outlier_threshold``."""
