"""Sessions are merged: what fits together, on the compute threads, once for each request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.budget import MemoryBudget
from shoal_server.clustering.buckets import SummaryKernels
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.search import SearchKernels
from shoal_server.clustering.state import Batch
from shoal_server.engines.contract import max_value
from shoal_server.errors import Kind
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import Changes, SessionConfig
from shoal_server.sessions.registry import Sessions
from tests.sessions.engines import PATIENCE
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import given_centroids, model_changes, submit_batch
from tests.warm import warm_engine

REFINED = ModelConfig(2, engine="scipy", random_state=0, update_rule="refined")
NO_CHANGES = Changes({}, {})


class GatedFitter:
    """Computes like numba's; a fit waits at a gate, which is open until it is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Semaphore(0)
        self.fits = 0

    def summary_kernels(self, precision: np.dtype[Any]) -> SummaryKernels:
        return warm_engine().summary_kernels(precision)

    @property
    def search(self) -> SearchKernels:
        self.fits += 1
        self.waiting.release()
        assert self.gate.wait(PATIENCE)
        return warm_engine().search

    async def arrival(self) -> None:
        """Wait for the next fit."""
        await asyncio.to_thread(self.waiting.acquire, timeout=PATIENCE)


@pytest.fixture
def fitter() -> GatedFitter:
    return GatedFitter()


@pytest.fixture
def deps(deps: SessionDeps, fitter: GatedFitter) -> SessionDeps:
    return replace(deps, fitter=fitter, limits=replace(deps.limits, max_batch_work=1 << 38))


@pytest.fixture
async def sessions(deps: SessionDeps, fitter: GatedFitter) -> AsyncIterator[Sessions]:
    async with Sessions(deps) as sessions:
        yield sessions
        fitter.gate.set()


async def made(sessions: Sessions, name: str, rows: int = 50, columns: int = 2, **config: Any) -> None:
    """Make a session that has seen rows: around 0, and around 10."""
    dtype = config.pop("points", np.float32)
    session = sessions.create(name, SessionConfig(replace(REFINED, **config)))
    points = np.random.default_rng(0).normal(size=(rows, columns)) + 10 * (np.arange(rows) % 2)[:, None]
    if rows:
        await (await submit_batch(session, Batch(points.astype(dtype)))).result()


async def test_a_merged_session_has_what_the_others_have_seen(sessions: Sessions) -> None:
    await made(sessions, "a", 40)
    await made(sessions, "b", 60)

    merged = await sessions.merge(["a", "b"], "both", NO_CHANGES)

    assert sessions.get("both") is merged
    described = merged.describe()
    assert (described.version, described.points_accepted, described.warming) == (1, 100, None)
    assert described.n_features == 2
    assert merged.read_snapshot().weights.sum() == pytest.approx(100)
    assert (sessions.get("a").describe().points_accepted, sessions.get("b").describe().points_accepted) == (40, 60)


async def test_a_merged_session_has_the_configuration_of_the_first_with_changes(sessions: Sessions) -> None:
    await made(sessions, "a", on_invalid="drop", random_state=7)
    await made(sessions, "b", n_clusters=5)

    same = (await sessions.merge(["a", "b"], "same", NO_CHANGES)).describe().config
    await sessions.delete("same")
    changes = Changes({"n_clusters": 4, "on_invalid": "reject"}, {"idle_ttl": 60.0})
    other = (await sessions.merge(["a", "b"], "other", changes)).describe().config

    assert (same.model.n_clusters, same.model.on_invalid, same.model.random_state) == (2, "drop", 7)
    assert (other.model.n_clusters, other.model.on_invalid, other.idle_ttl) == (4, "reject", 60.0)


async def test_a_merged_session_goes_on(sessions: Sessions) -> None:
    await made(sessions, "a")
    merged = await sessions.merge(["a"], "copy", NO_CHANGES)

    result = await (await submit_batch(merged, Batch(np.zeros((3, 2), np.float32)))).result()

    assert (result.version, merged.describe().points_accepted) == (2, 53)


async def test_a_repeated_request_merges_once(sessions: Sessions, fitter: GatedFitter) -> None:
    await made(sessions, "a")
    fitter.gate.clear()
    fits = fitter.fits

    calls = [asyncio.create_task(sessions.merge(["a"], "both", NO_CHANGES, "one")) for _ in range(3)]
    await fitter.arrival()
    fitter.gate.set()
    merged = await asyncio.gather(*calls)
    again = await sessions.merge(["a"], "both", NO_CHANGES, "one")

    assert {id(each) for each in (*merged, again)} == {id(sessions.get("both"))}
    assert fitter.fits == fits + 1


async def test_a_name_that_is_taken_is_refused_before_anything_is_computed(
    sessions: Sessions, fitter: GatedFitter
) -> None:
    await made(sessions, "a")
    fits = fitter.fits

    error = await refusal_of(sessions.merge(["a"], "a", NO_CHANGES, "another"))

    assert (error.kind, error.reason, error.session) == (Kind.ALREADY_EXISTS, "SESSION_EXISTS", "a")
    assert fitter.fits == fits


async def test_a_merged_session_above_max_sessions_is_refused(sessions: Sessions) -> None:
    for name in ("a", "b", "c"):
        await made(sessions, name)

    error = await refusal_of(sessions.merge(["a", "b"], "both", NO_CHANGES))

    assert error.reason == "TOO_MANY_SESSIONS"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "names is empty; name one session or more"),
        (["a", "b", "a"], "names has 'a' twice; name each session once"),
        (["a"] * 1001, "names has more than 1,000 sessions; merge so many at a time"),
    ],
)
async def test_names_must_be_some_and_distinct(sessions: Sessions, names: Sequence[str], message: str) -> None:
    await made(sessions, "a")

    error = await refusal_of(sessions.merge(names, "both", NO_CHANGES))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, "NAMES_INVALID", "names")
    assert message in error.message


async def test_a_session_that_does_not_exist_is_not_merged(sessions: Sessions) -> None:
    await made(sessions, "a")

    error = await refusal_of(sessions.merge(["a", "b"], "both", NO_CHANGES))

    assert (error.reason, error.session) == ("SESSION_NOT_FOUND", "b")


@pytest.mark.parametrize(
    ("config", "reason", "kind", "message"),
    [
        ({"rows": 3}, "SESSION_WARMING", Kind.FAILED_PRECONDITION, "3 of 6 points have come"),
        (
            {"update_rule": "incremental"},
            "SUMMARY_MISSING",
            Kind.FAILED_PRECONDITION,
            "session 'b': the session keeps no summary of its stream, and this needs one: create it",
        ),
        (
            {"rows": 0, "init": np.eye(2)},
            "SUMMARY_EMPTY",
            Kind.FAILED_PRECONDITION,
            "session 'b': the summary of the session has no rows",
        ),
        (
            {"columns": 3},
            "N_FEATURES_MISMATCH",
            Kind.INVALID_ARGUMENT,
            "session 'b' has n_features=3, and session 'a' has 2; merge sessions of one n_features",
        ),
        (
            {"metric": "cosine"},
            "METRIC_MISMATCH",
            Kind.INVALID_ARGUMENT,
            "session 'b' has metric='cosine', and session 'a' has 'euclidean'",
        ),
        (
            {"points": np.float64},
            "DTYPE_MISMATCH",
            Kind.INVALID_ARGUMENT,
            "session 'b' has dtype='float64', and session 'a' has 'float32'",
        ),
    ],
    ids=["warming", "no summary", "no points", "columns", "metric", "precision"],
)
async def test_a_session_that_cannot_be_merged_is_named(
    sessions: Sessions, config: dict[str, Any], reason: str, kind: Kind, message: str
) -> None:
    await made(sessions, "a")
    await made(sessions, "b", **config)

    error = await refusal_of(sessions.merge(["a", "b"], "both", NO_CHANGES))

    assert (error.kind, error.reason, error.session) == (kind, reason, "b")
    assert message in error.message
    assert [session.name for session in sessions.list(10, "")[0]] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n_clusters": -1}, "N_CLUSTERS_INVALID"),
        ({"n_clusters": 51}, "TOO_MANY_VALUES"),
        ({"n_clusters": 2**31 - 1}, "TOO_MANY_VALUES"),
        ({"summary_size": 7}, "SUMMARY_SIZE_INVALID"),
        ({"summary_size": 0}, "SUMMARY_SIZE_INVALID"),
        ({"half_life": None, "n_clusters": 40}, "N_CLUSTERS_INVALID"),
    ],
)
async def test_changes_that_are_not_allowed_make_no_session(
    sessions: Sessions, changes: dict[str, Any], reason: str
) -> None:
    await made(sessions, "a", 30)

    assert (await refusal_of(sessions.merge(["a"], "copy", model_changes(**changes)))).reason == reason
    assert [session.name for session in sessions.list(10, "")[0]] == ["a"]


@pytest.mark.parametrize(
    ("limits", "changes", "reason", "message"),
    [
        ({"max_batch_work": 1 << 22}, {}, "WORK_TOO_LARGE", "merge fewer sessions, or sessions with smaller summaries"),
        (
            {"max_batch_work": (1 << 29) + (1 << 20)},
            {},
            "WORK_TOO_LARGE",
            "or less, or a smaller summary_size, or raise SHOAL_MAX_",
        ),
        ({}, {"n_clusters": 131_073}, "TOO_MANY_VALUES", "is 262,146 values, and the server fits 262,144 to a summary"),
        ({}, {"n_clusters": 81}, "N_CLUSTERS_INVALID", "the sessions' summaries have 80 points together"),
    ],
    ids=["nothing fits", "fewer clusters fit", "values", "points"],
)
async def test_a_merge_that_is_too_large_is_refused_before_anything_is_computed(
    deps: SessionDeps,
    fitter: GatedFitter,
    limits: dict[str, int],
    changes: dict[str, Any],
    reason: str,
    message: str,
) -> None:
    limits = {"max_centroid_values": 1 << 24, **limits}
    async with Sessions(replace(deps, limits=replace(deps.limits, **limits))) as sessions:
        await made(sessions, "a", 40)
        await made(sessions, "b", 40)
        fits = fitter.fits
        without = {"n_clusters": 70, "update_rule": "incremental", "summary_size": 0}  # it is fitted all the same

        error = await refusal_of(sessions.merge(["a", "b"], "both", model_changes(**{**without, **changes})))

        assert (error.reason, error.field) == (reason, "config.n_clusters")
        assert message in error.message
        assert fitter.fits == fits


async def test_points_as_far_apart_as_the_precision_allows_are_merged(sessions: Sessions) -> None:
    points = 0.99 * max_value(np.dtype(np.float32), 3) * np.random.default_rng(0).uniform(0.9, 1, (3000, 3))
    for name, sign in (("a", 1), ("b", -1)):
        session = sessions.create(name, SessionConfig(replace(REFINED, n_clusters=1, summary_size=100)))
        await (await submit_batch(session, Batch((sign * points).astype(np.float32)))).result()

    snapshot = (await sessions.merge(["a", "b"], "both", NO_CHANGES)).read_snapshot()

    assert snapshot.weights.sum() == pytest.approx(6000)
    assert np.abs(snapshot.centroids).max() < 1e-3 * points.max()


async def test_a_merge_without_memory_for_it_is_refused(deps: SessionDeps) -> None:
    budget = MemoryBudget(16 * 2**20)
    async with Sessions(replace(deps, budget=budget)) as sessions:
        await made(sessions, "a")
        used = budget.used
        taken = budget.reserve(budget.total - used - 1024, "others")

        error = await refusal_of(sessions.merge(["a"], "copy", NO_CHANGES))
        taken.release()

        assert (error.kind, error.reason) == (Kind.RESOURCE_EXHAUSTED, "MEMORY_LIMIT_REACHED")
        assert "merging into session 'copy'" in error.message
        assert budget.used == used
        await sessions.merge(["a"], "copy", NO_CHANGES)
        await sessions.delete("copy")
        assert budget.used == used


async def test_a_merge_is_stopped_with_the_server(sessions: Sessions, fitter: GatedFitter) -> None:
    await made(sessions, "a")
    fitter.gate.clear()
    call = asyncio.create_task(sessions.merge(["a"], "copy", NO_CHANGES))
    await fitter.arrival()

    stopping = asyncio.create_task(sessions.stop(asyncio.get_running_loop().time()))
    await asyncio.sleep(0)
    fitter.gate.set()

    assert (await refusal_of(call)).reason == "SERVER_DRAINING"
    await stopping
    assert (await refusal_of(sessions.merge(["a"], "copy", NO_CHANGES))).reason == "SERVER_DRAINING"


async def test_a_merge_whose_caller_has_gone_makes_no_session_and_gives_its_memory_back_once_it_stops(
    deps: SessionDeps, sessions: Sessions, fitter: GatedFitter
) -> None:
    await made(sessions, "a")
    used = deps.budget.used
    fitter.gate.clear()
    call = asyncio.create_task(sessions.merge(["a"], "copy", NO_CHANGES, "one"))
    await fitter.arrival()

    call.cancel()
    await asyncio.wait([call])
    held = deps.budget.used
    fitter.gate.set()
    rest = await deps.budget.reserve_when_free(deps.budget.total - used, "all that the merge had", PATIENCE)
    rest.release()

    assert call.cancelled()
    assert held > used
    assert (await sessions.merge(["a"], "copy", NO_CHANGES, "one")).name == "copy"


async def test_merging_needs_a_valid_name_and_request_id(sessions: Sessions) -> None:
    await made(sessions, "a")

    assert (await refusal_of(sessions.merge(["a"], "", NO_CHANGES))).field == "into"
    assert (await refusal_of(sessions.merge(["a"], "b c", NO_CHANGES))).reason == "NAME_INVALID"
    assert (await refusal_of(sessions.merge(["a"], "b", NO_CHANGES, "x" * 129))).reason == "REQUEST_ID_INVALID"


async def test_sessions_without_a_summary_may_live_beside_merged_ones(sessions: Sessions) -> None:
    sessions.create("plain", SessionConfig(given_centroids()))
    await made(sessions, "a")

    assert (await sessions.merge(["a"], "copy", NO_CHANGES)).version == 1
