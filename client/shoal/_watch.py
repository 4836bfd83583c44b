"""A watch without its I/O: where to resume after a broken connection, and whole centroids from the rows that moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shoal import wire
from shoal._batch_codec import decode_snapshot
from shoal._errors import InternalError, ShoalError, UnavailableError
from shoal._retries import StreamRetries
from shoal._session_codec import encode_duration
from shoal._statuses import gone_meanwhile
from shoal._types import CentroidUpdate
from shoal._validation import INT64, flag, integer, real
from shoal.v1 import clustering_pb2


class Watch:
    """The state of one watch over all its connections.

    Parameters
    ----------
    request
        What the caller wants to see.
    retries
        When to connect again.
    """

    def __init__(self, request: clustering_pb2.WatchCentroidsRequest, retries: StreamRetries) -> None:
        self._request = request
        self._retries = retries
        self._newest: CentroidUpdate | None = None  # of this connection: what a delta starts from
        self.ended = False

    @property
    def session(self) -> str:
        """The name of the session."""
        return self._request.session

    def identify(self, session_uid: str) -> None:
        """Set the uid of the session, so that the watch doesn't continue with a later session of the same name."""
        self._request.session_uid = session_uid

    def connect(self) -> clustering_pb2.WatchCentroidsRequest:
        """Begin a connection, the first or another, and return its request."""
        self._newest = None
        return self._request

    def receive(self, response: clustering_pb2.WatchCentroidsResponse) -> CentroidUpdate | None:
        """Return the update in a response; None for a progress message and for the end."""
        self._retries.note_progress()
        match response.WhichOneof("event"):
            case "update":
                return self._update(response.update)
            case "end":
                self.ended = True
        return None

    def reconnect_delay(self, failure: ShoalError | None, now: float) -> float:
        """See ResumableStream."""
        if self.ended:
            return 0.0
        failure = gone_meanwhile(failure, "watch", "Create it again") if failure else _ended_early()
        return self._retries.delay_after(failure, now)

    def _update(self, message: clustering_pb2.CentroidUpdate) -> CentroidUpdate:
        update = CentroidUpdate(**vars(decode_snapshot(message.snapshot)))
        if message.HasField("rows"):
            update = self._completed(update, message)
        self._newest = update
        self._request.after_version = update.version
        return update

    def _completed(self, moved: CentroidUpdate, message: clustering_pb2.CentroidUpdate) -> CentroidUpdate:
        base = self._newest
        if base is None or base.version != message.base_version:
            raise InternalError(
                f"the server sent a delta since version {message.base_version}, and this watch has "
                f"{base.version if base else 'none'}",
                reason="DELTA_UNEXPECTED",
                session=self.session,
            )
        centroids = np.array(base.centroids)
        centroids[wire.array_of(message.rows)] = moved.centroids
        centroids.flags.writeable = False
        return replace(moved, centroids=centroids)


def new_watch(
    session: str,
    *,
    after_version: int | None,
    min_interval: float | None,
    min_shift: float | None,
    delta: bool,
    progress_interval: float | None,
) -> Watch:
    """Return the state of a new watch; see shoal.Session.watch.

    Raises
    ------
    InvalidArgumentError
        If an argument is invalid.
    """
    request = clustering_pb2.WatchCentroidsRequest(session=session, delta=flag("delta", delta))
    if after_version is not None:
        request.after_version = integer("after_version", after_version, INT64)
    if min_shift is not None:
        request.min_shift = real("min_shift", min_shift)
    if min_interval is not None:
        encode_duration("min_interval", min_interval, request.min_interval)
    if progress_interval is not None:
        encode_duration("progress_interval", progress_interval, request.progress_interval)
    # The session is described before the first connection, so the server has been heard already.
    return Watch(request, StreamRetries(worked=True))


def _ended_early() -> ShoalError:
    return UnavailableError("the server ended the watch without saying that the session is gone", reason="STREAM_ENDED")
