"""A session on a server: push, ingest, assign, read, watch."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import datetime
from typing import Literal

from numpy.typing import ArrayLike

from shoal import _calls
from shoal._assign_stream import assign_pipeline
from shoal._batch_codec import as_batch
from shoal._connection import Connection
from shoal._ingest_stream import ingest_pipeline
from shoal._session_codec import UNSET, Unset, encode_changes
from shoal._stream_runner import run_pipeline, run_watch
from shoal._types import (
    Assignment,
    Batch,
    CentroidUpdate,
    Engine,
    HalfLife,
    OnInvalid,
    PushResult,
    RecentPoints,
    SessionDescription,
    Snapshot,
)
from shoal._validation import checked_name
from shoal._watch import new_watch


class Session:
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
        engine: Engine | Unset | None = UNSET,
        half_life: HalfLife | Unset | None = UNSET,
        on_invalid: OnInvalid | Unset | None = UNSET,
        idle_ttl: float | Unset | None = UNSET,
        etag: str | None = None,
    ) -> SessionDescription:
        """Change the configuration, from the next batch on; earlier batches use the old one.

        Parameters
        ----------
        engine, half_life, on_invalid, idle_ttl
            As in `Client.create_session`. Only what is given changes; None goes back to the default.
        etag
            If given, the session must still have it.

        Raises
        ------
        StaleEtagError
            If the session has changed since its etag was read.
        InvalidArgumentError
            If an argument is invalid, or nothing is given.
        """
        request = encode_changes(
            self._name, etag, engine=engine, half_life=half_life, on_invalid=on_invalid, idle_ttl=idle_ttl
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
        producer: str | None = None,
        sequence: int | None = None,
    ) -> PushResult:
        """Apply one batch and wait until it is applied. For many batches `ingest` is faster.

        Parameters
        ----------
        X
            Points, shape (n, d); or a `Batch`, which has its weights and time with it.
        sample_weight
            Shape (n,), none negative; None: every point counts 1.
        event_time
            When the points happened, with a time zone. A session whose half-life is in seconds needs it.
        return_labels
            Whether the result is to have the labels that the update used.
        producer, sequence
            Who pushes, and which of their batches this is, counted from 1 without gaps. With them the call is safe to
            repeat and repeats itself; without them a batch may have been applied although the call failed.

        Raises
        ------
        InvalidArgumentError
            If X is invalid: its shape, its dtype, NaN in a session that rejects it. Nothing has been applied.
        LimitExceededError
            If the batch is larger than the server takes.
        """
        call = _calls.push(
            self._name,
            as_batch(X, sample_weight, event_time),
            return_labels=return_labels,
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
        max_in_flight: int = 1024,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Generator[PushResult, None, None]:
        """Push many batches, pipelined, and yield their results in order.

        Nothing happens before the first result is asked for. A broken connection is resumed, and no batch is lost or
        counted twice by that. After a minute without any progress UnavailableError says so; if the stream has never
        worked, after the client's timeout, or after a few seconds where there is no server at all. An iterator that is
        dropped, or closed (``contextlib.closing``), cancels what is in flight.

        Parameters
        ----------
        batches
            Arrays (n, d) or `Batch`. They are read on a thread of their own, ahead of the results, and copied as they
            come: a buffer may be used again. What they raise is raised here, after the results of those before.
        producer
            The producer's name. The same batches pushed again under it are answered as duplicates, and
            not counted again, so a program that crashed can start over. The session remembers the name as long as it
            lives. None: a random name, which is soon forgotten.
        first_sequence
            The sequence of the first batch; the next ones count up from it, without gaps.
        return_labels
            Whether the results are to have the labels that the updates used. A duplicate may have lost them:
            `PushResult.forgotten` says so.
        max_in_flight
            How many batches may be without a result; there may also be no more than about 32 MiB of them.
        on_error
            What a batch that the server refuses does: ``raise`` ends the stream with its error (batches behind it may
            have been applied), ``return`` yields a result that has the error, and goes on.

        Raises
        ------
        InvalidArgumentError
            If an argument is invalid; with ``raise``, also if a batch is. The message begins with the place of the
            batch in this ingest, and the attribute `sequence` has its sequence.
        ProducerFencedError
            If another one pushes under the same producer.
        SessionReplacedError
            If the session was replaced by another one while the connection was broken.
        """
        pipeline = ingest_pipeline(
            self._name,
            batches,
            producer=producer,
            first_sequence=first_sequence,
            return_labels=return_labels,
            max_in_flight=max_in_flight,
            on_error=on_error,
            timeout=self._connection.timeout,
        )
        return run_pipeline(self._connection, pipeline, batches)

    def assign(self, X: ArrayLike, *, return_distances: bool = False) -> Assignment:
        """Find the nearest centroid of each point; never changes the session.

        Parameters
        ----------
        X
            Points, shape (n, d).
        return_distances
            Whether the answer is to have the squared distances.

        Raises
        ------
        SessionWarmingError
            If the session has no centroids yet.
        InvalidArgumentError
            If X is invalid.
        """
        return self._connection.call(_calls.assign(self._name, X, return_distances=return_distances))

    def assign_stream(
        self, batches: Iterable[ArrayLike], *, return_distances: bool = False, max_in_flight: int = 32
    ) -> Generator[Assignment, None, None]:
        """Assign many arrays, pipelined, and yield the answers in order; see `ingest` for how the stream behaves.

        Parameters
        ----------
        batches
            Arrays (n, d).
        return_distances
            Whether the answers are to have the squared distances.
        max_in_flight
            How many arrays may be without an answer.

        Raises
        ------
        SessionWarmingError
            If the session has no centroids yet.
        InvalidArgumentError
            If an array is invalid.
        """
        pipeline = assign_pipeline(
            self._name,
            batches,
            return_distances=return_distances,
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

        The server keeps a sample, spread evenly over what came: 1,024 rows at most, fewer where they are wide, and few
        of one large batch.

        Parameters
        ----------
        max_points
            How many at most: the newest ones. None, or 0: all that the server keeps.

        Raises
        ------
        InvalidArgumentError
            If max_points is invalid.
        """
        return self._connection.call(_calls.get_recent_points(self._name, max_points))

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

        Versions only ever grow. A watcher slower than the updates misses versions in between, never the newest. A
        broken connection is resumed after the last version seen; after a minute without success UnavailableError
        says so.

        Parameters
        ----------
        after_version
            The last version seen: only newer ones come.
        min_interval
            Seconds between two updates at least.
        min_shift
            Only updates in which some centroid is this far (Euclidean) from where the update before had it.
        delta
            Let the server send only the centroids that moved. The updates are whole all the same; it saves bytes
            where few of many centroids move.
        progress_interval
            The longest silence of the server in seconds, at least 1, before a sign of life; None: its choice.

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
