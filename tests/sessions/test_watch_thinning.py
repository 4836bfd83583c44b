"""Watchers that want to see less: min_interval and min_shift."""

from __future__ import annotations

import asyncio

import pytest

from shoal_server.sessions.port import WatchOptions
from tests.sessions.watched import Stage, short_text


async def test_a_watch_skips_versions_within_min_interval_and_sends_the_newest() -> None:
    stage = Stage(WatchOptions(min_interval=1), version=0)
    stage.play({0.25: 1, 0.5: 2, 0.75: 3, 1.5: 4, 1.75: 5}, end=10)

    assert await stage.timeline() == [(0, "0"), (1, "3 after 0"), (2, "5 after 3"), (10, "deleted at 5")]


async def test_a_version_after_a_long_silence_is_sent_at_once() -> None:
    stage = Stage(WatchOptions(min_interval=1), version=0)
    stage.play({5: 1, 5.5: 2}, end=10)

    assert await stage.timeline() == [(0, "0"), (5, "1 after 0"), (6, "2 after 1"), (10, "deleted at 2")]


async def test_the_first_version_does_not_wait_for_min_interval() -> None:
    stage = Stage(WatchOptions(min_interval=100))
    stage.play({3: 0}, end=4)

    assert (await stage.timeline())[0] == (3, "0")


async def test_the_last_version_and_the_end_do_not_wait_for_min_interval() -> None:
    stage = Stage(WatchOptions(min_interval=4000), version=0)
    stage.play({1: 1}, end=2)

    assert await stage.timeline() == [(0, "0"), (2, "1 after 0"), (2, "deleted at 1")]


async def test_an_end_without_a_newer_version_does_not_wait_for_min_interval() -> None:
    stage = Stage(WatchOptions(min_interval=4000), version=0)
    stage.play({}, end=2)

    assert await stage.timeline() == [(0, "0"), (2, "deleted at 0")]


async def test_progress_is_sent_while_a_version_waits_for_min_interval() -> None:
    stage = Stage(WatchOptions(min_interval=25, progress_interval=10), version=0)
    stage.play({1: 1}, end=30)

    assert await stage.timeline() == [
        (0, "0"), (10, "still 1"), (20, "still 1"), (25, "1 after 0"), (30, "deleted at 1"),
    ]  # fmt: skip


async def test_many_wakes_do_not_send_a_version_before_min_interval() -> None:
    stage = Stage(WatchOptions(min_interval=8), version=0)
    stage.play({second / 16: second for second in range(1, 128)}, end=9)

    assert await stage.timeline() == [(0, "0"), (8, "127 after 0"), (9, "deleted at 127")]


async def test_the_end_wakes_a_watch_within_min_interval_but_versions_do_not() -> None:
    stage = Stage(WatchOptions(min_interval=8), version=0)
    events = stage.events()
    await anext(events)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)  # it waits now

    stage.publish(1)

    assert not stage.queue.is_ready(stage.watch)
    stage.end()
    assert short_text(await waiting) == "1 after 0"


async def test_centroids_that_moved_less_than_min_shift_are_not_sent() -> None:
    stage = Stage(WatchOptions(min_shift=3), version=10)
    stage.play({1: 11, 2: 12, 3: 13, 4: 15, 5: 19}, end=6)

    assert await stage.timeline() == [(0, "10"), (3, "13 after 10"), (5, "19 after 13"), (6, "deleted at 19")]


@pytest.mark.parametrize(("centroids", "sent"), [((0, 0, 3), True), ((0, 0, -3), True), ((2, 2, 2), False)])
async def test_min_shift_applies_to_the_centroid_that_moved_most(centroids: tuple[float, ...], sent: bool) -> None:
    stage = Stage(WatchOptions(min_shift=3))
    stage.publish(1, 0, 0, 0)
    events = stage.events()
    await anext(events)

    stage.publish(2, *centroids)
    stage.end()

    assert len([event async for event in events]) == (2 if sent else 1)


async def test_min_shift_counts_movement_since_the_last_sent_version() -> None:
    stage = Stage(WatchOptions(min_shift=10), version=0)
    stage.play({second: second for second in range(1, 26)}, end=30)

    assert await stage.timeline() == [(0, "0"), (10, "10 after 0"), (20, "20 after 10"), (30, "deleted at 25")]


async def test_a_resumed_watch_gets_its_first_version_despite_min_shift() -> None:
    stage = Stage(WatchOptions(after_version=1, min_shift=1000), version=1)
    stage.play({1: 2, 2: 3}, end=3)

    assert await stage.timeline() == [(1, "2"), (3, "deleted at 3")]


async def test_a_watch_sends_progress_of_the_newest_version_while_little_moves() -> None:
    stage = Stage(WatchOptions(min_shift=1000, progress_interval=10), version=0)
    stage.play({second: second for second in range(1, 25)}, end=25)

    assert await stage.timeline() == [(0, "0"), (10, "still 10"), (20, "still 20"), (25, "deleted at 24")]


async def test_a_version_below_min_shift_does_not_delay_the_next_one() -> None:
    stage = Stage(WatchOptions(min_interval=4, min_shift=3), version=0)
    stage.play({5: 1, 6: 5, 7: 9}, end=20)

    assert await stage.timeline() == [(0, "0"), (6, "5 after 0"), (10, "9 after 5"), (20, "deleted at 9")]
