"""Assignments: each is to one version, and says to which."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.engines.contract import Assignment
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.session import Session
from tests.sessions.engines import StagedEngine
from tests.sessions.session_builders import (
    points,
    push,
    session_deps,
    started,
    submit,
)


async def test_an_assignment_uses_the_version_that_it_names(session: Session, engine: StagedEngine) -> None:
    await push(session, 4.0)
    await engine.arrival()
    engine.close_gate()
    coming = await submit(session, 6.0)
    await engine.arrival()

    version, assignment = await session.assign(points(7.0).points, return_distances=True)
    engine.open_gate()
    await coming.result()
    newer, moved = await session.assign(points(7.0).points, return_distances=True)

    assert (version, np.array(assignment.distances).tolist()) == (1, [9.0])
    assert (newer, np.array(moved.distances).tolist()) == (2, [4.0])


async def test_an_assignment_that_waits_for_a_thread_uses_the_version_it_began_with(engine: StagedEngine) -> None:
    guest = StagedEngine()
    guest.close_gate()
    with closing(ComputePool(1)) as compute:
        async with started(session_deps(compute, engine)) as session, started(session_deps(compute, guest)) as other:
            await push(session, 4.0)
            await submit(other, 1.0)  # has the thread; after it come an update and the assignment
            await guest.arrival()
            update = await submit(session, 6.0)
            assigning = asyncio.create_task(session.assign(points(7.0).points, return_distances=True))

            guest.open_gate()
            newer = await update.result()
            version, assignment = await assigning

    assert newer.version == 2
    assert (version, np.array(assignment.distances).tolist()) == (1, [9.0])


async def test_assignments_of_one_session_may_run_at_the_same_time_as_its_updates(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    coming = await submit(session, 6.0)
    await engine.arrival()

    versions = [(await session.assign(points(7.0).points))[0] for _ in range(3)]
    engine.open_gate()

    assert versions == [0, 0, 0]
    assert (await coming.result()).version == 1


@pytest.mark.parametrize("scores", [False, True])
async def test_a_few_points_are_assigned_on_the_event_loop_unless_they_are_to_be_scored(
    deps: SessionDeps, engine: StagedEngine, monkeypatch: pytest.MonkeyPatch, scores: bool
) -> None:
    on_loop: list[bool] = []
    inner = engine.assign

    def assign(*args: Any, **kwargs: Any) -> Assignment:
        on_loop.append(threading.current_thread() is threading.main_thread())
        return inner(*args, **kwargs)

    monkeypatch.setattr(engine, "assign", assign)
    config = SessionConfig(ModelConfig(1, init=np.zeros((1, 1)), outlier_threshold=0.1))
    async with started(replace(deps, engines={"numba": engine}), config) as session:
        await session.assign(points(7.0).points, return_scores=scores)

    assert on_loop == [not scores]
