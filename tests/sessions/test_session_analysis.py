"""Reclustering and describing a session: beside its batches, within limits, and ended with the call or the session."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from shoal_server.budget import MemoryBudget
from shoal_server.clustering.buckets import SummaryKernels
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.recluster import Clustering
from shoal_server.clustering.state import Batch
from shoal_server.clustering.suggestion import Suggestion
from shoal_server.errors import DomainError, Reason
from shoal_server.sessions.analysis import MAX_RECLUSTERINGS
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import ReclusterEvent, ReclusterRequest, ReclusterStart, SessionConfig
from shoal_server.sessions.session import Session
from tests.sessions.session_builders import started
from tests.warm import warm_engine

PATIENCE = 60.0
POINTS = np.random.default_rng(0).normal(size=(400, 3))
CONFIG = SessionConfig(ModelConfig(3, random_state=0, update_rule="refined"))
ROOMY = {
    "max_centroid_values": 10_000,
    "max_batch_work": 1 << 38,
    "max_init_values": 10_000,
    "max_batch_bytes": 1 << 20,
}


class GatedKernels:
    """Kernels of a search that stand still in `seed` while the gate is closed."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(warm_engine().search, name)

    def seed(self, *arguments: Any) -> None:
        self.arrived.set()
        assert self.gate.wait(PATIENCE)
        warm_engine().search.seed(*arguments)


@dataclass
class GatedFitter:
    search: Any

    def summary_kernels(self, precision: np.dtype[Any]) -> SummaryKernels:
        return warm_engine().summary_kernels(precision)


@pytest.fixture
def kernels() -> GatedKernels:
    return GatedKernels()


@pytest.fixture
def deps(deps: SessionDeps, kernels: GatedKernels) -> SessionDeps:
    return replace(
        deps,
        engines={"numba": warm_engine()},
        fitter=GatedFitter(kernels),
        limits=replace(deps.limits, **ROOMY),
    )


@pytest.fixture
async def session(deps: SessionDeps) -> AsyncIterator[Session]:
    """A refined session of three columns that has points."""
    async with started(deps, CONFIG) as session:
        await push(session, POINTS)
        yield session


async def push(session: Session, points: Any) -> int:
    """Push points, and return the version that they made."""
    (receipt,) = await session.submit([Batch(points, size=points.nbytes)], None)
    return (await receipt.result()).version  # type: ignore[union-attr]


async def reclustered(session: Session, *numbers: int, random_state: int | None = None) -> list[ReclusterEvent]:
    async with aclosing(session.analysis.recluster(ReclusterRequest(numbers, random_state))) as events:
        return [event async for event in events]


async def refusal(session: Session, *numbers: int) -> Any:
    """Return why reclustering is refused."""
    with pytest.raises(DomainError) as refused:
        await reclustered(session, *numbers)
    return refused.value.refusal


async def arrival(kernels: GatedKernels) -> None:
    assert await asyncio.to_thread(kernels.arrived.wait, PATIENCE)


async def test_the_numbers_come_one_by_one_and_then_the_suggestion(session: Session) -> None:
    start, *clusterings, suggestion = await reclustered(session, 2, 3, 5)

    assert isinstance(start, ReclusterStart)
    assert (start.session_uid, start.version, start.n_points) == (session.uid, session.version, 400)
    assert [each.n_clusters for each in clusterings if isinstance(each, Clustering)] == [2, 3, 5]
    assert isinstance(suggestion, Suggestion)


async def test_one_number_has_no_suggestion(session: Session) -> None:
    start, clustering = await reclustered(session, 4)

    assert isinstance(start, ReclusterStart)
    assert isinstance(clustering, Clustering)


async def test_memory_is_reserved_as_long_as_the_call_lasts(session: Session, deps: SessionDeps) -> None:
    before = deps.budget.used

    async with aclosing(session.analysis.recluster(ReclusterRequest([2, 3], None))) as events:
        await anext(events)
        meanwhile = deps.budget.used

    assert meanwhile > before
    assert deps.budget.used == before


async def test_a_batch_that_is_pushed_meanwhile_is_applied_before_the_numbers_are_done(
    session: Session, kernels: GatedKernels
) -> None:
    version = session.version
    kernels.gate.clear()
    kernels.arrived.clear()
    reclustering = asyncio.create_task(reclustered(session, 2, 3))
    await arrival(kernels)

    applied = await push(session, POINTS[:5])
    waiting = not reclustering.done()
    kernels.gate.set()
    start, *_ = await reclustering

    assert applied == version + 1
    assert waiting
    assert isinstance(start, ReclusterStart)
    assert start.version == version


async def test_a_cancelled_call_stops_at_its_next_pause_and_gives_its_memory_back_then(
    session: Session, deps: SessionDeps, kernels: GatedKernels
) -> None:
    before = deps.budget.used
    kernels.gate.clear()
    kernels.arrived.clear()
    reclustering = asyncio.create_task(reclustered(session, *range(2, 60)))
    await arrival(kernels)

    reclustering.cancel()
    await asyncio.wait([reclustering])
    held = deps.budget.used
    kernels.gate.set()
    rest = await deps.budget.reserve_when_free(deps.budget.total - before, "all that the call had", PATIENCE)
    rest.release()

    assert reclustering.cancelled()
    assert held > before


async def test_the_end_of_the_session_ends_the_call(session: Session, kernels: GatedKernels) -> None:
    kernels.gate.clear()
    kernels.arrived.clear()
    reclustering = asyncio.create_task(refusal(session, 2, 3))
    await arrival(kernels)

    ending = asyncio.create_task(session.end("deleted"))
    await asyncio.sleep(0)
    kernels.gate.set()
    await ending

    assert (await reclustering).reason is Reason.SESSION_NOT_FOUND


async def test_more_calls_than_are_allowed_are_refused(session: Session, kernels: GatedKernels) -> None:
    kernels.gate.clear()
    running = [asyncio.create_task(reclustered(session, 2)) for _ in range(MAX_RECLUSTERINGS)]
    await asyncio.sleep(0)

    refused = await refusal(session, 2)
    kernels.gate.set()
    await asyncio.gather(*running)

    assert refused.reason is Reason.TOO_MANY_CALLS
    assert refused.retry_after
    assert len(await reclustered(session, 2)) == 2


async def test_descriptions_wait_for_one_another(session: Session, kernels: GatedKernels) -> None:
    kernels.gate.clear()
    reclusterings = [asyncio.create_task(reclustered(session, 2)) for _ in range(MAX_RECLUSTERINGS)]
    await asyncio.sleep(0)

    kernels.gate.set()
    reports = await asyncio.gather(*[session.analysis.describe_clusters(1) for _ in range(20)])
    await asyncio.gather(*reclusterings)

    assert {report.version for report in reports} == {session.version}


@pytest.mark.parametrize(
    ("limits", "numbers", "reason", "says"),
    [
        ({"max_centroid_values": 30}, [11], Reason.TOO_MANY_VALUES, "n_clusters can be 10 at most"),
        ({"max_batch_work": 1 << 30}, range(2, 9), Reason.WORK_TOO_LARGE, "ask for 1 of them up to 2, or for fewer"),
        ({"max_batch_work": 1 << 20}, [2], Reason.WORK_TOO_LARGE, "ask for smaller numbers"),
        ({}, [401], Reason.N_CLUSTERS_INVALID, "the summary of the session has 400 points"),
    ],
)
async def test_what_is_beyond_a_limit_is_refused_with_what_would_be_right(
    deps: SessionDeps, limits: Any, numbers: list[int], reason: Reason, says: str
) -> None:
    async with started(replace(deps, limits=replace(deps.limits, **limits)), CONFIG) as session:
        await push(session, POINTS)

        refused = await refusal(session, *numbers)

    assert (refused.reason, refused.field, refused.session) == (reason, "n_clusters", "pixels")
    assert says in refused.message


async def test_too_little_memory_is_refused(deps: SessionDeps) -> None:
    async with started(replace(deps, budget=MemoryBudget(20 << 20)), CONFIG) as session:
        await push(session, POINTS)

        assert (await refusal(session, 2)).reason is Reason.MEMORY_LIMIT_REACHED


async def test_clusters_are_described_with_the_version_that_they_are_of(session: Session) -> None:
    report = await session.analysis.describe_clusters(2)

    assert (report.version, report.session_uid) == (session.version, session.uid)
    assert report.clusters.weights.sum() == pytest.approx(400)
    assert len(report.clusters.typical_labels) == 6


@pytest.mark.parametrize("n_typical", [-1, 1001, 2**31 - 1])
async def test_an_invalid_number_of_typical_points_is_refused(session: Session, n_typical: int) -> None:
    with pytest.raises(DomainError) as refused:
        await session.analysis.describe_clusters(n_typical)

    assert refused.value.refusal.reason is Reason.N_TYPICAL_INVALID
    assert "use 0 to 1,000" in refused.value.refusal.message
