"""A watch without its I/O: where to resume after a broken connection, and whole centroids from the rows that moved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np

from shoal import _calls, wire
from shoal._batch_codec import decode_snapshot
from shoal._errors import InternalError, ShoalError, UnavailableError
from shoal._event_codec import EventPage, decode_event, with_missed
from shoal._events import Event
from shoal._retries import StreamRetries
from shoal._session_codec import encode_duration
from shoal._statuses import gone_meanwhile
from shoal._types import CentroidUpdate, SessionDescription
from shoal._validation import INT64, flag, integer, real
from shoal.v1 import clustering_pb2

Item = TypeVar("Item")


class Watch(ABC, Generic[Item]):
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
        self.ended = False

    @property
    def session(self) -> str:
        """The name of the session."""
        return self._request.session

    @abstractmethod
    def opening(self) -> _calls.Call[Any]:
        """Return the call before the first connection."""

    def open(self, answer: Any) -> None:
        """Take its answer, so that the watch doesn't continue with a later session of the same name."""
        self._request.session_uid = self._uid(answer)

    def connect(self) -> clustering_pb2.WatchCentroidsRequest:
        """Begin a connection, the first or another, and return its request."""
        return self._request

    def receive(self, response: clustering_pb2.WatchCentroidsResponse) -> Sequence[Item]:
        """Return what is in a response; nothing in a progress message and in the end."""
        self._retries.note_progress()
        if response.WhichOneof("event") == "end":
            self.ended = True
        return self._items(response)

    def reconnect_delay(self, failure: ShoalError | None, now: float) -> float:
        """See ResumableStream."""
        if self.ended:
            return 0.0
        failure = gone_meanwhile(failure, "watch", "Create it again") if failure else _ended_early()
        return self._retries.delay_after(failure, now)

    @abstractmethod
    def _uid(self, answer: Any) -> str: ...

    @abstractmethod
    def _items(self, response: clustering_pb2.WatchCentroidsResponse) -> Sequence[Item]: ...


class CentroidWatch(Watch[CentroidUpdate]):
    """A watch of the centroids."""

    def __init__(self, request: clustering_pb2.WatchCentroidsRequest, retries: StreamRetries) -> None:
        super().__init__(request, retries)
        self._newest: CentroidUpdate | None = None  # of this connection: what a delta starts from

    def opening(self) -> _calls.Call[SessionDescription]:
        """Return the call before the first connection."""
        return _calls.get_session(self.session)

    def connect(self) -> clustering_pb2.WatchCentroidsRequest:
        """Begin a connection, the first or another, and return its request."""
        self._newest = None
        return super().connect()

    def _uid(self, answer: SessionDescription) -> str:
        return answer.uid

    def _items(self, response: clustering_pb2.WatchCentroidsResponse) -> Sequence[CentroidUpdate]:
        return [self._update(response.update)] if response.HasField("update") else ()

    def _update(self, message: clustering_pb2.CentroidUpdate) -> CentroidUpdate:
        ids = None if self._newest is None else self._newest.ids
        update = CentroidUpdate(**vars(decode_snapshot(message.snapshot, ids)))
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


class EventWatch(Watch[Event]):
    """A watch of the events, after one of a number; None: of those that happen from now on."""

    def __init__(self, session: str, after: int | None) -> None:
        request = clustering_pb2.WatchCentroidsRequest(session=session, events_only=True)
        if after is not None:
            request.after_event = integer("after", after, INT64, least=0)
        super().__init__(request, StreamRetries(worked=True))

    def opening(self) -> _calls.Call[EventPage]:
        """Return the call before the first connection."""
        return _calls.list_events(self.session, self._request.after_event, 1)

    def open(self, answer: EventPage) -> None:
        """Take its answer: from now on means after the event that is the newest in it."""
        super().open(answer)
        if not self._request.HasField("after_event"):
            self._request.after_event = answer.newest

    def _uid(self, answer: EventPage) -> str:
        return answer.session_uid

    def _items(self, response: clustering_pb2.WatchCentroidsResponse) -> Sequence[Event]:
        events = with_missed(map(decode_event, response.events.events), self._request.after_event)
        if events:
            self._request.after_event = events[-1].number
        return events


def new_watch(
    session: str,
    *,
    after_version: int | None,
    min_interval: float | None,
    min_shift: float | None,
    delta: bool,
    progress_interval: float | None,
) -> CentroidWatch:
    """Return the state of a new watch; see shoal.Session.watch.

    Raises
    ------
    InvalidArgumentError
        If an argument is invalid.
    """
    request = clustering_pb2.WatchCentroidsRequest(session=session, delta=flag("delta", delta))
    if after_version is not None:
        request.after_version = integer("after_version", after_version, INT64, least=0)
    if min_shift is not None:
        request.min_shift = real("min_shift", min_shift)
    if min_interval is not None:
        encode_duration("min_interval", min_interval, request.min_interval)
    if progress_interval is not None:
        encode_duration("progress_interval", progress_interval, request.progress_interval)
    # The session is described before the first connection, so the server has been heard already.
    return CentroidWatch(request, StreamRetries(worked=True))


def _ended_early() -> ShoalError:
    return UnavailableError("the server ended the watch without saying that the session is gone", reason="STREAM_ENDED")
