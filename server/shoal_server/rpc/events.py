"""Events as messages."""

from __future__ import annotations

from collections.abc import Sequence

from shoal import wire
from shoal.v1 import events_pb2
from shoal_server.sessions.port import EventPage, PublishedEvent

_EVENT_BYTES, _ID_BYTES = 128, 16  # of work: an event is encoded in 10 µs, and an id of it in 50 ns


def encode_events(events: Sequence[PublishedEvent]) -> list[events_pb2.Event]:
    """Return events as messages."""
    return [_encode_event(each) for each in events]


def encode_page(page: EventPage) -> bytes:
    """Return a page of events as the bytes of a message."""
    return events_pb2.ListEventsResponse(
        events=encode_events(page.events), first=page.first, newest=page.newest, session_uid=page.session_uid
    ).SerializeToString()


def encoded_size(events: Sequence[PublishedEvent]) -> int:
    """Return about how many bytes events take as messages."""
    return sum(_EVENT_BYTES + _ID_BYTES * len(each.event.clusters) for each in events)


def _encode_event(published: PublishedEvent) -> events_pb2.Event:
    event = published.event
    message = events_pb2.Event(
        number=event.number,
        kind=wire.EVENT_KINDS[event.kind],
        version=event.version,
        clusters=event.clusters,
        cluster_count=event.cluster_count,
        other=event.other,
        before=event.before,
        after=event.after,
        fields=event.fields,
    )
    message.time.FromDatetime(published.time)
    return message
