"""The expiry of unused sessions. The time is the event loop's, which jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import Changes, Producer, WatchOptions
from shoal_server.sessions.registry import Sessions
from tests.sessions.clock import until
from tests.sessions.engines import StagedEngine
from tests.sessions.session_builders import kept_for, push, submit

LONG = 80_000  # seconds


@pytest.fixture
async def sessions(deps: SessionDeps, engine: StagedEngine) -> AsyncIterator[Sessions]:
    async with Sessions(deps) as sessions:
        yield sessions
        engine.open_gate()


class _CountedEvent(asyncio.Event):
    """Counts how often it is set."""

    count = 0

    def set(self) -> None:
        self.count += 1
        super().set()


def alive(sessions: Sessions) -> list[str]:
    """Return the names of all sessions."""
    return [session.name for session in sessions.list(100, "")[0]]


async def test_an_idle_session_expires_after_its_idle_ttl(sessions: Sessions) -> None:
    session = sessions.create("pixels", kept_for(100))

    await until(99.9)
    before = alive(sessions)
    await until(100.1)

    assert before == ["pixels"]
    assert alive(sessions) == []
    assert session.ended == "expired"


async def test_each_session_expires_after_its_own_idle_ttl(sessions: Sessions) -> None:
    for name, idle_ttl in (("long", 300), ("short", 100), ("ever", None)):
        sessions.create(name, kept_for(idle_ttl))

    there = []
    for moment in (101, 299, 301, LONG):
        await until(moment)
        there.append(alive(sessions))

    assert there == [["ever", "long"], ["ever", "long"], ["ever"], ["ever"]]


async def test_a_session_created_later_may_expire_earlier(sessions: Sessions) -> None:
    sessions.create("long", kept_for(300))
    await until(50)

    sessions.create("short", kept_for(100))
    await until(151)

    assert alive(sessions) == ["long"]


async def test_sessions_with_the_same_end_expire_together(sessions: Sessions) -> None:
    for name in ("a", "b", "c"):
        sessions.create(name, kept_for(100))

    await until(100.1)

    assert alive(sessions) == []


async def test_a_use_postpones_the_expiry(sessions: Sessions) -> None:
    session = sessions.create("pixels", kept_for(100))

    for moment in (90, 180, 270):
        await until(moment)
        session.read_snapshot()
    await until(369)
    before = alive(sessions)
    await until(371)

    assert (before, alive(sessions)) == (["pixels"], [])


async def test_pushing_and_opening_a_stream_postpone_the_expiry(sessions: Sessions) -> None:
    session = sessions.create("pixels", kept_for(100))

    await until(90)
    await push(session, 1.0)
    await until(180)
    session.open_producer(Producer("p"))
    await until(279)

    assert alive(sessions) == ["pixels"]


async def test_a_session_does_not_expire_under_an_open_watch(sessions: Sessions) -> None:
    session = sessions.create("pixels", kept_for(100))
    await until(20)

    with session.watch(WatchOptions()):
        await until(1000)
        meanwhile = alive(sessions)
    await until(1099)
    before = alive(sessions)
    await until(1101)

    assert (meanwhile, before, alive(sessions)) == (["pixels"], ["pixels"], [])


async def test_a_session_does_not_expire_as_long_as_one_of_its_streams_is_open(sessions: Sessions) -> None:
    session = sessions.create("pixels", kept_for(100))

    with session.watch(WatchOptions()):
        with session.stream():
            await until(150)
        await until(300)

    assert alive(sessions) == ["pixels"]


async def test_creating_sessions_does_not_wake_the_expiry_task(sessions: Sessions) -> None:
    sessions.create("first", kept_for(100))
    await until(1)
    sessions._ends_earlier = woken = _CountedEvent()

    sessions.create("later", kept_for(200))
    sessions.create("ever", kept_for(None))
    not_woken = woken.count
    await sessions.delete("ever")
    sessions.create("earlier", kept_for(50))

    assert (not_woken, woken.count) == (0, 1)


async def test_an_idle_ttl_set_later_counts_from_the_last_use(sessions: Sessions) -> None:
    session = sessions.create("pixels", kept_for(None))
    await until(1000)
    await session.change(Changes(model={}, session={"idle_ttl": 100.0}), "")

    await until(1099)
    before = alive(sessions)
    await until(1101)

    assert (before, alive(sessions)) == (["pixels"], [])


async def test_an_idle_ttl_set_by_a_cancelled_change_takes_effect(sessions: Sessions, engine: StagedEngine) -> None:
    session = sessions.create("pixels", kept_for(None))
    engine.close_gate()
    await submit(session, 1.0)
    await engine.arrival()
    changing = asyncio.create_task(session.change(Changes(model={}, session={"idle_ttl": 100.0}), ""))
    await until(50)

    changing.cancel()
    engine.open_gate()
    await until(151)

    assert alive(sessions) == []
    assert session.ended == "expired"


async def test_a_session_whose_idle_ttl_was_removed_does_not_expire(sessions: Sessions) -> None:
    session = sessions.create("pixels", kept_for(100))
    await session.change(Changes(model={}, session={"idle_ttl": None}), "")

    await until(LONG)

    assert alive(sessions) == ["pixels"]


async def test_a_session_that_reuses_a_deleted_ones_name_has_its_own_idle_ttl(sessions: Sessions) -> None:
    sessions.create("pixels", kept_for(100))
    await until(50)
    await sessions.delete("pixels")

    sessions.create("pixels", kept_for(100))
    await until(149)

    assert alive(sessions) == ["pixels"]


async def test_a_batch_that_is_applied_late_postpones_the_expiry(sessions: Sessions, engine: StagedEngine) -> None:
    session = sessions.create("pixels", kept_for(100))
    engine.close_gate()
    batch = await submit(session, 1.0)
    await engine.arrival()

    await until(50)
    engine.open_gate()
    await batch.result()
    await until(149)

    assert alive(sessions) == ["pixels"]


async def test_sessions_that_are_used_or_created_while_others_expire_stay(
    sessions: Sessions, engine: StagedEngine
) -> None:
    busy, used, _ = (sessions.create(name, kept_for(100)) for name in ("busy", "used", "anew"))
    engine.close_gate()
    batch = await submit(busy, 1.0)
    await engine.arrival()

    await until(101)  # busy ends once its writer is done, and the others after it
    meanwhile = alive(sessions)
    used.read_snapshot()
    await sessions.delete("anew")
    anew = sessions.create("anew", kept_for(100))
    engine.open_gate()
    await batch.result()
    await until(150)

    assert meanwhile == ["anew", "used"]
    assert (busy.ended, used.ended, anew.ended) == ("expired", None, None)
    await until(202)
    assert alive(sessions) == []
