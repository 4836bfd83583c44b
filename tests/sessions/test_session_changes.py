"""Changes of a running session's configuration, and their etags."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shoal_server.clustering.config import HalfLife
from shoal_server.errors import Kind
from shoal_server.sessions.port import Changes
from shoal_server.sessions.session import Session
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal, refusal_of
from tests.sessions.session_builders import model_changes, push, submit

DROP = model_changes(on_invalid="drop")


async def test_a_change_affects_only_the_named_fields(session: Session) -> None:
    before = session.describe()

    after = await session.change(Changes(model={"on_invalid": "drop"}, session={"idle_ttl": 60.0}), etag="")

    assert after.config.idle_ttl == 60.0
    assert after.config.durability == before.config.durability
    assert after.config.model == replace(before.config.model, on_invalid="drop")
    assert (after.uid, after.create_time) == (before.uid, before.create_time)


async def test_a_change_sets_a_new_etag_and_update_time(session: Session) -> None:
    before = session.describe()

    after = await session.change(DROP, etag="")

    assert after.etag != before.etag
    assert after.update_time > before.update_time
    assert session.describe() == after


async def test_a_change_of_configuration_keeps_the_centroids(session: Session) -> None:
    await push(session, 4.0)
    snapshot = session.snapshot

    await session.change(DROP, etag="")

    assert session.snapshot is snapshot


async def test_batches_do_not_change_the_etag(session: Session) -> None:
    etag = session.etag

    await push(session, 1.0)

    assert session.etag == etag


async def test_a_change_with_the_newest_etag_is_made(session: Session) -> None:
    first = await session.change(DROP, session.etag)

    second = await session.change(model_changes(on_invalid="reject"), first.etag)

    assert second.config.model.on_invalid == "reject"


async def test_of_two_changes_with_one_etag_the_second_is_refused(session: Session) -> None:
    etag = session.etag
    changes = [
        asyncio.create_task(session.change(model_changes(on_invalid=policy), etag)) for policy in ("drop", "impute")
    ]

    await changes[0]
    error = await refusal_of(changes[1])

    assert (error.kind, error.reason, error.session) == (Kind.ABORTED, "ETAG_MISMATCH", "pixels")
    assert session.describe().config.model.on_invalid == "drop"


async def test_an_etag_is_stale_as_soon_as_a_change_waits(session: Session, engine: StagedEngine) -> None:
    etag = session.etag
    engine.close_gate()
    await submit(session, 1.0)
    await engine.arrival()
    change = asyncio.create_task(session.change(DROP, etag))
    await until_quiet()

    stale = refusal(lambda: session.check_etag(etag))
    shown = session.etag
    engine.open_gate()

    assert stale.reason == "ETAG_MISMATCH"
    assert shown == etag
    assert repr((await change).etag) in stale.message


async def test_changes_without_etag_are_all_made_in_order(session: Session) -> None:
    etag = session.etag
    policies = ["drop", "impute", "reject", "drop"]

    changed = await asyncio.gather(*(session.change(model_changes(on_invalid=policy), "") for policy in policies))

    assert session.describe().config.model.on_invalid == "drop"
    assert session.describe() == changed[-1]
    assert refusal(lambda: session.check_etag(etag)).reason == "ETAG_MISMATCH"
    session.check_etag(session.etag)


async def test_an_etag_of_another_session_is_refused(session: Session) -> None:
    error = await refusal_of(session.change(DROP, "0123456789ab-1"))

    assert error.reason == "ETAG_MISMATCH"


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
async def test_an_invalid_half_life_is_refused_and_the_etag_stays(session: Session, value: float) -> None:
    etag = session.etag

    error = await refusal_of(session.change(model_changes(half_life=HalfLife(value, "batches")), etag))

    assert error.reason == "HALF_LIFE_INVALID"
    assert (await session.change(DROP, etag)).config.model.on_invalid == "drop"


async def test_a_change_that_fails_raises_and_the_session_continues(session: Session) -> None:
    nonsense: dict[str, Any] = {"number_of_wheels": 4}

    error = await refusal_of(session.change(Changes(model=nonsense, session={}), ""))

    assert (error.kind, error.reason, error.session) == (Kind.INTERNAL, "INTERNAL", "pixels")
    assert (await push(session, 1.0)).version == 1
    session.check_etag(session.etag)


async def test_a_cancelled_change_is_still_made(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    batch = await submit(session, 1.0)
    await engine.arrival()
    change = asyncio.create_task(session.change(DROP, ""))
    await until_quiet()

    change.cancel()
    engine.open_gate()
    await batch.result()
    await push(session, 2.0)

    assert session.describe().config.model.on_invalid == "drop"
