"""Which session ends next because nobody uses it, without a look at all the others."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Generic, Protocol, TypeVar

# So many entries of sessions that are gone may stay, besides as many as there are sessions, before they are cleared.
SPARE_ENTRIES = 64


class Expiring(Protocol):
    """What is needed of a session."""

    @property
    def uid(self) -> str:
        """Tells it from every other session."""
        ...

    @property
    def expires_at(self) -> float:
        """When it ends unless somebody uses it; infinity: never, as things stand."""
        ...


T = TypeVar("T", bound=Expiring)


class ExpiryQueue(Generic[T]):
    """Sessions by the time of their end.

    A use only puts an end off, so it need not be told here: an entry that comes due is looked at again then. What
    brings an end nearer has to be told with `schedule`.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._entries: dict[str, tuple[float, int, T]] = {}  # the newest of each session, by its uid
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def schedule(self, session: T) -> bool:
        """Take note of when a session ends, and return whether it is now the first that is due."""
        due = session.expires_at
        known = self._entries.get(session.uid)
        if due == math.inf or (known and known[0] <= due):
            return False
        entry = self._entries[session.uid] = (due, next(self._numbers), session)
        heapq.heappush(self._heap, entry)
        self._clear_old_entries()
        return self._heap[0] is entry

    def discard(self, session: T) -> None:
        """Forget a session."""
        self._entries.pop(session.uid, None)
        self._clear_old_entries()

    def next_due(self) -> float | None:
        """Return when to look again; None: no session has an end."""
        while self._heap and not self._is_newest(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_expired(self, now: float) -> T | None:
        """Take out a session whose end has come; None: there is none."""
        while (due := self.next_due()) is not None and due <= now:
            session = heapq.heappop(self._heap)[2]
            del self._entries[session.uid]
            if session.expires_at <= now:
                return session
            self.schedule(session)
        return None

    def _is_newest(self, entry: tuple[float, int, T]) -> bool:
        return self._entries.get(entry[2].uid) is entry

    def _clear_old_entries(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + SPARE_ENTRIES:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)
