"""The responses of a watch, and when they come. The time is the event loop's, which jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shoal_server.clustering.state import Warming
from shoal_server.errors import Kind
from shoal_server.sessions.port import End, Progress, SentVersion, Update, WatchEvent, WatchOptions
from tests.sessions.clock import until_quiet
from tests.sessions.refusing import refusal
from tests.sessions.watched import Stage


async def test_a_watch_begins_with_the_newest_version() -> None:
    stage = Stage(version=7)
    stage.play({}, end=1)

    assert await stage.timeline() == [(0, "7"), (1, "deleted at 7")]


async def test_a_watch_sends_each_version_at_once() -> None:
    stage = Stage()
    stage.play({1: 0, 2: 1, 2.5: 2}, end=4)

    assert await stage.timeline() == [(1, "0"), (2, "1 after 0"), (2.5, "2 after 1"), (4, "deleted at 2")]


async def test_a_wake_without_a_newer_version_sends_nothing() -> None:
    stage = Stage(version=3)
    stage.play({1: 3, 2: 3}, end=3)

    assert await stage.timeline() == [(0, "3"), (3, "deleted at 3")]


async def test_a_resumed_watch_begins_after_the_version_it_has_seen() -> None:
    stage = Stage(WatchOptions(after_version=7), version=7)
    stage.play({1: 8}, end=2)

    assert await stage.timeline() == [(1, "8"), (2, "deleted at 8")]


async def test_a_resumed_watch_gets_the_newest_version_at_once() -> None:
    stage = Stage(WatchOptions(after_version=4), version=7)
    stage.play({}, end=1)

    assert await stage.timeline() == [(0, "7"), (1, "deleted at 7")]


async def test_a_watch_after_version_0_waits_for_version_1() -> None:
    stage = Stage(WatchOptions(after_version=0), version=0)
    stage.play({1: 1}, end=2)

    assert await stage.timeline() == [(1, "1"), (2, "deleted at 1")]


def test_a_watch_after_a_future_version_is_refused() -> None:
    error = refusal(lambda: Stage(WatchOptions(after_version=8), version=7))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, "VERSION_IN_FUTURE", "after_version")
    assert "after_version is 8 and the session is at version 7" in error.message


def test_a_watch_after_a_negative_version_is_refused() -> None:
    error = refusal(lambda: Stage(WatchOptions(after_version=-1), version=7))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, "VERSION_NEGATIVE", "after_version")


async def test_many_wakes_send_the_newest_version_once() -> None:
    stage = Stage(version=1)
    events = stage.events()
    first = await update(events)

    for version in range(2, 1000):
        stage.publish(version)
    second = await update(events)

    assert second.snapshot is stage.session.snapshot
    assert second.base == SentVersion(1, first.snapshot.centroids, first.snapshot.ids)
    assert await anext(events) == Progress(999, None)


async def test_the_base_of_an_update_is_the_version_sent_before_to_this_watcher() -> None:
    stage = Stage(version=1)
    events = stage.events()
    sent = [await update(events)]

    for version in range(2, 12):
        stage.publish(version)
        if version in {3, 4, 11}:
            sent.append(await update(events))

    assert [each.snapshot.version for each in sent] == [1, 3, 4, 11]
    bases = [each.base for each in sent[1:] if each.base]
    assert [base.version for base in bases] == [1, 3, 4]
    assert all(base.centroids is before.snapshot.centroids for base, before in zip(bases, sent, strict=False))


async def test_a_version_that_comes_while_the_watcher_waits_or_reads_is_not_missed() -> None:
    stage = Stage(version=1)
    events = stage.events()
    await update(events)
    waiting = asyncio.create_task(update(events))
    await until_quiet()

    stage.publish(2)
    second = await waiting
    stage.publish(3)
    third = await update(events)

    assert [second.snapshot.version, third.snapshot.version] == [2, 3]


async def test_a_watch_sends_the_end_after_the_last_version() -> None:
    stage = Stage(version=1)
    events = stage.events()
    await update(events)

    stage.publish(2)
    stage.end("expired")
    last = await update(events)

    assert last.snapshot.version == 2
    assert [event async for event in events] == [End("expired", 2)]


async def test_a_watch_of_an_ended_session_gets_its_last_version_and_the_end() -> None:
    stage = Stage(version=5)
    stage.end()

    assert await stage.timeline() == [(0, "5"), (0, "deleted at 5")]


async def test_a_watch_of_a_session_without_centroids_ends_at_version_0() -> None:
    stage = Stage()
    stage.play({}, end=2)

    assert await stage.timeline() == [(2, "deleted at 0")]


async def test_a_quiet_watch_sends_progress() -> None:
    stage = Stage(WatchOptions(progress_interval=10), version=4)
    stage.play({}, end=35)

    assert await stage.timeline() == [
        (0, "4"), (10, "still 4"), (20, "still 4"), (30, "still 4"), (35, "deleted at 4"),
    ]  # fmt: skip


async def test_an_update_postpones_the_next_progress_message() -> None:
    stage = Stage(WatchOptions(progress_interval=10), version=4)
    stage.play({7: 5, 16: 6}, end=30)

    assert await stage.timeline() == [
        (0, "4"), (7, "5 after 4"), (16, "6 after 5"), (26, "still 6"), (30, "deleted at 6"),
    ]  # fmt: skip


@pytest.mark.parametrize("seen", [0, 3])
async def test_progress_of_a_warming_session_has_its_number_of_points(seen: int) -> None:
    stage = Stage(WatchOptions(progress_interval=10))
    stage.session.warming = Warming(seen, needed=9)
    stage.play({}, end=15)

    assert await stage.timeline() == [(10, f"still 0, {seen} of 9"), (15, "deleted at 0")]


async def test_wakes_do_not_postpone_a_progress_message() -> None:
    stage = Stage(WatchOptions(progress_interval=10), version=4)
    stage.play(dict.fromkeys(range(1, 12), 4), end=12)

    assert await stage.timeline() == [(0, "4"), (10, "still 4"), (12, "deleted at 4")]


async def update(events: AsyncIterator[WatchEvent]) -> Update:
    """Wait for an event that has to be an update."""
    event = await anext(events)
    assert isinstance(event, Update)
    return event
