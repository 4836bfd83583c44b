"""Another number of clusters for a session: what it meets when its turn comes, and what it takes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.budget import MIB, MemoryBudget
from shoal_server.clustering.buckets import SummaryKernels
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch, BatchResult, Warming
from shoal_server.engines.contract import UnusablePoints
from shoal_server.errors import Kind
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.replay_cache import ReplayCache
from shoal_server.sessions.session import Session
from shoal_server.sessions.session_memory import SessionMemory
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal, refusal_of
from tests.sessions.session_builders import model_changes, started, submit_batch
from tests.warm import warm_engine

PLAIN = ModelConfig(2, random_state=0)
REFINED = ModelConfig(2, random_state=0, update_rule="refined")


@pytest.fixture
def deps(deps: SessionDeps, engine: StagedEngine) -> SessionDeps:
    limits = replace(
        deps.limits, max_centroid_values=1 << 20, max_init_values=1 << 20, max_summary_values=1 << 20,
        max_batch_work=1 << 36,
    )  # fmt: skip
    return replace(deps, engines={"numba": warm_engine(), "scipy": engine}, fitter=warm_engine(), limits=limits)


class FailingFitter:
    """Computes like numba's until it is to find points too far apart."""

    def __init__(self) -> None:
        self.finds_far_points = False
        self.search = warm_engine().search

    def summary_kernels(self, precision: np.dtype[Any]) -> SummaryKernels:
        if self.finds_far_points:
            raise UnusablePoints
        return warm_engine().summary_kernels(precision)


async def test_points_too_far_apart_are_not_clustered_anew(deps: SessionDeps) -> None:
    fitter = FailingFitter()
    async with started(replace(deps, fitter=fitter), SessionConfig(REFINED)) as session:
        await _push(session, 300)
        version = session.version
        fitter.finds_far_points = True

        error = await refusal_of(session.change(model_changes(n_clusters=3), ""))

        assert (error.kind, error.reason, error.session) == (Kind.INVALID_ARGUMENT, "VALUE_TOO_LARGE", "pixels")
        assert "float64" in error.message
        assert (session.version, session.describe().config.model.n_clusters) == (version, 2)


async def test_a_change_that_meets_a_ready_model_is_checked_against_that(
    deps: SessionDeps, engine: StagedEngine
) -> None:
    config = ModelConfig(8, 512, engine="scipy", random_state=0, update_rule=None)
    async with started(deps, SessionConfig(config)) as session:
        engine.close_gate()
        first = await submit_batch(session, _batch(40, 512))
        await engine.arrival()
        change = asyncio.create_task(session.change(model_changes(n_clusters=600), ""))  # without a summary, so far
        await until_quiet()
        engine.open_gate()

        error = await refusal_of(change)

        assert (error.reason, error.session) == ("TOO_MANY_VALUES", "pixels")
        assert (await first.result()).version == 1
        assert session.describe().config.model.n_clusters == 8
        assert (await _push(session, 20, 512)).version > 1
        assert (await session.change(model_changes(n_clusters=9), "")).config.model.n_clusters == 9


async def test_a_change_is_checked_against_the_columns_that_came_before_it(deps: SessionDeps) -> None:
    deps = replace(deps, limits=replace(deps.limits, max_centroid_values=10_000))
    async with started(deps, SessionConfig(REFINED)) as session:
        first = await submit_batch(session, _batch(3, 100))
        change = asyncio.create_task(session.change(model_changes(n_clusters=200), ""))

        error = await refusal_of(change)

        assert error.reason == "TOO_MANY_VALUES"
        assert (await first.result()).warming == Warming(3, 6)
        assert (await _push(session, 3, 100)).version == 1


async def test_a_change_without_memory_for_the_columns_that_came_before_it_is_refused(deps: SessionDeps) -> None:
    budget = MemoryBudget(32 * MIB)
    async with started(replace(deps, budget=budget), SessionConfig(PLAIN)) as session:
        first = await submit_batch(session, _batch(3, 100))
        change = asyncio.create_task(session.change(model_changes(n_clusters=2000), ""))

        error = await refusal_of(change)

        assert error.reason == "MEMORY_LIMIT_REACHED"
        assert (await first.result()).warming == Warming(3, 6)
        assert (await _push(session, 3, 100)).version == 1


def test_batches_reserve_what_they_take_after_the_changes_that_wait() -> None:
    budget = MemoryBudget(32 * MIB)
    memory = SessionMemory("pixels", budget, 1, ReplayCache(0))
    model, asked = new_model(PLAIN), replace(PLAIN, n_clusters=2000)
    memory.admit_model(PLAIN, None)
    memory.admit_batches(model, PLAIN, [_batch(3, 100)])

    error = refusal(lambda: memory.admit_batches(model, asked, [_batch(3, 100)]))

    assert error.reason == "MEMORY_LIMIT_REACHED"


async def test_more_clusters_than_init_size_are_refused_while_a_session_warms(deps: SessionDeps) -> None:
    async with started(deps, SessionConfig(replace(REFINED, init_size=10))) as session:
        await _push(session, 6)

        error = await refusal_of(session.change(model_changes(n_clusters=11), ""))
        await session.change(model_changes(n_clusters=10), "")
        await _push(session, 6)

        assert error.reason == "INIT_SIZE_INVALID"
        assert "or fewer clusters" in error.message
        assert len(session.read_snapshot().centroids) == 10
        assert (await session.change(model_changes(n_clusters=11), "")).config.model.n_clusters == 11


async def test_given_centroids_become_another_number_once_rows_have_come(deps: SessionDeps) -> None:
    given = replace(REFINED, init=np.eye(2))
    async with started(deps, SessionConfig(given)) as session:
        error = await refusal_of(session.change(model_changes(n_clusters=3), ""))
        await _push(session, 100)

        changed = await session.change(model_changes(n_clusters=3), "")

        assert error.reason == "SUMMARY_EMPTY"
        assert changed.config.model.n_clusters == 3
        assert session.read_snapshot().centroids.shape == (3, 2)
        assert (await _push(session, 10)).accepted == 10


async def _push(session: Session, rows: int, columns: int = 2) -> BatchResult:
    return await (await submit_batch(session, _batch(rows, columns))).result()


def _batch(rows: int, columns: int) -> Batch:
    return Batch(np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32), size=1)
