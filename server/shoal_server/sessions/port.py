"""What rpc/ may ask of sessions: an asynchronous contract in plain dataclasses and arrays that can cross a process.

The sessions of this process answer it (sessions/local.py); those of another process could.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from shoal_server.clustering.buckets import IndexArray
from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.description import ClusterDescriptions
from shoal_server.clustering.events import Event
from shoal_server.clustering.recluster import Clustering
from shoal_server.clustering.state import Batch, BatchResult, Snapshot, Warming
from shoal_server.clustering.suggestion import Suggestion
from shoal_server.engines.contract import Assignment, Float64Array, PointArray

Durability = Literal["memory", "durable"]
EndReason = Literal["deleted", "expired", "failed"]  # failed: by a bug
MAX_MERGED = 1000  # sessions of one merge: what is looked at of each is looked at in one go


@dataclass(frozen=True)
class SessionConfig:
    """A model and how the service keeps it."""

    model: ModelConfig
    durability: Durability = "memory"
    idle_ttl: float | None = None  # seconds; None: the session stays until it is deleted

    @property
    def init_bytes(self) -> int:
        """Bytes of the initial centroids, where they are given."""
        return 0 if isinstance(self.model.init, str) else self.model.init.nbytes


@dataclass(frozen=True)
class Changes:
    """New values for a running session; only the named fields change."""

    model: dict[str, Any]  # fields of ModelConfig
    session: dict[str, Any]  # fields of SessionConfig

    @property
    def engine(self) -> EngineName | None:
        """The new engine; None: it stays."""
        return self.model.get("engine")

    @property
    def sizes(self) -> dict[str, Any]:
        """The changes on which depends how much work and memory the session takes."""
        return {name: value for name, value in self.model.items() if name in {"engine", "n_clusters"}}


def changed(config: SessionConfig, changes: Changes) -> SessionConfig:
    """Return the configuration after changes."""
    return replace(config, model=replace(config.model, **changes.model), **changes.session)


@dataclass(frozen=True)
class Limits:
    """What the server allows. Sizes in bytes, times in seconds."""

    max_sessions: int
    max_centroid_values: int  # n_clusters * n_features of one session
    max_init_values: int  # init_size * n_features of one session
    max_summary_values: int  # summary_size * n_features of one session, where it says a summary_size
    max_batch_work: int  # rows * n_features * n_clusters of one batch, and of choosing initial centroids
    max_batch_bytes: int  # points and weights of one batch
    queue_bytes: int  # of one session
    max_producers: int  # remembered by one session
    replay_bytes: int  # of answers kept by one session, for batches that are sent again
    idle_ttl: float | None  # of a session that doesn't say
    progress_interval: float  # of a watch that doesn't say
    max_event_time_ahead: float  # of the server's clock, when a batch comes
    max_events: int = 1000  # kept by one session


@dataclass(frozen=True)
class Description:
    """A session as its owner sees it."""

    name: str
    uid: str
    config: SessionConfig
    n_features: int | None
    etag: str
    warming: Warming | None
    version: int
    points_accepted: int
    points_dropped: int
    queued_batches: int
    queued_bytes: int
    watchers: int
    create_time: datetime
    update_time: datetime
    inertia_per_point: float | None  # of the batch that made the newest version; None: there is none
    outliers: int = 0  # rows that stayed out of the updates


@dataclass(frozen=True)
class SessionPage:
    """Some of the sessions, by name."""

    sessions: Sequence[Description]
    next_after: str  # the name after which the next page begins; empty: there is none


@dataclass(frozen=True)
class Producer:
    """Who pushes; `epoch` 0 stands for the one in force. An ephemeral id is not used again after the call."""

    id: str
    epoch: int = 0
    ephemeral: bool = False


@dataclass(frozen=True)
class Position:
    """How far a producer has come."""

    epoch: int
    last_sequence: int


@dataclass(frozen=True)
class IngestOpened:
    """What a session knows of a producer that opens a stream."""

    session_uid: str
    epoch: int = 0
    last_sequence: int = 0


@dataclass(frozen=True)
class VersionedAssignment:
    """The nearest centroids of points, and the version whose centroids they are."""

    version: int
    assignment: Assignment


@dataclass(frozen=True)
class SessionSnapshot:
    """The newest version of a session."""

    session_uid: str
    snapshot: Snapshot


@dataclass(frozen=True)
class RecentPoints:
    """A sample of the points that were applied lately, oldest first."""

    version: int
    points: PointArray  # (m, d)


class PublishedEvent(NamedTuple):
    """An event of a session, and when it was published."""

    event: Event
    time: datetime


@dataclass(frozen=True)
class EventPage:
    """Some of the events that a session keeps, in their order."""

    session_uid: str
    events: Sequence[PublishedEvent]
    first: int  # number of the oldest that is kept; the next one's, if none is
    newest: int  # number of the newest; 0: there was none


@dataclass(frozen=True)
class ReclusterRequest:
    """Which numbers of clusters to fit to a session's summary."""

    numbers: Sequence[int]  # ascending, each once, from 1 up; empty: the usual ones that the summary has points for
    random_state: int | None  # None: the session's


@dataclass(frozen=True)
class ReclusterStart:
    """What the numbers of clusters are fitted to."""

    session_uid: str
    version: int  # the newest when it was asked
    numbers: Sequence[int]  # of clusters
    n_points: int  # of the summary
    weight: float  # of all rows that these stand for


ReclusterEvent = ReclusterStart | Clustering | Suggestion


@dataclass(frozen=True)
class ClusterReport:
    """What the clusters of a version are like."""

    session_uid: str
    version: int
    ids: IndexArray  # (k,) of the clusters
    clusters: ClusterDescriptions


@dataclass(frozen=True)
class WatchOptions:
    """What a watcher wants to see. Times in seconds. The end and the version before it wait for no interval."""

    after_version: int | None = None
    min_interval: float = 0.0
    min_shift: float = 0.0
    delta: bool = False  # whether updates say what they are based on
    progress_interval: float = 15.0
    after_event: int | None = None  # number of the last event that was seen; None: no events are wanted
    events_only: bool = False  # no updates are wanted


class SentVersion(NamedTuple):
    """What is kept of a version once it is sent."""

    version: int
    centroids: Float64Array  # (k, d)
    ids: IndexArray | None = None  # (k,); None: not known


@dataclass(frozen=True)
class Update:
    """A newer version; `base` is what this watcher was sent before it, if it wants to know and it is still kept."""

    snapshot: Snapshot
    base: SentVersion | None


@dataclass(frozen=True)
class NewEvents:
    """Events that the watcher hasn't seen, in their order."""

    events: Sequence[PublishedEvent]


@dataclass(frozen=True)
class Progress:
    """A sign of life on a quiet watch."""

    version: int
    warming: Warming | None


@dataclass(frozen=True)
class End:
    """There will be no newer version."""

    reason: EndReason
    version: int


WatchEvent = NewEvents | Update | Progress | End


class IngestPort(Protocol):
    """One producer's stream; see sessions.local.IngestStream."""

    @property
    def opened(self) -> IngestOpened:
        """What the session knows of the producer."""
        ...

    async def submit(self, batches: Sequence[Batch], acknowledged: int = 0) -> None:
        """Take batches, once the queue and the results that wait to be read are short enough."""
        ...

    def finish(self) -> None:
        """No more batches come."""
        ...

    def results(self) -> AsyncIterator[list[BatchResult]]:
        """Yield the results in the order of the batches."""
        ...


class WatchPort(Protocol):
    """One watcher's view of a session."""

    @property
    def session_uid(self) -> str:
        """Of the session that is watched."""
        ...

    def begin_write(self) -> None:
        """Note that what `events` has yielded is written now."""
        ...

    def events(self) -> AsyncIterator[WatchEvent]:
        """Yield each newer version as it comes, what has happened, signs of life between, and the end."""
        ...


class SessionPort(Protocol):
    """The sessions of a server, by name. Every method raises DomainError for what is refused."""

    async def create(self, name: str, config: SessionConfig, request_id: str) -> Description:
        """Make a session, or return the one that the same request made."""
        ...

    async def merge(self, names: Sequence[str], into: str, changes: Changes, request_id: str) -> Description:
        """Make a session of what others have seen, or return the one that the same request made.

        Its configuration is that of the first, with changes.
        """
        ...

    async def describe(self, name: str) -> Description:
        """Return what a session is and how it stands."""
        ...

    async def list(self, page_size: int, after: str) -> SessionPage:
        """Return up to `page_size` sessions whose names come after `after`."""
        ...

    async def update(self, name: str, changes: Changes, etag: str) -> Description:
        """Change a session's configuration, in its place among the batches."""
        ...

    async def delete(self, name: str, etag: str) -> int:
        """Delete a session and return its last version."""
        ...

    async def push(self, name: str, batch: Batch, producer: Producer | None) -> BatchResult:
        """Apply one batch; return its result, or raise why it is refused."""
        ...

    def ingest(self, name: str, producer: Producer | None) -> AbstractAsyncContextManager[IngestPort]:
        """Open a producer's stream while the context is open."""
        ...

    async def assign(
        self, name: str, points: PointArray, *, return_distances: bool, return_scores: bool = False
    ) -> VersionedAssignment:
        """Assign points (n, d) to the newest centroids; this changes nothing."""
        ...

    async def snapshot(self, name: str) -> SessionSnapshot:
        """Return the newest version, whole."""
        ...

    async def recent_points(self, name: str, max_points: int) -> RecentPoints:
        """Return a sample of at most `max_points` points that were applied lately; 0: all that are kept."""
        ...

    async def events(self, name: str, after: int, most: int) -> EventPage:
        """Return the oldest events of a session that are newer than a number, at most so many."""
        ...

    def recluster(self, name: str, request: ReclusterRequest) -> AsyncGenerator[ReclusterEvent, None]:
        """Fit other numbers of clusters to a session's summary; this changes nothing."""
        ...

    async def describe_clusters(self, name: str, n_typical: int) -> ClusterReport:
        """Return what the clusters of the newest version are like, with `n_typical` points of each."""
        ...

    def watch(self, name: str, uid: str, options: WatchOptions) -> AbstractAsyncContextManager[WatchPort]:
        """Watch a session while the context is open; with a uid, that very session and no later one of its name."""
        ...
