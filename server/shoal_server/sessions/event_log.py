"""The events of one session: the newest of them are kept, and read by their numbers.

Whoever follows them holds a number and no event, so that a slow one costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from shoal_server.clustering.events import Event
from shoal_server.errors import Reason, invalid
from shoal_server.sessions.port import EventPage, PublishedEvent

# Of an event with its numbers, its time and its place among the others (360 to 440, measured), and of each id in it.
EVENT_BYTES, ID_BYTES = 500, 40


class EventLog:
    """Keeps the newest events of a session.

    Parameters
    ----------
    max_events
        How many are kept.
    now
        The time.
    newest
        The number of the last event that the session has had already; 0: there was none.
    """

    def __init__(self, max_events: int, now: Callable[[], datetime], newest: int = 0) -> None:
        self.newest = newest
        self.bytes = 0  # that the events take
        self._max_events = max_events
        self._now = now
        self._kept: dict[int, PublishedEvent] = {}  # by their numbers, which have no gaps

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept, or the next one."""
        return self.newest - len(self._kept) + 1

    def publish(self, events: Sequence[Event]) -> None:
        """Keep events that come after the newest one, and drop the oldest."""
        if not events:
            return
        time = self._now()
        for event in events:
            self._kept[event.number] = PublishedEvent(event, time)
            self.newest = event.number
            self.bytes += _size(event)
            if len(self._kept) > self._max_events:
                self.bytes -= _size(self._kept.pop(self.first).event)

    def after(self, number: int, most: int) -> Sequence[PublishedEvent]:
        """Return the oldest events that are newer than a number and kept, at most so many."""
        begin = max(number + 1, self.first)
        return [self._kept[each] for each in range(begin, min(begin + most, self.newest + 1))]

    def page(self, session_uid: str, after: int, most: int) -> EventPage:
        """Return `after` as a page; raises as `check` does."""
        self.check(after, "after")
        return EventPage(session_uid, self.after(after, most), self.first, self.newest)

    def check(self, number: int, field: str) -> None:
        """Raise EVENT_NEGATIVE or EVENT_IN_FUTURE unless a number is that of an event so far, or 0."""
        if number < 0:
            raise invalid(Reason.EVENT_NEGATIVE, field, f"{field} is {number}; events count from 1, and 0 is for all")
        if number > self.newest:
            raise invalid(
                Reason.EVENT_IN_FUTURE,
                field,
                f"{field} is {number} and the session's newest event is {self.newest}; use 0 for all that are kept",
            )


def _size(event: Event) -> int:
    return EVENT_BYTES + ID_BYTES * len(event.clusters)
