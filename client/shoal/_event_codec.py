"""Decodes events, and asks for them page by page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC

from shoal import wire
from shoal._events import Event
from shoal._session_codec import enum_name
from shoal.v1 import events_pb2


@dataclass(frozen=True)
class EventPage:
    """Some of the events that a session keeps, in their order."""

    events: tuple[Event, ...]
    newest: int
    """The number of the session's newest event; 0: there is none."""
    session_uid: str


def decode_event(event: events_pb2.Event) -> Event:
    """Return an event; whether others are missing before it, it can't know."""
    return Event(
        number=event.number,
        kind=enum_name(event.kind, wire.EVENT_KINDS),
        version=event.version,
        time=event.time.ToDatetime(UTC),
        clusters=tuple(event.clusters),
        cluster_count=event.cluster_count,
        other=event.other if event.HasField("other") else None,
        before=event.before if event.HasField("before") else None,
        after=event.after if event.HasField("after") else None,
        fields=tuple(event.fields),
    )


def decode_page(answer: events_pb2.ListEventsResponse) -> EventPage:
    """Return a page of events."""
    return EventPage(tuple(decode_event(event) for event in answer.events), answer.newest, answer.session_uid)


def with_missed(events: Iterable[Event], last: int) -> list[Event]:
    """Return events that follow one of a number, each with how many are lost before it."""
    found = []
    for event in events:
        missed = event.number - last - 1
        found.append(replace(event, missed=missed) if missed > 0 else event)
        last = event.number
    return found
