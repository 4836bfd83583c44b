"""The events that a session keeps, and watches that follow them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from shoal_server.clustering.events import Event
from shoal_server.errors import DomainError, Reason
from shoal_server.sessions.event_log import EVENT_BYTES, ID_BYTES, EventLog
from shoal_server.sessions.port import End, NewEvents, Update, WatchEvent, WatchOptions
from tests.sessions.clock import jumping_loop
from tests.sessions.watched import NOW, Stage, short_text


def event(number: int, **fields: Any) -> Event:
    return Event("retired", (number,), 1, number=number, **fields)


def log(events: int = 0, max_events: int = 1000) -> EventLog:
    """Return a log of events with the numbers from 1."""
    kept = EventLog(max_events, lambda: NOW)
    kept.publish([event(number) for number in range(1, events + 1)])
    return kept


def numbers(kept: EventLog, after: int, most: int = 100) -> list[int]:
    return [each.event.number for each in kept.after(after, most)]


def test_an_empty_log_has_no_events() -> None:
    empty = log()

    assert (empty.first, empty.newest, empty.bytes) == (1, 0, 0)
    assert numbers(empty, 0) == []


def test_events_are_read_after_a_number_oldest_first_and_a_few_at_a_time() -> None:
    kept = log(10)

    assert numbers(kept, 0, 3) == [1, 2, 3]
    assert numbers(kept, 3, 3) == [4, 5, 6]
    assert numbers(kept, 9, 3) == [10]
    assert numbers(kept, 10, 3) == []


def test_the_oldest_events_go_first() -> None:
    kept = log(10, max_events=4)

    assert (kept.first, kept.newest) == (7, 10)
    assert numbers(kept, 0) == [7, 8, 9, 10]
    assert numbers(kept, 8) == [9, 10]


def test_a_log_counts_the_bytes_of_what_it_keeps() -> None:
    kept = log(10, max_events=4)

    assert kept.bytes == 4 * (EVENT_BYTES + ID_BYTES)


def test_a_log_goes_on_after_events_of_which_it_has_none() -> None:
    kept = EventLog(10, lambda: NOW, newest=7)

    assert (kept.first, kept.newest, numbers(kept, 0)) == (8, 7, [])
    kept.check(7, "after")
    kept.publish([event(8)])
    assert (kept.first, kept.newest, numbers(kept, 0)) == (8, 8, [8])


def test_events_that_come_together_have_the_time_of_their_publication() -> None:
    times = iter(NOW + timedelta(seconds=second) for second in range(10))
    kept = EventLog(10, lambda: next(times))

    kept.publish([event(1), event(2)])
    kept.publish([])
    kept.publish([event(3)])

    stamped: list[datetime] = [each.time for each in kept.after(0, 10)]
    assert stamped == [NOW, NOW, NOW + timedelta(seconds=1)]


@pytest.mark.parametrize(("number", "reason"), [(-1, Reason.EVENT_NEGATIVE), (3, Reason.EVENT_IN_FUTURE)])
def test_a_number_that_no_event_has_is_refused(number: int, reason: Reason) -> None:
    with pytest.raises(DomainError) as refused:
        log(2).check(number, "after")

    assert refused.value.refusal.reason == reason


def stage(after_event: int | None, *, events: int = 0, max_events: int = 1000, **options: Any) -> Stage:
    """Return a session at version 0 with a watch of its events."""
    kept = log(events, max_events)
    return Stage(WatchOptions(after_event=after_event, **options), version=0, log=kept)


def tell(stage: Stage, *told: int, version: int | None = None) -> None:
    """Publish events, perhaps with a version."""
    stage.session.event_log.publish([event(number) for number in told])
    if version is not None:
        stage.publish(version)
    stage.queue.announce(stage.session.snapshot, stage.session.event_log.newest)


async def texts(stage: Stage, count: int) -> list[str]:
    """Return what the watch yields next."""
    found: list[str] = []
    async for each in stage.watch.events():
        found.append(short_text(each))
        if len(found) == count:
            break
    return found


async def test_a_watch_without_a_number_gets_no_events() -> None:
    watched = stage(None, events=5)
    jumping_loop().call_at(1, tell, watched, 6)
    jumping_loop().call_at(2, watched.end)

    assert await watched.timeline() == [(0, "0"), (2, "deleted at 0")]


async def test_a_watch_gets_the_events_that_are_kept_and_then_each_as_it_comes() -> None:
    watched = stage(2, events=5)
    jumping_loop().call_at(1, tell, watched, 6)
    jumping_loop().call_at(2, tell, watched, 7, 8)
    jumping_loop().call_at(3, watched.end)

    assert await watched.timeline() == [
        (0, "events 3 to 5"),
        (0, "0"),
        (1, "events 6 to 6"),
        (2, "events 7 to 8"),
        (3, "deleted at 0"),
    ]


async def test_events_come_before_the_version_that_they_came_with() -> None:
    watched = stage(0)
    events = watched.events()
    await anext(events)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)

    tell(watched, 1, 2, version=3)

    assert [short_text(each) for each in (await waiting, await anext(events))] == ["events 1 to 2", "3 after 0"]


async def test_a_watch_that_rests_gets_events_at_once_and_versions_after_its_interval() -> None:
    watched = stage(0, min_interval=10.0)
    jumping_loop().call_at(1, lambda: tell(watched, 1, version=1))
    jumping_loop().call_at(2, lambda: tell(watched, 2))
    jumping_loop().call_at(20, watched.end)

    assert await watched.timeline() == [
        (0, "0"),
        (1, "events 1 to 1"),
        (2, "events 2 to 2"),
        (10, "1 after 0"),
        (20, "deleted at 1"),
    ]


async def test_a_watch_of_events_only_gets_no_versions_and_signs_of_life() -> None:
    watched = stage(0, events_only=True, progress_interval=15.0)
    jumping_loop().call_at(1, lambda: tell(watched, version=1))
    jumping_loop().call_at(2, lambda: tell(watched, 1, version=2))
    jumping_loop().call_at(20, watched.end)

    assert await watched.timeline() == [(2, "events 1 to 1"), (17, "still 2"), (20, "deleted at 2")]


async def test_a_watch_takes_no_turn_for_versions_that_it_does_not_want() -> None:
    watched = stage(0, events_only=True)
    turns = 0
    give_turn = watched.watch.give_turn

    def count(size: int) -> None:
        nonlocal turns
        turns += 1
        give_turn(size)

    watched.watch.give_turn = count  # type: ignore[method-assign]
    for second in range(1, 10):
        jumping_loop().call_at(second, watched.publish, second)
    jumping_loop().call_at(10, watched.end)
    await watched.timeline()

    assert turns == 1


async def test_a_slow_watch_misses_no_event_while_it_is_kept() -> None:
    watched = stage(0)
    seen: list[int] = []
    versions: list[int] = []
    newest = 0

    async for each in watched.watch.events():
        seen += _numbers(each)
        versions += [each.snapshot.version] if isinstance(each, Update) else []
        if isinstance(each, End):
            break
        if newest < 3000:  # before it looks again a hundred events and some versions come
            tell(watched, *range(newest + 1, newest + 101), version=newest + 100)
            newest += 100
        else:
            watched.end()

    assert seen == list(range(1, 3001))
    assert versions == sorted(set(versions))
    assert versions[-1] == 3000


async def test_a_watch_that_is_too_slow_goes_on_with_the_oldest_event_that_is_kept() -> None:
    watched = stage(0, max_events=10, events_only=True)
    tell(watched, *range(1, 101))

    assert await texts(watched, 1) == ["events 91 to 100"]


async def test_a_watch_after_an_event_in_the_future_is_refused() -> None:
    with pytest.raises(DomainError) as refused:
        stage(6, events=5)

    assert refused.value.refusal.reason == Reason.EVENT_IN_FUTURE
    assert refused.value.refusal.field == "after_event"


def _numbers(each: WatchEvent) -> list[int]:
    return [published.event.number for published in each.events] if isinstance(each, NewEvents) else []
