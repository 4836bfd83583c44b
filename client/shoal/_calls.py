"""Every unary call as a value: method, request, whether it is safe to repeat, and the decoder of its answer.

The sync and the asyncio client make the same calls; they differ in how they wait.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from numpy.typing import ArrayLike

from shoal import wire
from shoal._batch_codec import decode_assignment, decode_recent_points, decode_result, decode_snapshot, encode_batch
from shoal._event_codec import EventPage, decode_page
from shoal._session_codec import checked_etag, decode_description
from shoal._types import Assignment, Batch, PushResult, RecentPoints, SessionDescription, Snapshot
from shoal._validation import INT32, INT64, checked_name, flag, integer, invalid, points_array, text
from shoal.v1 import clustering_pb2, events_pb2, sessions_pb2

Answer = TypeVar("Answer")
MAX_PAGE_SIZE = 1000  # of events


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """A unary call and its request."""

    method: str
    request: Message | bytes
    """Bytes: encoded already, because it carries arrays."""
    repeatable: bool
    decode: Callable[[Any], Answer]
    session: str = ""


@dataclass(frozen=True)
class Page:
    """A page of sessions, and the token of the next page; empty: this is the last page."""

    sessions: tuple[SessionDescription, ...]
    next_page_token: str


def create_session(name: str, config: sessions_pb2.SessionConfig) -> Call[SessionDescription]:
    """Create a session; the request has an id, so that repeating it creates no second session."""
    request = sessions_pb2.CreateSessionRequest(name=checked_name(name), config=config, request_id=uuid.uuid4().hex)
    return Call("CreateSession", request, repeatable=True, decode=decode_description, session=name)


def merge_sessions(request: sessions_pb2.MergeSessionsRequest) -> Call[SessionDescription]:
    """Merge sessions; the request has an id, so that repeating it makes no second session."""
    return Call("MergeSessions", request, repeatable=True, decode=decode_description, session=request.into)


def get_session(name: str) -> Call[SessionDescription]:
    """Describe a session."""
    request = sessions_pb2.GetSessionRequest(name=name)
    return Call("GetSession", request, repeatable=True, decode=decode_description, session=name)


def list_sessions(page_token: str) -> Call[Page]:
    """List the sessions of one page."""
    request = sessions_pb2.ListSessionsRequest(page_token=page_token)
    return Call("ListSessions", request, repeatable=True, decode=_decode_page)


def update_session(request: sessions_pb2.UpdateSessionRequest) -> Call[SessionDescription]:
    """Change a session."""
    return Call("UpdateSession", request, repeatable=False, decode=decode_description, session=request.name)


def delete_session(name: str, etag: str | None) -> Call[None]:
    """Delete a session."""
    request = sessions_pb2.DeleteSessionRequest(name=name, etag=checked_etag(etag))
    return Call("DeleteSession", request, repeatable=False, decode=lambda _: None, session=name)


def push(
    name: str,
    batch: ArrayLike | Batch,
    *,
    return_labels: bool,
    return_scores: bool = False,
    producer: str | None,
    sequence: int | None,
) -> Call[PushResult]:
    """Apply one batch; only with a producer and a sequence is a repeated push recognised."""
    if (producer is None) != (sequence is None):
        raise invalid("PRODUCER_INVALID", "producer", "producer and sequence go together: give both or neither")
    check_producer(producer)
    number = 0 if sequence is None else integer("sequence", sequence, INT64)
    encoded = encode_batch(
        batch,
        number,
        return_labels=flag("return_labels", return_labels),
        return_scores=flag("return_scores", return_scores),
    )
    named = None if producer is None else clustering_pb2.Producer(id=producer)
    request = wire.encode_push_request(name, encoded, named)
    return Call("Push", request, repeatable=producer is not None, decode=_result_of_push(name), session=name)


def assign(name: str, X: ArrayLike, *, return_distances: bool, return_scores: bool = False) -> Call[Assignment]:
    """Find the nearest centroid of each point."""
    points = wire.tensor_of(points_array(X))
    request = wire.encode_assign_request(
        name,
        points,
        return_distances=flag("return_distances", return_distances),
        return_scores=flag("return_scores", return_scores),
    )
    return Call("Assign", request, repeatable=True, decode=decode_assignment, session=name)


def get_centroids(name: str) -> Call[Snapshot]:
    """Read the newest version."""
    request = clustering_pb2.GetCentroidsRequest(session=name)
    return Call("GetCentroids", request, repeatable=True, decode=decode_snapshot, session=name)


def get_recent_points(name: str, max_points: int | None) -> Call[RecentPoints]:
    """Read a sample of recently applied points."""
    most = 0 if max_points is None else integer("max_points", max_points, INT32)
    request = clustering_pb2.GetRecentPointsRequest(session=name, max_points=most)
    return Call("GetRecentPoints", request, repeatable=True, decode=decode_recent_points, session=name)


def list_events(name: str, after: int, page_size: int = MAX_PAGE_SIZE) -> Call[EventPage]:
    """Read some of the events that are newer than a number."""
    number = integer("after", after, INT64, least=0)
    request = events_pb2.ListEventsRequest(name=name, after=number, page_size=page_size)
    return Call("ListEvents", request, repeatable=True, decode=decode_page, session=name)


def check_producer(producer: str | None) -> None:
    """Raise InvalidArgumentError for a producer whose name isn't text, or is empty: the protocol reads that as none."""
    if producer is not None and not text("producer", producer, "a producer's name is a string, such as 'nightly'"):
        raise invalid("PRODUCER_INVALID", "producer", "producer is empty; give it a name, or leave it out")


def _decode_page(answer: sessions_pb2.ListSessionsResponse) -> Page:
    return Page(tuple(decode_description(session) for session in answer.sessions), answer.next_page_token)


def _result_of_push(name: str) -> Callable[[wire.BatchResult], PushResult]:
    return lambda result: decode_result(result, name, duplicate=result.message.duplicate)
