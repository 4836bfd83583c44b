"""What is kept of the versions that watches were sent."""

from __future__ import annotations

import pytest

from shoal_server.budget import MIB, MemoryBudget
from shoal_server.sessions.port import WatchOptions
from shoal_server.sessions.sent_versions import SentVersions
from shoal_server.sessions.watching import Watch
from tests.sessions.watched import SHARED, Stage, short_text, snapshot

DELTA = WatchOptions(delta=True)
BYTES = snapshot(1).centroids.nbytes + snapshot(1).ids.nbytes


@pytest.fixture
def budget() -> MemoryBudget:
    return MemoryBudget(MIB)


@pytest.fixture
def sent(budget: MemoryBudget) -> SentVersions:
    return SentVersions(budget)


def test_each_version_but_the_newest_counts_once_until_no_watch_needs_it(
    sent: SentVersions, budget: MemoryBudget
) -> None:
    for version in (1, 1, 2, 3):
        sent.replace(None, snapshot(version))
    assert budget.used == 2 * BYTES

    sent.replace(1, snapshot(3))
    assert budget.used == 2 * BYTES  # another watch was sent version 1, too
    sent.replace(1, None)
    assert budget.used == BYTES
    for version in (2, 3, 3):
        sent.replace(version, None)

    assert budget.used == 0
    assert sent.get(3) is None


def test_versions_with_different_numbers_of_clusters_count_by_their_own_size(
    sent: SentVersions, budget: MemoryBudget
) -> None:
    for version, centroids in ((1, 1), (2, 100), (3, 10)):
        sent.replace(None, snapshot(version, *range(centroids)))

    assert budget.used == BYTES + 100 * BYTES

    sent.replace(2, None)
    assert budget.used == BYTES
    sent.replace(3, snapshot(4, *range(50)))
    assert budget.used == BYTES


def test_older_versions_are_dropped_when_memory_is_short(sent: SentVersions, budget: MemoryBudget) -> None:
    for version in (1, 2, 3):
        sent.replace(None, snapshot(version))

    budget.reserve(budget.total, "a message").release()

    newest = sent.get(3)
    assert (sent.get(1), sent.get(2), budget.used) == (None, None, 0)
    assert newest is not None
    sent.replace(1, snapshot(4))  # as the watch does that was sent it
    assert budget.used == BYTES


async def test_a_watch_whose_version_was_dropped_is_sent_the_next_one_whole() -> None:
    stage = Stage(version=1)
    events = stage.events()
    other = Watch(stage.session, DELTA, stage.queue, SHARED)
    texts = [short_text(await anext(events))]
    stage.publish(2)
    others = other.events()
    texts.append(short_text(await anext(others)))

    stage.budget.reserve(stage.budget.total, "a message").release()
    stage.publish(3)
    texts += [short_text(await anext(events)), short_text(await anext(others))]
    stage.publish(4)
    texts.append(short_text(await anext(events)))

    assert texts == ["1", "2", "3", "3 after 2", "4 after 3"]


@pytest.mark.parametrize(("options", "kept"), [(WatchOptions(), 0), (DELTA, 3), (WatchOptions(min_shift=0.1), 3)])
async def test_watches_keep_older_versions_only_where_they_need_them_and_until_they_close(
    options: WatchOptions, kept: int
) -> None:
    stage = Stage(version=0)
    watches = [Watch(stage.session, options, stage.queue, SHARED) for _ in range(4)]
    reads = [watch.events() for watch in watches]
    for version, read in enumerate(reads, 1):
        stage.publish(version)
        await anext(read)

    assert stage.budget.used == kept * BYTES
    for watch in watches:
        watch.close()
        watch.close()
    assert stage.budget.used == 0
