"""The memory that a session reserves and releases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal_server.budget import MIB, PASSING_SHARE, MemoryBudget
from shoal_server.clustering.model import new_model
from shoal_server.errors import DomainError, Reason
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.registry import Sessions
from shoal_server.sessions.session import Session
from shoal_server.sessions.session_memory import model_bytes, paused_bytes
from shoal_server.sessions.summary_memory import learning_bytes, swap_bytes
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.producer_builders import stamp
from tests.sessions.session_builders import given_centroids, push, started, submit, warming

LARGE = 100_000  # bytes of a batch, as far as it says


@pytest.fixture
def budget(deps: SessionDeps) -> MemoryBudget:
    return deps.budget


async def test_a_session_releases_all_its_memory_when_it_ends(deps: SessionDeps, budget: MemoryBudget) -> None:
    async with Sessions(deps) as sessions:
        session = sessions.create("pixels", SessionConfig(warming(2)))
        await push(session, 1.0, 2.0, stamp=stamp(1))
        await push(session, *range(10), stamp=stamp(2))
        assert budget.used

        await sessions.delete("pixels")

    assert budget.used == 0


async def test_batches_reserve_memory_from_before_they_are_queued_until_they_are_applied(
    deps: SessionDeps, engine: StagedEngine
) -> None:
    async with started(replace(deps, limits=replace(deps.limits, queue_bytes=LARGE))) as session:
        await push(session, 1.0)
        before = deps.budget.used
        engine.close_gate()

        first = await submit(session, 1.0, size=LARGE)
        await engine.arrival()

        assert deps.budget.used == before + LARGE
        engine.open_gate()
        await first.result()
        await until_quiet()
        assert deps.budget.used - before < LARGE


async def test_results_that_are_no_longer_needed_are_dropped_when_memory_is_short(
    deps: SessionDeps, budget: MemoryBudget
) -> None:
    async with started(deps) as session:
        await push(session, 1.0)
        for sequence in range(1, 20):
            await push(session, 1.0, stamp=stamp(sequence))
        kept = budget.used
        total = budget.total

        budget.reserve(total - kept + 1, "a message").release()  # one byte more than there is

        assert budget.used < kept
        assert (await submit(session, 1.0, stamp=stamp(1))).forgotten
        assert not (await submit(session, 1.0, stamp=stamp(19))).forgotten  # it may still be asked for


async def test_a_session_without_enough_memory_is_refused(deps: SessionDeps) -> None:
    deps = replace(deps, budget=MemoryBudget(1000))
    async with Sessions(deps) as sessions:
        with pytest.raises(DomainError) as caught:
            sessions.create("pixels", SessionConfig(given_centroids(0.0)))

        assert caught.value.refusal.reason is Reason.MEMORY_LIMIT_REACHED
        with pytest.raises(DomainError, match="there is no session"):
            sessions.get("pixels")
    assert deps.budget.used == 0


async def test_warming_points_without_enough_memory_are_refused_and_use_no_sequence(deps: SessionDeps) -> None:
    small = MemoryBudget(1_000_000)
    async with started(replace(deps, budget=small), SessionConfig(warming(10))) as session:
        taken = small.reserve(int(small.total * (1 - PASSING_SHARE)) - small.used, "others")

        with pytest.raises(DomainError, match="until it is ready needs"):
            await push(session, 1.0, stamp=stamp(1))

        taken.release()
        assert (await push(session, 1.0, stamp=stamp(1))).accepted == 1


async def test_a_refined_session_whose_summary_has_no_room_is_refused(deps: SessionDeps) -> None:
    budget = MemoryBudget(8 * MIB)
    deps = replace(deps, budget=budget)
    large = given_centroids(0.0, update_rule="refined", summary_size=200_000)  # 12 MB of float64 points of one column

    with pytest.raises(DomainError) as caught:
        Session("pixels", SessionConfig(large), "", deps, new_model(large), on_change=lambda: None)

    assert caught.value.refusal.reason is Reason.MEMORY_LIMIT_REACHED
    assert budget.used == 0


async def test_the_summary_of_a_refined_session_is_reserved_until_it_ends(deps: SessionDeps) -> None:
    small, large = (given_centroids(0.0, update_rule="refined", summary_size=size) for size in (1000, 2000))
    used = []
    for model in (small, large):
        async with started(deps, SessionConfig(model)) as session:
            await push(session, 1.0)
            await until_quiet()
            used.append(deps.budget.used)

    models = [given_centroids(0.0, update_rule="refined", summary_size=size) for size in (1000, 2000)]
    kept, computing = (
        [of(model, 1) + more(model, 1) for model in models]
        for of, more in ((model_bytes, paused_bytes), (learning_bytes, swap_bytes))
    )
    assert used[1] - used[0] == kept[1] - kept[0] + computing[1] - computing[0]
    assert deps.budget.used == 0
