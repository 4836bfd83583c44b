"""Readers: each sees one whole version, whatever the writer does meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.state import Warming
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.session import Session
from tests.sessions.clock import until
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal, refusal_of
from tests.sessions.session_builders import (
    BEGINNING,
    given_centroids,
    kept_for,
    points,
    push,
    started,
    submit,
    warming,
)


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
async def test_readers_can_not_change_a_version(session: Session, pushes: int) -> None:
    for _ in range(pushes):
        await push(session, 4.0)
    snapshot = session.read_snapshot()

    for array in (snapshot.centroids, snapshot.weights, snapshot.movement):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 7


async def test_a_session_does_not_change_the_callers_given_centroids(deps: SessionDeps) -> None:
    init = np.array([[0.0], [9.0]])
    async with started(deps, SessionConfig(ModelConfig(2, engine="scipy", init=init))) as session:
        init[:] = 5

        assert session.read_snapshot().centroids.tolist() == [[0.0], [9.0]]


async def test_a_reader_gets_the_previous_version_while_the_next_is_computed(
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


async def test_reading_a_warming_session_is_refused(deps: SessionDeps) -> None:
    async with started(deps, kept_for(None, warming(n_clusters=2))) as session:
        await push(session, 1.0, 2.0)

        reading = refusal(session.read_snapshot)
        assigning = await refusal_of(session.assign(points(1.0).points))

    for error in (reading, assigning):
        assert (error.reason, error.session) == ("SESSION_WARMING", "pixels")
        assert "2 of 6 points have come" in error.message
    assert (session.version, session.snapshot, session.warming) == (0, None, Warming(2, 6))


async def test_a_new_session_describes_itself(deps: SessionDeps) -> None:
    config = kept_for(60, given_centroids(0.0, 9.0))
    async with started(deps, config) as session:
        described = session.describe()

    assert (described.name, described.config, described.n_features) == ("pixels", config, 1)
    assert (described.version, described.points_accepted, described.points_dropped) == (0, 0, 0)
    assert described.create_time == described.update_time == BEGINNING


async def test_reading_and_pushing_are_uses_of_a_session_and_describing_is_none(deps: SessionDeps) -> None:
    async with started(deps, kept_for(100)) as session:
        ends = [session.expires_at]
        await until(10)
        session.read_snapshot()
        ends.append(session.expires_at)
        await until(20)
        session.describe()
        ends.append(session.expires_at)
        await push(session, 1.0)
        ends.append(session.expires_at)

    assert ends == [100, 110, 110, 120]
