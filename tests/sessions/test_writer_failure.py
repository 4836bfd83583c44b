"""A bug in a session's writer ends that session visibly, and no caller is left waiting."""

from __future__ import annotations

import asyncio

import pytest

from shoal_server.errors import DomainError
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import End, WatchOptions
from shoal_server.sessions.registry import Sessions
from shoal_server.sessions.session import Session
from tests.sessions.engines import StagedEngine
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import kept_for, push, submit


def _fail(*_: object) -> None:
    raise ZeroDivisionError


@pytest.fixture
def broken(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(session._writer.watch_queue, "announce", _fail)
    return session


async def test_waiting_and_new_batches_are_refused_when_the_writer_fails(broken: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    waiting = [await submit(broken, float(value)) for value in range(3)]
    engine.open_gate()

    results = await asyncio.gather(*(receipt.result() for receipt in waiting), return_exceptions=True)

    assert not [
        result for result in results if isinstance(result, BaseException) and not isinstance(result, DomainError)
    ]
    assert (await refusal_of(push(broken, 9.0))).reason == "INTERNAL"


async def test_a_watch_ends_when_the_writer_fails(broken: Session) -> None:
    with broken.watch(WatchOptions()) as watch:
        events = watch.events()
        await anext(events)
        await push(broken, 1.0)

        rest = [event async for event in events]

    assert rest[-1] == End("failed", 1)


async def test_a_session_whose_writer_failed_does_not_keep_others_from_stopping(
    deps: SessionDeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sessions(deps) as sessions:
        failed, sound = (sessions.create(name, kept_for(None)) for name in ("failed", "sound"))
        monkeypatch.setattr(failed._writer.watch_queue, "announce", _fail)
        await push(failed, 1.0)
        monkeypatch.setattr(failed, "stop", _fail_to_stop)

        await sessions.stop(asyncio.get_running_loop().time())

        assert (await refusal_of(push(sound, 1.0))).reason == "SERVER_DRAINING"


async def _fail_to_stop(_: float) -> int:
    raise ZeroDivisionError
