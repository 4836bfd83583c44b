"""All events that a session keeps, read page by page. No I/O."""

from __future__ import annotations

from shoal import _calls
from shoal._calls import Call
from shoal._event_codec import EventPage, with_missed
from shoal._events import Event


class EventListing:
    """The calls that read the events after one of a number.

    Raises
    ------
    InvalidArgumentError
        If the number is invalid.
    """

    def __init__(self, session: str, after: int) -> None:
        self.events: list[Event] = []
        self._session = session
        self._next: Call[EventPage] | None = _calls.list_events(session, after)
        self._last = after

    def next_call(self) -> Call[EventPage] | None:
        """Return the call for the next page; None: all events are there."""
        return self._next

    def take(self, page: EventPage) -> None:
        """Take the page of a call."""
        self.events += with_missed(page.events, self._last)
        self._next = None
        if page.events and page.events[-1].number < page.newest:
            self._last = page.events[-1].number
            self._next = _calls.list_events(self._session, self._last)
