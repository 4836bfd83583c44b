"""All sessions by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.errors import Kind
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.registry import Sessions
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal, refusal_of
from tests.sessions.session_builders import (
    FIRST_RANDOM_STATE,
    LIMITS,
    given_centroids,
    model_changes,
    push,
    submit,
    warming,
)

PLAIN = SessionConfig(given_centroids())
NOTHING_DRAWN = replace(warming(), random_state=None)


@pytest.fixture
async def sessions(deps: SessionDeps, engine: StagedEngine) -> AsyncIterator[Sessions]:
    async with Sessions(deps) as sessions:
        yield sessions
        engine.open_gate()


async def test_a_session_is_found_by_its_name(sessions: Sessions) -> None:
    created = sessions.create("pixels", PLAIN)

    assert sessions.get("pixels") is created
    assert created.describe().name == "pixels"


async def test_an_unknown_session_is_not_found(sessions: Sessions) -> None:
    error = refusal(lambda: sessions.get("pixels"))

    assert (error.kind, error.reason, error.session) == (Kind.NOT_FOUND, "SESSION_NOT_FOUND", "pixels")


@pytest.mark.parametrize("name", ["a", "9", "A.b_c-d", "x" * 128])
async def test_valid_session_names_are_accepted(sessions: Sessions, name: str) -> None:
    assert sessions.create(name, PLAIN).name == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "_a", "a b", "a/b", "ä", "a\n", "x" * 129, "x" * 10_000])
async def test_invalid_session_names_are_refused(sessions: Sessions, name: str) -> None:
    error = refusal(lambda: sessions.create(name, PLAIN))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, "NAME_INVALID", "name")
    assert len(error.message) < 500


async def test_a_second_session_of_a_name_is_refused(sessions: Sessions) -> None:
    first = sessions.create("pixels", PLAIN, request_id="one")

    errors = [refusal(partial(sessions.create, "pixels", PLAIN, request_id)) for request_id in ("two", "")]

    assert [(error.kind, error.reason) for error in errors] == [(Kind.ALREADY_EXISTS, "SESSION_EXISTS")] * 2
    assert sessions.get("pixels") is first


async def test_create_requests_without_an_id_are_never_repetitions(sessions: Sessions) -> None:
    sessions.create("pixels", PLAIN)

    assert refusal(lambda: sessions.create("pixels", PLAIN)).reason == "SESSION_EXISTS"


async def test_a_repeated_create_request_returns_the_session_it_made(sessions: Sessions) -> None:
    first = sessions.create("pixels", PLAIN, request_id="one")
    await push(first, 1.0)

    again = sessions.create("pixels", PLAIN, request_id="one")

    assert again is first
    assert again.version == 1


async def test_a_request_id_that_is_too_long_is_refused(sessions: Sessions) -> None:
    error = refusal(partial(sessions.create, "pixels", PLAIN, "x" * 129))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, "REQUEST_ID_INVALID", "request_id")
    assert sessions.create("pixels", PLAIN, "x" * 128).request_id == "x" * 128


async def test_a_session_above_max_sessions_is_refused(sessions: Sessions) -> None:
    made = [sessions.create(f"s{number}", PLAIN, request_id="one") for number in range(LIMITS.max_sessions)]

    error = refusal(lambda: sessions.create("another", PLAIN))

    assert (error.kind, error.reason) == (Kind.RESOURCE_EXHAUSTED, "TOO_MANY_SESSIONS")
    assert sessions.create("s0", PLAIN, request_id="one") is made[0]
    await sessions.delete("s1")
    assert sessions.create("another", PLAIN).name == "another"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (given_centroids(*range(101)), "TOO_MANY_VALUES"),
        (warming(init_size=301), "TOO_MANY_VALUES"),
        (warming(summary_size=301, update_rule="refined"), "TOO_MANY_VALUES"),
        (ModelConfig(0), "N_CLUSTERS_INVALID"),
    ],
)
async def test_a_configuration_that_is_not_allowed_makes_no_session(
    sessions: Sessions, config: ModelConfig, reason: str
) -> None:
    error = refusal(lambda: sessions.create("pixels", SessionConfig(config)))

    assert error.reason == reason
    assert sessions.list(10, "") == ([], "")


async def test_the_configuration_shows_a_drawn_random_state(sessions: Sessions) -> None:
    configs = [
        sessions.create(name, SessionConfig(model)).describe().config.model
        for name, model in (("first", NOTHING_DRAWN), ("second", NOTHING_DRAWN), ("given", warming()))
    ]

    assert [config.random_state for config in configs] == [FIRST_RANDOM_STATE, FIRST_RANDOM_STATE + 1, 0]
    assert configs[0] == replace(NOTHING_DRAWN, random_state=FIRST_RANDOM_STATE)


async def test_a_deleted_session_is_gone_and_its_name_is_free(sessions: Sessions) -> None:
    first = sessions.create("pixels", PLAIN, request_id="one")
    await push(first, 1.0)

    version = await sessions.delete("pixels")
    second = sessions.create("pixels", PLAIN, request_id="one")

    assert (version, first.ended) == (1, "deleted")
    assert (second.version, second.ended) == (0, None)
    assert second.uid != first.uid


async def test_deleting_with_a_stale_etag_is_refused(sessions: Sessions) -> None:
    session = sessions.create("pixels", PLAIN)
    etag = session.etag
    changed = await session.change(model_changes(on_invalid="drop"), etag)

    error = await refusal_of(sessions.delete("pixels", etag))

    assert error.reason == "ETAG_MISMATCH"
    assert sessions.get("pixels").ended is None
    assert await sessions.delete("pixels", changed.etag) == 0


async def test_deleting_an_unknown_session_is_refused(sessions: Sessions) -> None:
    sessions.create("pixels", PLAIN)
    await sessions.delete("pixels")

    assert (await refusal_of(sessions.delete("pixels"))).reason == "SESSION_NOT_FOUND"


async def test_a_session_that_is_being_deleted_is_not_found_any_more(sessions: Sessions, engine: StagedEngine) -> None:
    engine.close_gate()
    await submit(sessions.create("pixels", PLAIN), 1.0)
    await engine.arrival()

    deleting = asyncio.create_task(sessions.delete("pixels"))
    await until_quiet()
    error = refusal(lambda: sessions.get("pixels"))
    engine.open_gate()

    assert error.reason == "SESSION_NOT_FOUND"
    assert await deleting == 1
