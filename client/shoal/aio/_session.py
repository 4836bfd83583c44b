"""A session for asyncio; `shoal.Session` says more about each method."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from datetime import datetime
from typing import Literal

from numpy.typing import ArrayLike

from shoal import _calls
from shoal._assign_stream import assign_pipeline
from shoal._batch_codec import as_batch
from shoal._event_listing import EventListing
from shoal._events import Event
from shoal._ingest_stream import ingest_pipeline
from shoal._session_codec import UNSET, Unset, encode_changes
from shoal._types import (
    Assignment,
    Batch,
    CentroidUpdate,
    Engine,
    HalfLife,
    OnDrift,
    OnInvalid,
    PushResult,
    RecentPoints,
    SessionDescription,
    Snapshot,
)
from shoal._validation import checked_name
from shoal._watch import EventWatch, new_watch
from shoal.aio._analysis import SummaryMethods
from shoal.aio._connection import AsyncConnection
from shoal.aio._stream_runner import run_pipeline, run_watch


class Session(SummaryMethods):
    """A named session on a server; made by `Client.create_session` and `Client.session`."""

    def __init__(self, name: str, connection: AsyncConnection) -> None:
        self._name = checked_name(name)
        self._connection = connection

    def __repr__(self) -> str:
        return f"<shoal.aio.Session {self._name!r} on {self._connection.target}>"

    @property
    def name(self) -> str:
        """The name of the session."""
        return self._name

    async def describe(self) -> SessionDescription:
        """Return the configuration and the current state of the session."""
        return await self._connection.call(_calls.get_session(self._name))

    async def update(
        self,
        *,
        n_clusters: int | Unset = UNSET,
        engine: Engine | Unset | None = UNSET,
        half_life: HalfLife | Unset | None = UNSET,
        on_invalid: OnInvalid | Unset | None = UNSET,
        idle_ttl: float | Unset | None = UNSET,
        outlier_threshold: float | Unset | None = UNSET,
        on_drift: OnDrift | Unset | None = UNSET,
        etag: str | None = None,
    ) -> SessionDescription:
        """Change the configuration; see shoal.Session.update."""
        request = encode_changes(
            self._name,
            etag,
            n_clusters=n_clusters,
            engine=engine,
            half_life=half_life,
            on_invalid=on_invalid,
            idle_ttl=idle_ttl,
            outlier_threshold=outlier_threshold,
            on_drift=on_drift,
        )
        return await self._connection.call(_calls.update_session(request))

    async def delete(self, *, etag: str | None = None) -> None:
        """Delete the session and end its watches; see shoal.Session.delete."""
        await self._connection.call(_calls.delete_session(self._name, etag))

    async def push(
        self,
        X: ArrayLike | Batch,
        *,
        sample_weight: ArrayLike | None = None,
        event_time: datetime | None = None,
        return_labels: bool = False,
        return_scores: bool = False,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> PushResult:
        """Apply one batch and wait until it is applied; see shoal.Session.push."""
        call = _calls.push(
            self._name,
            as_batch(X, sample_weight, event_time),
            return_labels=return_labels,
            return_scores=return_scores,
            producer=producer,
            sequence=sequence,
        )
        return await self._connection.call(call)

    def ingest(
        self,
        batches: Iterable[ArrayLike | Batch] | AsyncIterable[ArrayLike | Batch],
        *,
        producer: str | None = None,
        first_sequence: int = 1,
        return_labels: bool = False,
        return_scores: bool = False,
        max_in_flight: int = 1024,
        on_error: Literal["raise", "return"] = "raise",
    ) -> AsyncGenerator[PushResult, None]:
        """Push many batches, pipelined, and yield what became of each, in order; see shoal.Session.ingest.

        A plain iterable is read on the event loop: one that waits for something should be an async iterable. To cancel
        what is in flight at a known moment, close the iterator (``contextlib.aclosing``).
        """
        pipeline = ingest_pipeline(
            self._name,
            batches,
            producer=producer,
            first_sequence=first_sequence,
            return_labels=return_labels,
            return_scores=return_scores,
            max_in_flight=max_in_flight,
            on_error=on_error,
            timeout=self._connection.timeout,
        )
        return run_pipeline(self._connection, pipeline, batches)

    async def assign(self, X: ArrayLike, *, return_distances: bool = False, return_scores: bool = False) -> Assignment:
        """Find the nearest centroid of each point; see shoal.Session.assign."""
        call = _calls.assign(self._name, X, return_distances=return_distances, return_scores=return_scores)
        return await self._connection.call(call)

    def assign_stream(
        self,
        batches: Iterable[ArrayLike] | AsyncIterable[ArrayLike],
        *,
        return_distances: bool = False,
        return_scores: bool = False,
        max_in_flight: int = 32,
    ) -> AsyncGenerator[Assignment, None]:
        """Assign many arrays, pipelined, and yield the answers in order; see shoal.Session.assign_stream."""
        pipeline = assign_pipeline(
            self._name,
            batches,
            return_distances=return_distances,
            return_scores=return_scores,
            max_in_flight=max_in_flight,
            timeout=self._connection.timeout,
        )
        return run_pipeline(self._connection, pipeline, batches)

    async def centroids(self) -> Snapshot:
        """Return the newest version; see shoal.Session.centroids."""
        return await self._connection.call(_calls.get_centroids(self._name))

    async def recent_points(self, max_points: int | None = None) -> RecentPoints:
        """Return a few of the points that were applied lately; see shoal.Session.recent_points."""
        return await self._connection.call(_calls.get_recent_points(self._name, max_points))

    async def events(self, after: int = 0) -> list[Event]:
        """Return what happened to the clusters and to the session; see shoal.Session.events."""
        listing = EventListing(self._name, after)
        while (call := listing.next_call()) is not None:
            listing.take(await self._connection.call(call))
        return listing.events

    def watch_events(self, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Yield events as they happen, until the session is deleted or expires; see shoal.Session.watch_events."""
        return run_watch(self._connection, EventWatch(self._name, after))

    def watch(
        self,
        *,
        after_version: int | None = None,
        min_interval: float | None = None,
        min_shift: float | None = None,
        delta: bool = False,
        progress_interval: float | None = None,
    ) -> AsyncGenerator[CentroidUpdate, None]:
        """Yield the centroids as they change, until the session is deleted or expires; see shoal.Session.watch."""
        watch = new_watch(
            self._name,
            after_version=after_version,
            min_interval=min_interval,
            min_shift=min_shift,
            delta=delta,
            progress_interval=progress_interval,
        )
        return run_watch(self._connection, watch)
