"""A session on a server: push, ingest, assign, read, watch."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import datetime
from typing import Literal

from numpy.typing import ArrayLike

from shoal import _calls
from shoal._analysis import SummaryMethods
from shoal._assign_stream import assign_pipeline
from shoal._batch_codec import as_batch
from shoal._connection import Connection
from shoal._event_listing import EventListing
from shoal._events import Event
from shoal._ingest_stream import ingest_pipeline
from shoal._session_codec import UNSET, Unset, encode_changes
from shoal._stream_runner import run_pipeline, run_watch
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


class Session(SummaryMethods):
    """A named session on a server; made by `Client.create_session` and `Client.session`. Safe for threads.

    Every call raises SessionNotFoundError if there is no such session, UnavailableError if the server can't be reached
    and DeadlineExceededError if it doesn't answer in time.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        self._name = checked_name(name)
        self._connection = connection

    def __repr__(self) -> str:
        return f"<shoal.Session {self._name!r} on {self._connection.target}>"

    @property
    def name(self) -> str:
        """The name of the session."""
        return self._name

    def describe(self) -> SessionDescription:
        """Return the configuration and the current state of the session."""
        return self._connection.call(_calls.get_session(self._name))

    def update(
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
        """Change the configuration, from the next batch on; earlier batches use the old one.

        Parameters
        ----------
        n_clusters
            Number of clusters. The server makes them from those that the session has, with its summary of the stream:
            clusters split or merge, and the others keep their ids. That makes the next version. A session without a
            summary can change it only while it is warming.
        engine, half_life, on_invalid, idle_ttl, outlier_threshold, on_drift
            As in `Client.create_session`. Only these change; None resets to the default.
        etag
            If given, the session must still have it.

        Raises
        ------
        StaleEtagError
            If the session has changed since its etag was read.
        InvalidArgumentError
            If an argument is invalid, or nothing is given.
        PreconditionError
            If the number of clusters can't change, because the session has no summary.
        """
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
        return self._connection.call(_calls.update_session(request))

    def delete(self, *, etag: str | None = None) -> None:
        """Delete the session and end its watches.

        Parameters
        ----------
        etag
            If given, the session must still have it.

        Raises
        ------
        StaleEtagError
            If the session has changed since its etag was read.
        """
        self._connection.call(_calls.delete_session(self._name, etag))

    def push(
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
        """Apply one batch and wait until it is applied. For many batches `ingest` is faster.

        Parameters
        ----------
        X
            Points, shape (n, d), or a `Batch` with its own weights and event time.
        sample_weight
            Shape (n,), none negative; None: every point counts 1.
        event_time
            When the events happened, with a time zone. Required if the session's half-life is in seconds.
        return_labels
            Whether to return the labels that the update used.
        return_scores
            Whether to return how unusual each point is; only in a session that has an ``outlier_threshold``.
        producer, sequence
            The producer's name, and the number of this batch, counted from 1 without gaps. With them the call is safe
            to repeat, and the client retries it; without them a batch may have been applied although the call failed.

        Raises
        ------
        InvalidArgumentError
            If X is invalid: its shape, its dtype, NaN in a session that rejects it. Nothing has been applied.
        LimitExceededError
            If the batch is larger than the server allows.
        """
        call = _calls.push(
            self._name,
            as_batch(X, sample_weight, event_time),
            return_labels=return_labels,
            return_scores=return_scores,
            producer=producer,
            sequence=sequence,
        )
        return self._connection.call(call)

    def ingest(
        self,
        batches: Iterable[ArrayLike | Batch],
        *,
        producer: str | None = None,
        first_sequence: int = 1,
        return_labels: bool = False,
        return_scores: bool = False,
        max_in_flight: int = 1024,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Generator[PushResult, None, None]:
        """Push many batches, pipelined, and yield their results in order.

        Nothing happens before the first result is requested. The stream reconnects after a broken connection, and no
        batch is lost or counted twice. It raises UnavailableError after a minute without progress; if it has never
        worked, after the client's timeout, or after a few seconds if there is no server at all. Dropping or closing
        the iterator (``contextlib.closing``) cancels the batches in flight, and waits up to two seconds for the next
        item of `batches`.

        Parameters
        ----------
        batches
            Arrays (n, d) or `Batch`. The iterable is read on its own thread, ahead of the results. Arrays are copied,
            so you can reuse a buffer. An exception of the iterable is raised after the results of earlier batches.
        producer
            The producer's name. With a name you can run a crashed program again with the same batches: those already
            counted are answered as duplicates. The session remembers the name as long as it lives. None: a random name,
            which is soon forgotten.
        first_sequence
            The sequence of the first batch; the following batches count up from it.
        return_labels, return_scores
            As in `push`. A duplicate may have lost them; then `PushResult.forgotten` is set.
        max_in_flight
            Maximum number of batches without a result; their size is limited to about 32 MiB too.
        on_error
            How to treat a refused batch. ``raise``: end the stream with its error (batches behind it may have been
            applied). ``return``: yield a result with the error, and continue.

        Raises
        ------
        InvalidArgumentError
            If an argument is invalid; with ``raise``, also if a batch is. The message begins with the place of the
            batch in this ingest, and the attribute `sequence` has its sequence.
        ProducerFencedError
            If another program took over the producer's name.
        SessionReplacedError
            If the session was replaced by another one while the connection was broken.
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

    def assign(self, X: ArrayLike, *, return_distances: bool = False, return_scores: bool = False) -> Assignment:
        """Return the nearest centroid of each point; never changes the session.

        Parameters
        ----------
        X
            Points, shape (n, d).
        return_distances
            Whether to return the squared distances.
        return_scores
            Whether to return how unusual each point is; only in a session that has an ``outlier_threshold``.

        Raises
        ------
        SessionWarmingError
            If the session has no centroids yet.
        InvalidArgumentError
            If X is invalid.
        PreconditionError
            If scores are wanted of a session without ``outlier_threshold``.
        """
        call = _calls.assign(self._name, X, return_distances=return_distances, return_scores=return_scores)
        return self._connection.call(call)

    def assign_stream(
        self,
        batches: Iterable[ArrayLike],
        *,
        return_distances: bool = False,
        return_scores: bool = False,
        max_in_flight: int = 32,
    ) -> Generator[Assignment, None, None]:
        """Assign many arrays, pipelined, and yield the answers in order.

        See `ingest` for how the stream behaves, and `assign` for what it raises.

        Parameters
        ----------
        batches
            Arrays (n, d).
        return_distances, return_scores
            As in `assign`.
        max_in_flight
            Maximum number of arrays without an answer.
        """
        pipeline = assign_pipeline(
            self._name,
            batches,
            return_distances=return_distances,
            return_scores=return_scores,
            max_in_flight=max_in_flight,
            timeout=self._connection.timeout,
        )
        return run_pipeline(self._connection, pipeline, batches)

    def centroids(self) -> Snapshot:
        """Return the newest version.

        Raises
        ------
        SessionWarmingError
            If the session has no centroids yet.
        """
        return self._connection.call(_calls.get_centroids(self._name))

    def recent_points(self, max_points: int | None = None) -> RecentPoints:
        """Return a sample of recently applied points, for drawing; also while the session is warming.

        The server keeps at most 1,024 rows, fewer if they are wide, and only a few of a large batch.

        Parameters
        ----------
        max_points
            Maximum number of points; the newest are returned. None or 0: all that the server keeps.

        Raises
        ------
        InvalidArgumentError
            If max_points is invalid.
        """
        return self._connection.call(_calls.get_recent_points(self._name, max_points))

    def events(self, after: int = 0) -> list[Event]:
        """Return what happened to the clusters and to the session, oldest first.

        The session keeps the newest 1,000 events, or as many as the server's setting ``max_events`` says. If some that
        you haven't seen are lost, the next event has their number in `Event.missed`.

        Parameters
        ----------
        after
            The number of the last event seen; only newer ones are returned. 0: all that the session keeps.

        Raises
        ------
        InvalidArgumentError
            If `after` is invalid, or newer than the newest event.
        """
        listing = EventListing(self._name, after)
        while (call := listing.next_call()) is not None:
            listing.take(self._connection.call(call))
        return listing.events

    def watch_events(self, after: int | None = None) -> Generator[Event, None, None]:
        """Yield events as they happen, until the session is deleted or expires.

        Each comes once and in order, also after a broken connection: the watch reconnects and continues after the last
        event seen; it raises UnavailableError after a minute without success. If you read so slowly that the session
        drops events that you haven't seen, the next one has their number in `Event.missed`.

        Parameters
        ----------
        after
            The number of the last event seen; 0: begin with the oldest that the session keeps. None: only those that
            happen from now on, that is from the first ``next`` on.

        Raises
        ------
        InvalidArgumentError
            If `after` is invalid, or newer than the newest event.
        SessionReplacedError
            If the session was replaced by another one while the connection was broken.
        """
        return run_watch(self._connection, EventWatch(self._name, after))

    def watch(
        self,
        *,
        after_version: int | None = None,
        min_interval: float | None = None,
        min_shift: float | None = None,
        delta: bool = False,
        progress_interval: float | None = None,
    ) -> Generator[CentroidUpdate, None, None]:
        """Yield the centroids as they change, the current ones first, until the session is deleted or expires.

        Versions only ever grow. A slow watcher skips versions, but never the newest one. The watch reconnects after a
        broken connection and continues after the last version seen; it raises UnavailableError after a minute without
        success.

        Parameters
        ----------
        after_version
            The last version seen; only newer ones are sent.
        min_interval
            Minimum seconds between two updates.
        min_shift
            Minimum Euclidean distance that some centroid has moved since the previous update; smaller updates are
            skipped.
        delta
            Transfer only the centroids that moved, which saves bytes if few of many move. The updates are whole anyway.
        progress_interval
            Longest silence of the server in seconds, at least 1. None: the server's default.

        Raises
        ------
        InvalidArgumentError
            If after_version is from the future.
        SessionNotFoundError
            If the session ended while the connection was broken, whether or not another one has its name now.
        """
        watch = new_watch(
            self._name,
            after_version=after_version,
            min_interval=min_interval,
            min_shift=min_shift,
            delta=delta,
            progress_interval=progress_interval,
        )
        return run_watch(self._connection, watch)
