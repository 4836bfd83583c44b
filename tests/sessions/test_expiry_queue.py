"""The queue of expiring sessions: its order, its cost, and what it keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from shoal_server.sessions.registry import SPARE_ENTRIES, ExpiryQueue


@dataclass
class Used:
    """A session whose end moves."""

    uid: str
    end: float
    looks: list[float] = field(default_factory=list)

    @property
    def expires_at(self) -> float:
        """The end, and count the look."""
        self.looks.append(self.end)
        return self.end


def test_sessions_leave_the_expiry_queue_in_the_order_of_their_ends() -> None:
    queue: ExpiryQueue[Used] = ExpiryQueue()
    for end in (3.0, 1.0, math.inf, 2.0):
        queue.schedule(Used(f"to {end}", end))

    out = [session.uid for session in iter(lambda: queue.pop_expired(2.5), None)]

    assert out == ["to 1.0", "to 2.0"]
    assert queue.next_due() == 3.0


def test_a_used_session_is_checked_again_at_its_new_end() -> None:
    queue: ExpiryQueue[Used] = ExpiryQueue()
    session = Used("used", 1.0)
    queue.schedule(session)
    session.end = 5.0

    assert queue.pop_expired(2.0) is None
    assert queue.next_due() == 5.0
    assert queue.pop_expired(5.0) is session
    assert queue.next_due() is None


def test_a_session_without_an_end_is_not_in_the_expiry_queue() -> None:
    queue: ExpiryQueue[Used] = ExpiryQueue()
    session = Used("watched", 1.0)
    queue.schedule(session)
    session.end = math.inf

    assert queue.pop_expired(2.0) is None
    assert queue.next_due() is None
    session.end = 9.0
    assert queue.schedule(session)
    assert queue.next_due() == 9.0


def test_an_earlier_end_replaces_the_previous_one() -> None:
    queue: ExpiryQueue[Used] = ExpiryQueue()
    session = Used("changed", 9.0)
    queue.schedule(session)
    session.end = 1.0
    queue.schedule(session)

    assert queue.pop_expired(1.0) is session
    assert queue.pop_expired(10.0) is None


def test_adding_a_session_to_the_expiry_queue_checks_no_others() -> None:
    queue: ExpiryQueue[Used] = ExpiryQueue()
    others = [Used(str(number), 10.0 + number) for number in range(1000)]
    for other in others:
        queue.schedule(other)
    before = sum(len(other.looks) for other in others)

    queue.schedule(Used("new", 5.0))
    queue.pop_expired(1.0)

    assert sum(len(other.looks) for other in others) == before


def test_forgotten_sessions_leave_nothing_in_the_expiry_queue() -> None:
    queue: ExpiryQueue[Used] = ExpiryQueue()
    for number in range(1000):
        session = Used(str(number), 1e9)
        queue.schedule(session)
        queue.discard(session)

    assert len(queue) <= SPARE_ENTRIES
    assert queue.next_due() is None
