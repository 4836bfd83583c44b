"""Heavy batches: bounded, done in pieces, and given up when the session ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.state import Batch
from shoal_server.engines.contract import (
    Contribution,
    Float64Array,
    Frame,
    Halted,
    PointArray,
    RunTasks,
    holding_memory,
)
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.session import MAX_QUEUED_CHANGES, Session
from shoal_server.sessions.work import SessionCompute
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import (
    LIMITS,
    model_changes,
    points,
    push,
    session_deps,
    started,
    submit,
    submit_batch,
    warming,
)

MAX_WORK = LIMITS.max_batch_work


class EndlessEngine(StagedEngine):
    """An engine whose updates have pieces without end."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()

    def contribute(
        self,
        points: PointArray,
        sample_weight: Float64Array | None,  # noqa: ARG002
        frame: Frame,  # noqa: ARG002
        run: RunTasks,
        *,
        return_labels: bool = True,  # noqa: ARG002
    ) -> Contribution:
        """Work until it is stopped."""
        self._loop.call_soon_threadsafe(self._arrive, float(points[0, 0]))
        try:
            run(self._work, 1)
        finally:
            self.ended.set()
        raise AssertionError("it never comes to an end by itself")

    def _work(self, _: int) -> Iterator[None]:
        while True:
            yield


@pytest.fixture
async def endless() -> EndlessEngine:
    return EndlessEngine()


async def test_a_batch_stops_after_its_current_piece_when_its_session_is_deleted(
    compute: ComputePool, endless: EndlessEngine
) -> None:
    async with started(session_deps(compute, endless)) as session:
        batch = await submit(session, 1.0)
        await endless.arrival()

        await session.end("deleted")

    assert endless.ended.is_set()
    assert (await refusal_of(batch.result())).reason == "SESSION_NOT_FOUND"
    assert session.version == 0
    assert session.describe().points_accepted == 0


async def test_a_batch_stops_after_its_current_piece_when_the_grace_period_is_over(
    compute: ComputePool, endless: EndlessEngine
) -> None:
    async with started(session_deps(compute, endless)) as session:
        batches = [await submit(session, value) for value in (1.0, 2.0)]
        await endless.arrival()

        not_applied = await session.stop(asyncio.get_running_loop().time())

    assert not_applied == 2
    assert {(await refusal_of(batch.result())).reason for batch in batches} == {"SERVER_DRAINING"}


async def test_another_session_is_served_during_an_endless_computation(endless: EndlessEngine) -> None:
    with closing(ComputePool(1)) as pool:
        async with started(session_deps(pool, endless)) as heavy, started(session_deps(pool, StagedEngine())) as small:
            await submit(heavy, 1.0)
            await endless.arrival()

            result = await push(small, 2.0)

            await heavy.end("deleted")
    assert result.version == 1


async def test_an_assignment_of_too_much_work_is_refused(session: Session) -> None:
    error = await refusal_of(session.assign(np.ones((MAX_WORK + 1, 1), np.uint8)))

    assert (error.reason, error.kind.name, error.session) == ("WORK_TOO_LARGE", "RESOURCE_EXHAUSTED", "pixels")
    assert f"at most {MAX_WORK:,} rows" in error.message


async def test_a_batch_of_too_much_work_is_refused_and_the_next_is_applied(session: Session) -> None:
    large = Batch(np.ones((MAX_WORK + 1, 1), np.uint8))

    refused = await refusal_of((await submit_batch(session, large, size=MAX_WORK + 1)).result())

    assert (refused.reason, refused.field) == ("WORK_TOO_LARGE", "points")
    assert (await push(session, 1.0)).version == 1


async def test_a_batch_of_exactly_max_batch_work_is_applied(session: Session) -> None:
    largest = Batch(np.ones((MAX_WORK, 1), np.uint8))

    result = await (await submit_batch(session, largest, size=MAX_WORK)).result()

    assert result.accepted == MAX_WORK


async def test_engine_sklearn_accepts_a_thirty_second_of_max_batch_work(deps: SessionDeps) -> None:
    config = SessionConfig(ModelConfig(1, engine="sklearn", init=np.zeros((1, 1))))
    async with started(deps, config) as session:
        error = await refusal_of(session.assign(np.ones((MAX_WORK // 32 + 1, 1), np.uint8)))

    assert error.reason == "WORK_TOO_LARGE"
    assert f"{MAX_WORK // 32:,} at once" in error.message


async def test_initial_centroids_that_take_too_much_work_to_choose_are_refused(deps: SessionDeps) -> None:
    small = session_deps(deps.compute, StagedEngine(), max_batch_work=10_000)
    async with started(small, SessionConfig(warming(n_clusters=20, init_size=50))) as session:
        wide = await refusal_of((await submit_batch(session, Batch(np.ones((1, 3))))).result())
        narrow = await (await submit_batch(session, points(1.0))).result()

    assert (wide.reason, wide.field) == ("WORK_TOO_LARGE", "config.init_size")
    assert narrow.accepted == 1


async def test_a_first_batch_that_makes_the_summary_too_large_is_refused(deps: SessionDeps) -> None:
    config = warming(summary_size=LIMITS.max_summary_values // 2, update_rule="refined")
    async with started(deps, SessionConfig(config)) as session:
        wide = await refusal_of((await submit_batch(session, Batch(np.ones((1, 3))))).result())
        narrow = await (await submit_batch(session, Batch(np.ones((1, 2))))).result()

    assert (wide.reason, wide.field) == ("TOO_MANY_VALUES", "config.summary_size")
    assert "with n_features 3, summary_size can be 100 at most" in wide.message
    assert narrow.accepted == 1


async def test_a_summary_of_the_default_size_is_never_too_large(deps: SessionDeps) -> None:
    async with started(deps, SessionConfig(warming(update_rule="refined"))) as session:
        result = await (await submit_batch(session, Batch(np.ones((1, LIMITS.max_centroid_values))))).result()

    assert result.accepted == 1


async def test_a_change_is_refused_when_too_many_changes_wait(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    await submit(session, 1.0)
    await engine.arrival()
    changes = [
        asyncio.create_task(session.change(model_changes(on_invalid="drop"), "")) for _ in range(MAX_QUEUED_CHANGES)
    ]
    await until_quiet()

    one_more = await refusal_of(session.change(model_changes(on_invalid="drop"), ""))
    engine.open_gate()
    await asyncio.gather(*changes)

    assert (one_more.reason, one_more.session) == ("TOO_MANY_CHANGES", "pixels")
    assert one_more.retry_after
    assert (await session.change(model_changes(on_invalid="impute"), "")).config.model.on_invalid == "impute"


async def test_a_batch_meets_the_limit_of_the_engine_that_a_waiting_change_sets(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    await submit(session, 1.0)
    await engine.arrival()
    changing = asyncio.create_task(session.change(model_changes(engine="sklearn"), ""))
    await until_quiet()
    rows = MAX_WORK // 32 + 1

    after_the_change = await submit_batch(session, Batch(np.ones((rows, 1), np.uint8)), size=rows)
    engine.open_gate()
    await changing

    assert (await refusal_of(after_the_change.result())).reason == "WORK_TOO_LARGE"


async def test_a_session_of_sklearn_that_warms_has_the_thirty_second_too(deps: SessionDeps) -> None:
    small = session_deps(deps.compute, StagedEngine(), max_batch_work=32 * 200)
    config = ModelConfig(2, engine="sklearn", init="random", init_size=101, random_state=0)
    async with started(small, SessionConfig(config)) as session:
        refused = await refusal_of((await submit_batch(session, points(1.0))).result())

    assert (refused.reason, refused.field) == ("WORK_TOO_LARGE", "config.init_size")


async def test_a_refused_batch_reserves_no_memory_for_the_model_it_would_have_made(deps: SessionDeps) -> None:
    async with started(deps, SessionConfig(warming(n_clusters=2))) as session:
        before = deps.budget.used

        refused = await refusal_of((await submit_batch(session, Batch(np.ones((1, 1000), np.uint8)))).result())

        assert refused.reason == "TOO_MANY_VALUES"
        assert deps.budget.used == before


class _NotingPool(ComputePool):
    """Threads that note what calls hold when they let others go first."""

    def __init__(self) -> None:
        super().__init__(3)
        self.held: list[int] = []

    def checkpoint(self, held: int = 0) -> None:
        """Note it."""
        self.held.append(held)


async def test_tasks_that_hold_memory_run_one_after_another_on_one_thread_and_say_what_they_hold() -> None:
    with closing(_NotingPool()) as pool:
        compute = SessionCompute("pixels", pool, lambda: 700)
        ran: list[tuple[int, str]] = []

        def task(index: int) -> Iterator[None]:
            ran.append((index, threading.current_thread().name))
            yield

        await compute.call([], 0, holding_memory(compute.run_tasks), task, 4)

    assert [index for index, _ in ran] == [0, 1, 2, 3]
    assert len({thread for _, thread in ran}) == 1
    assert pool.held == [700] * 7


async def test_tasks_that_hold_memory_stop_between_two_pieces_once_the_session_ends() -> None:
    with closing(ComputePool(1)) as pool:
        compute = SessionCompute("pixels", pool)

        def task(_: int) -> Iterator[None]:
            compute.halt()
            yield

        with pytest.raises(Halted):
            await compute.call([], 0, holding_memory(compute.run_tasks), task, 2)
