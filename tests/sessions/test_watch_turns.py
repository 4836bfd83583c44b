"""Many watches take turns: others are served between them, no session waits for another's, and no turn is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from shoal_server.budget import MIB, MemoryBudget
from shoal_server.clustering.state import Snapshot, largest_shift, read_only_snapshot
from shoal_server.engines.contract import Float64Array
from shoal_server.sessions import watching
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.port import Update, WatchOptions
from shoal_server.sessions.sent_versions import SentVersions
from shoal_server.sessions.watch_turns import MESSAGE_BYTES, TURN_BYTES, WatchQueue, WatchScheduler
from shoal_server.sessions.watching import Watch
from shoal_server.shared_results import SharedResults
from tests.sessions.clock import JumpingLoop, until_quiet
from tests.sessions.watched import SHARED, PlayedSession, Stage, snapshot

MANY = 100
MOST_AT_ONCE = TURN_BYTES // MESSAGE_BYTES
Write = tuple[str, int]  # session and version


class Followed:
    """A session with many watches, and their output."""

    def __init__(self, name: str, scheduler: WatchScheduler, writes: list[Write]) -> None:
        self._name = name
        self._queue = WatchQueue(scheduler, SentVersions(MemoryBudget(MIB)))
        self._session = PlayedSession()
        self._writes = writes
        self.tasks: list[asyncio.Task[None]] = []
        self.encoded = asyncio.Event()  # whether what is written is there already
        self.encoded.set()

    def publish(self, newest: Snapshot) -> None:
        """Make a version."""
        self._session.snapshot = newest
        self._queue.announce(newest)

    def watch(self, count: int) -> None:
        """Open some watches."""
        for _ in range(count):
            watch = Watch(self._session, WatchOptions(), self._queue, SHARED)
            self.tasks.append(asyncio.create_task(self._follow(watch)))

    async def _follow(self, watch: Watch) -> None:
        async for event in watch.events():
            if isinstance(event, Update):
                await self.encoded.wait()
                watch.begin_write()
                self._writes.append((self._name, event.snapshot.version))
                await asyncio.sleep(0)  # gRPC is done in a later turn of the loop


class Crowd:
    """Several sessions, and the output of all their watches, in order."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self._scheduler = WatchScheduler()
        self._sessions: list[Followed] = []

    def session(self, name: str, newest: Snapshot, watches: int) -> Followed:
        """Start a session with watches that have received nothing yet."""
        session = Followed(name, self._scheduler, self.writes)
        self._sessions.append(session)
        session.publish(newest)
        session.watch(watches)
        return session

    async def close(self) -> None:
        """End all watches."""
        tasks = [task for session in self._sessions for task in session.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    crowd = Crowd()
    yield crowd
    await crowd.close()


def wide(version: int) -> Snapshot:
    """Return a version of one centroid that takes long to encode."""
    nothing, centroids = np.zeros(1), np.full((1, TURN_BYTES // 8), float(version))
    return read_only_snapshot(version, centroids, nothing, 0.0, nothing, version, 1)


async def writes_a_turn(writes: list[Write], turns: int) -> list[int]:
    """Return the number of writes in each of the next iterations of the event loop."""
    counts = []
    for _ in range(turns):
        before = len(writes)
        await asyncio.sleep(0)
        counts.append(len(writes) - before)
    return counts


@pytest.mark.parametrize(("make", "most"), [(snapshot, MOST_AT_ONCE), (wide, 1)])
async def test_a_bounded_number_of_watches_write_in_one_iteration_of_the_event_loop(
    crowd: Crowd, make: Callable[[int], Snapshot], most: int
) -> None:
    session = crowd.session("watched", make(1), MANY)
    opening = await writes_a_turn(crowd.writes, 10 * MANY)

    session.publish(make(2))
    telling = await writes_a_turn(crowd.writes, 10 * MANY)

    assert max(opening) <= most
    assert max(telling) <= most
    assert crowd.writes == [("watched", 1)] * MANY + [("watched", 2)] * MANY


async def test_watches_of_wide_sessions_share_an_iteration_of_the_event_loop_with_others(crowd: Crowd) -> None:
    for number in range(20):
        crowd.session(f"wide-{number}", wide(1), 1)

    counts = await writes_a_turn(crowd.writes, 200)

    assert (max(counts), len(crowd.writes)) == (1, 20)


async def test_a_session_with_one_watch_does_not_wait_for_the_many_of_another(crowd: Crowd) -> None:
    many, one = crowd.session("many", snapshot(1), MANY), crowd.session("one", snapshot(1), 1)
    await until_quiet()
    crowd.writes.clear()

    many.publish(snapshot(2))
    one.publish(snapshot(2))
    await until_quiet()

    assert crowd.writes.index(("one", 2)) <= 2
    assert len(crowd.writes) == MANY + 1


async def test_watches_that_wait_for_their_turn_get_the_newest_version_at_that_time(crowd: Crowd) -> None:
    session = crowd.session("watched", wide(1), MANY)
    await until_quiet()
    crowd.writes.clear()

    session.publish(wide(2))
    await writes_a_turn(crowd.writes, MANY)
    before = len(crowd.writes)
    session.publish(wide(3))
    await until_quiet()

    assert 0 < before < MANY
    assert before <= crowd.writes.count(("watched", 2)) <= before + 1
    assert crowd.writes.count(("watched", 3)) == MANY


async def test_a_version_that_takes_long_to_encode_delays_no_other_session(crowd: Crowd) -> None:
    slow = crowd.session("slow", wide(1), MANY)
    slow.encoded.clear()
    crowd.session("quick", snapshot(1), MANY)
    crowd.session("wide", wide(1), 5)

    await until_quiet()
    meanwhile = set(crowd.writes)
    slow.encoded.set()
    await until_quiet()

    assert meanwhile == {("quick", 1), ("wide", 1)}
    assert crowd.writes.count(("slow", 1)) == MANY


async def test_watches_that_end_in_their_turn_leave_it_to_others(crowd: Crowd) -> None:
    session = crowd.session("watched", wide(1), MANY)
    session.encoded.clear()
    await until_quiet()

    for task in session.tasks[: MANY - 1]:
        task.cancel()
    session.encoded.set()
    await until_quiet()

    assert crowd.writes == [("watched", 1)]


async def test_a_watch_that_does_not_read_takes_no_turn_from_others() -> None:
    stage = Stage(version=1)
    unread = stage.events()
    await anext(unread)
    stage.watch.begin_write()

    read = Watch(stage.session, WatchOptions(), stage.queue, SHARED).events()
    for version in range(2, 10):
        stage.publish(version)
        event = await anext(read)
        assert isinstance(event, Update)
        assert event.snapshot.version == version


async def test_waking_watches_twice_before_their_turn_sends_once(crowd: Crowd) -> None:
    session = crowd.session("watched", snapshot(1), MANY)
    await until_quiet()
    crowd.writes.clear()

    for version in range(2, 50):
        session.publish(snapshot(version))
    await until_quiet()

    assert crowd.writes == [("watched", 49)] * MANY


@pytest.mark.parametrize(("make", "on_threads"), [(snapshot, 0), (wide, 1)])
async def test_the_shift_of_a_version_is_computed_once_for_all_watches_and_on_a_thread_if_wide(
    monkeypatch: pytest.MonkeyPatch, compute: ComputePool, make: Callable[[int], Snapshot], on_threads: int
) -> None:
    computed: list[float] = []
    begun: list[object] = []
    begin = compute.begin

    def count(before: Float64Array, after: Float64Array) -> float:
        computed.append(after[0, 0])
        return largest_shift(before, after)

    def note(function: Callable[[], float]) -> asyncio.Future[float]:
        begun.append(function)
        return begin(function)

    monkeypatch.setattr(watching, "largest_shift", count)
    session = PlayedSession(make(1))
    queue, shared = WatchQueue(WatchScheduler(), SentVersions(MemoryBudget(MIB))), SharedResults(note)
    told: list[int] = []

    async def follow() -> None:
        watch = Watch(session, WatchOptions(min_shift=0.5), queue, shared)
        async for event in watch.events():
            if isinstance(event, Update):
                watch.begin_write()
                told.append(event.snapshot.version)

    watches = [asyncio.create_task(follow()) for _ in range(5)]
    await until_quiet()

    session.snapshot = newest = make(2)
    queue.announce(newest)
    await until_quiet()
    session.ended = "deleted"
    queue.wake_all()
    await asyncio.gather(*watches)

    assert told == [1] * 5 + [2] * 5
    assert (computed, len(begun)) == ([2], on_threads)


async def test_no_write_begins_for_as_long_as_the_writes_of_the_last_turn_took() -> None:
    seconds = 0.5
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    session, queue = PlayedSession(), WatchQueue(WatchScheduler(), SentVersions(MemoryBudget(MIB)))
    session.snapshot = snapshot(1)
    begins: list[float] = []

    async def follow(watch: Watch) -> None:
        async for _ in watch.events():
            watch.begin_write()
            begins.append(loop.time())
            loop.jump(seconds)  # the write holds the loop
            await asyncio.Event().wait()

    watches = [Watch(session, WatchOptions(), queue, SHARED) for _ in range(4)]
    tasks = [asyncio.create_task(follow(watch)) for watch in watches]
    await asyncio.sleep(10 * seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    rests = np.diff(begins) - seconds
    assert rests.tolist() == pytest.approx([0.0, MOST_AT_ONCE * seconds, 0.0])
