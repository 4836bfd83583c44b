"""A session reserves memory for what is to come, and gives back what it turns out not to need."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.budget import MIB, PASSING_SHARE, MemoryBudget
from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.state import Batch
from shoal_server.engines.contract import Assignment
from shoal_server.errors import DomainError, Reason
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.local import open_ingest
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.row_memory import rows_bytes
from shoal_server.sessions.session import Session
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.producer_builders import Stamp, stamp
from tests.sessions.session_builders import model_changes, points, push, started, submit, submit_batch, warming

ROWS = 10_000
SKLEARN = SessionConfig(ModelConfig(1, engine="sklearn", init=np.zeros((1, 1))))
NUMBA = SessionConfig(ModelConfig(1, init=np.zeros((1, 50))))
SCORED = SessionConfig(ModelConfig(1, init=np.zeros((1, 50)), outlier_threshold=0.1))
FEW, MANY = Batch(np.ones((1, 50), np.uint8)), Batch(np.ones((ROWS, 50), np.uint8))
WIDE_AND_INVALID = Batch(np.full((1, 50), np.nan))


@pytest.fixture
def deps(deps: SessionDeps, engine: StagedEngine) -> SessionDeps:
    return replace(deps, engines={"numba": engine, "scipy": engine, "sklearn": engine})


@pytest.fixture
def budget(deps: SessionDeps) -> MemoryBudget:
    return deps.budget


async def test_computing_with_sklearn_is_reserved_for_the_largest_batch_while_it_is_queued(
    deps: SessionDeps, budget: MemoryBudget, engine: StagedEngine
) -> None:
    async with started(deps, SKLEARN) as session:
        await push(session, 1.0)
        before = budget.used
        engine.close_gate()

        first, second = await submit(session, *np.ones(ROWS)), await submit(session, 1.0)
        await engine.arrival()
        computing = budget.used - before
        engine.open_gate()
        await first.result()
        await second.result()
        await until_quiet()

        assert computing > 4 * 8 * ROWS * deps.compute.threads
        assert budget.used - before < ROWS


async def test_computing_with_sklearn_is_reserved_while_points_are_assigned(
    deps: SessionDeps, budget: MemoryBudget, engine: StagedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    assign = engine.assign

    def note(*args: Any, **kwargs: Any) -> Assignment:
        used.append(budget.used)
        return assign(*args, **kwargs)

    async with started(deps, SKLEARN) as session:
        await push(session, 1.0)
        await until_quiet()
        before = budget.used
        monkeypatch.setattr(engine, "assign", note)

        await session.assign(points(*np.ones(ROWS)).points)

        assert used[0] - before >= 4 * 8 * ROWS * deps.compute.threads
        assert budget.used == before


async def test_a_change_of_the_engine_releases_what_the_old_one_took(deps: SessionDeps, budget: MemoryBudget) -> None:
    engines: list[EngineName] = ["scipy", "numba", "scipy", "numba"]
    async with started(deps, NUMBA) as session:
        await _push(session, Batch(np.zeros((1, 50))))
        await until_quiet()
        used = [budget.used - session.event_log.bytes]
        for engine in engines:
            await session.change(model_changes(engine=engine), "")
            await until_quiet()
            used.append(budget.used - session.event_log.bytes)

    assert used[0] == used[2] == used[4]
    assert used[1] == used[3] > used[0]


async def test_a_wide_batch_that_is_refused_keeps_no_memory(deps: SessionDeps, budget: MemoryBudget) -> None:
    async with started(deps, SessionConfig(warming(2))) as session:
        before = budget.used

        with pytest.raises(DomainError, match="finite"):
            await _push(session, WIDE_AND_INVALID)

        await until_quiet()
        assert budget.used == before


async def test_a_wide_batch_that_was_pushed_before_keeps_no_memory(deps: SessionDeps, budget: MemoryBudget) -> None:
    async with started(deps, SessionConfig(warming(2))) as session:
        with pytest.raises(DomainError, match="finite"):
            await _push(session, WIDE_AND_INVALID, stamp(1))
        await until_quiet()
        before = budget.used

        with pytest.raises(DomainError, match="finite"):
            await _push(session, WIDE_AND_INVALID, stamp(1))

        assert budget.used == before


async def test_a_change_that_is_refused_for_memory_reserves_nothing(deps: SessionDeps) -> None:
    budget = MemoryBudget(8 * MIB)
    async with started(replace(deps, budget=budget), NUMBA) as session:
        budget.reserve(int(budget.total * (1 - PASSING_SHARE)) - budget.used, "others")
        before = budget.used

        with pytest.raises(DomainError, match="computing for session 'pixels' needs"):
            await session.change(model_changes(engine="scipy"), "")

        assert budget.used == before


async def _push(session: Session, batch: Batch, by: Stamp | None = None) -> None:
    await (await submit_batch(session, batch, by)).result()


async def test_what_rows_take_while_they_are_computed_is_reserved_until_they_are(
    deps: SessionDeps, budget: MemoryBudget, engine: StagedEngine
) -> None:
    async with started(deps, SCORED) as session:
        await (await submit_batch(session, FEW)).result()
        await until_quiet()
        before = budget.used
        await engine.arrival()
        engine.close_gate()

        receipts = [await submit_batch(session, MANY, size=MANY.points.nbytes) for _ in range(2)]
        await engine.arrival()
        reserved = budget.used - before
        engine.open_gate()
        for receipt in receipts:
            await receipt.result()
        await until_quiet()

        rows = rows_bytes(SCORED.model, MANY)
        assert rows >= MANY.points.nbytes + ROWS * (4 + 5 + 32)
        assert reserved >= 2 * (MANY.points.nbytes + rows)
        assert budget.used - before < ROWS


async def test_batches_are_refused_once_there_has_been_no_memory_for_their_rows_for_a_while(
    deps: SessionDeps, budget: MemoryBudget
) -> None:
    async with started(deps, SCORED) as session:
        await (await submit_batch(session, FEW)).result()
        await until_quiet()
        others = budget.open()
        others.add(budget.total - budget.used - MANY.points.nbytes - 1)
        before = budget.used

        with pytest.raises(DomainError) as caught:
            await submit_batch(session, MANY, size=MANY.points.nbytes)

        assert caught.value.refusal.reason is Reason.MEMORY_LIMIT_REACHED
        assert "labels and scores" in caught.value.refusal.message
        assert budget.used == before
        others.release()
        assert (await (await submit_batch(session, MANY)).result()).accepted == ROWS


async def test_a_stream_waits_for_memory_for_the_labels_of_its_batches_before_it_takes_them(
    deps: SessionDeps, budget: MemoryBudget
) -> None:
    labelled = Batch(np.ones((10 * ROWS, 1)), return_labels=True)
    others = budget.open()
    async with started(deps) as session:
        with open_ingest(session, None) as stream:
            others.add(budget.total - budget.used - 4 * len(labelled.points) + 1)
            submitting = asyncio.create_task(stream.submit([labelled]))
            await until_quiet()
            assert not submitting.done()
            assert not session.describe().queued_batches

            others.release()
            await submitting
            stream.finish()
            (result,) = [result async for results in stream.results() for result in results]

    assert result.labels is not None
    assert len(result.labels) == len(labelled.points)
