"""What happened to a session, newest first: its own events, and what its page has noticed."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import islice

import shoal
from shoal_presentation.views.numbers import count_text

_MAX_EVENTS = 100  # that are shown
_MAX_NOTES = 30


@dataclass(frozen=True)
class _Entry:
    when: datetime  # UTC
    html: str


class EventList:
    """The newest events of a session, and notes of the page's own."""

    def __init__(self) -> None:
        self._events: deque[_Entry] = deque(maxlen=_MAX_EVENTS)  # the newest first
        self._notes: deque[_Entry] = deque(maxlen=_MAX_NOTES)
        self._drawn: str | None = ""  # None: there is more by now
        self.newest = 0  # number of the newest event; 0: none yet
        self.revision = 0  # counts what has been added

    @property
    def html(self) -> str:
        """The items of a list; drawn when somebody looks, once for all viewers."""
        if self._drawn is None:
            entries = heapq.merge(self._events, self._notes, key=lambda entry: entry.when, reverse=True)
            self._drawn = "".join(
                f"<li><time>{entry.when:%H:%M:%S}</time> {entry.html}</li>" for entry in islice(entries, _MAX_EVENTS)
            )
        return self._drawn

    def add(self, event: shoal.Event) -> None:
        """Add an event that is newer than those before."""
        lost = f" ({count_text(event.missed, 'earlier event')} can't be shown any more)" if event.missed else ""
        text = f'<span class="version">version {event.version:,}</span> <span>{escape(f"{event}{lost}")}</span>'
        self._events.appendleft(_Entry(event.time, text))
        self.newest = event.number
        self._changed()

    def note(self, text: str) -> None:
        """Add what the page has noticed just now."""
        self._notes.appendleft(_Entry(datetime.now(UTC), f"<span>{escape(text)}</span>"))
        self._changed()

    def forget_events(self) -> None:
        """Remove the events, of a session whose name another one has now."""
        self._events.clear()
        self.newest = 0
        self._changed()

    def _changed(self) -> None:
        self._drawn = None
        self.revision += 1
