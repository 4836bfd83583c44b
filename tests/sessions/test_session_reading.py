"""Readers: each sees one version whole, whatever the writer does in the meantime."""

from __future__ import annotations

import asyncio
from contextlib import closing

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.state import Warming
from shoal_server.errors import DomainError
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.config import SessionConfig
from shoal_server.sessions.session import Session, Surroundings
from shoal_server.sessions.watching import Progress, Update, WatchOptions
from tests.sessions.clock import until, until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal, refusal_of
from tests.sessions.staging import (
    BEGINNING,
    given_centroids,
    kept_for,
    points,
    push,
    started,
    submit,
    surroundings,
    warming,
)
from tests.sessions.watched import told


async def test_a_reader_keeps_its_version_whole_while_the_writer_goes_on(session: Session) -> None:
    await push(session, 4.0)
    held = session.read_snapshot()
    copied = held.centroids.copy(), held.weights.copy(), held.movement.copy()

    for value in (6.0, 8.0):
        await push(session, value)
    newer = session.read_snapshot()

    assert (held.version, newer.version) == (1, 3)
    assert (held.points_accepted, newer.points_accepted) == (1, 3)
    for array, before in zip((held.centroids, held.weights, held.movement), copied, strict=True):
        np.testing.assert_array_equal(array, before)
    assert not np.shares_memory(held.centroids, newer.centroids)
    assert not np.shares_memory(held.weights, newer.weights)


async def test_readers_of_one_version_share_it(session: Session) -> None:
    await push(session, 4.0)

    assert session.read_snapshot() is session.read_snapshot()


@pytest.mark.parametrize("pushes", [0, 1])
async def test_no_reader_can_change_a_version(session: Session, pushes: int) -> None:
    for _ in range(pushes):
        await push(session, 4.0)
    snapshot = session.read_snapshot()

    for array in (snapshot.centroids, snapshot.weights, snapshot.movement):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 7


async def test_the_centroids_that_were_given_stay_the_callers(around: Surroundings) -> None:
    init = np.array([[0.0], [9.0]])
    async with started(around, SessionConfig(ModelConfig(2, engine="scipy", init=init))) as session:
        init[:] = 5

        assert session.read_snapshot().centroids.tolist() == [[0.0], [9.0]]


async def test_a_reader_sees_the_version_before_while_the_next_is_computed(
    session: Session, engine: StagedEngine
) -> None:
    await push(session, 4.0)
    await engine.arrival()
    engine.close_gate()
    coming = await submit(session, 6.0)
    await engine.arrival()

    meanwhile = session.read_snapshot()
    engine.open_gate()
    await coming.result()

    assert (meanwhile.version, meanwhile.centroids.tolist()) == (1, [[4.0]])
    assert session.read_snapshot().version == 2


async def test_an_assignment_is_to_the_version_it_names(session: Session, engine: StagedEngine) -> None:
    await push(session, 4.0)
    await engine.arrival()
    engine.close_gate()
    coming = await submit(session, 6.0)
    await engine.arrival()

    version, assignment = await session.assign(points(7.0).points)
    engine.open_gate()
    await coming.result()
    newer, moved = await session.assign(points(7.0).points)

    assert (version, assignment.distances.tolist()) == (1, [9.0])
    assert (newer, moved.distances.tolist()) == (2, [4.0])


async def test_an_assignment_that_waits_for_a_thread_is_to_the_version_it_began_with(
    engine: StagedEngine,
) -> None:
    with closing(ComputePool(1)) as compute:
        async with started(surroundings(compute, engine)) as session:
            await push(session, 4.0)
            await engine.arrival()
            engine.close_gate()
            coming = await submit(session, 6.0)
            await engine.arrival()

            assigning = asyncio.create_task(session.assign(points(7.0).points))
            engine.open_gate()
            version, assignment = await assigning

    assert (version, assignment.distances.tolist()) == (1, [9.0])
    assert coming.outcome.result().version == 2


async def test_a_session_that_is_warming_has_nothing_to_read(around: Surroundings) -> None:
    async with started(around, kept_for(None, warming(n_clusters=2))) as session:
        await push(session, 1.0, 2.0)

        reading = refusal(session.read_snapshot)
        assigning = await refusal_of(session.assign(points(1.0).points))

    for error in (reading, assigning):
        assert (error.reason, error.session) == ("SESSION_WARMING", "pixels")
        assert "2 of 6 points have come" in error.message
    assert (session.version, session.snapshot, session.warming) == (0, None, Warming(2, 6))


async def test_a_watch_of_a_warming_session_begins_with_version_1(around: Surroundings) -> None:
    async with started(around, kept_for(None, warming())) as session:
        with session.watch(WatchOptions()) as watch:
            events = watch.events()
            waiting = await anext(events)
            await push(session, 1.0)
            await push(session, 2.0, 3.0)
            first = await anext(events)

    assert waiting == Progress(0, Warming(0, 3))
    assert isinstance(first, Update)
    assert (first.snapshot, first.base) == (session.snapshot, None)
    assert session.warming is None


async def test_a_watch_that_waits_is_told_at_once(session: Session) -> None:
    with session.watch(WatchOptions(after_version=0)) as watch:
        waiting = asyncio.ensure_future(anext(watch.events()))
        await until_quiet()

        await push(session, 1.0)

        assert told(await waiting) == "1"


async def test_every_watch_is_told_of_the_newest_version(session: Session) -> None:
    with session.watch(WatchOptions()) as quick, session.watch(WatchOptions()) as slow:
        quick_events, slow_events = quick.events(), slow.events()
        seen = [told(await anext(quick_events)), told(await anext(slow_events))]
        for value in (1.0, 2.0, 3.0):
            await push(session, value)
            seen.append(told(await anext(quick_events)))

        seen.append(told(await anext(slow_events)))

    assert seen == ["0", "0", "1 after 0", "2 after 1", "3 after 2", "3 after 0"]


async def test_a_session_counts_its_watches_while_they_are_open(session: Session) -> None:
    with session.watch(WatchOptions()), session.watch(WatchOptions()):
        two = session.describe().watchers
    with pytest.raises(DomainError), session.watch(WatchOptions(after_version=9)):
        pass

    assert (two, session.describe().watchers) == (2, 0)


async def test_a_new_session_describes_itself(around: Surroundings) -> None:
    config = kept_for(60, given_centroids(0.0, 9.0))
    async with started(around, config) as session:
        described = session.describe()

    assert (described.name, described.config, described.n_features) == ("pixels", config, 1)
    assert (described.version, described.points_accepted, described.points_dropped) == (0, 0, 0)
    assert described.create_time == described.update_time == BEGINNING


async def test_reading_and_pushing_are_uses_of_a_session_and_describing_is_none(session: Session) -> None:
    used = [session.used_at]

    await until(10)
    session.read_snapshot()
    used.append(session.used_at)
    await until(20)
    session.describe()
    used.append(session.used_at)
    await push(session, 1.0)
    used.append(session.used_at)

    assert used == [0, 10, 10, 20]
