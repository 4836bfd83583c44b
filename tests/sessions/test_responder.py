"""Bugs between a result and its waiting callers: each batch is still answered, and the writer lives."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from shoal_server.errors import DomainError, Refusal
from shoal_server.sessions import responder
from shoal_server.sessions.port import Producer
from shoal_server.sessions.replay_cache import ReplayCache
from shoal_server.sessions.responder import Responder
from shoal_server.sessions.session import Session
from tests.sessions.engines import FAULTY, StagedEngine
from tests.sessions.session_builders import model_changes, points, push

P = Producer("p")


def _fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


async def _answers(session: Session, *values: float, first: int = 1) -> list[object]:
    """Return the version of each batch of a message, or the reason of its refusal."""
    message = [
        points(value)._replace(size=1, sequence=sequence, fingerprint=sequence)
        for sequence, value in enumerate(values, first)
    ]
    answers: list[object] = []
    for part in await session.submit(message, P):
        assert not isinstance(part, Refusal)
        await part.completion.wait()
        answers += [result.refusal.reason if result.refusal else result.version for result in part.results()]
    return answers


async def test_batches_whose_results_can_not_be_made_get_the_reason_internal(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken, structlog.testing.capture_logs() as logs:
        broken.setattr(Responder, "_answers", _fail)
        answers = await _answers(session, 1, 2)

    assert answers == ["INTERNAL", "INTERNAL"]
    assert [entry["event"] for entry in logs] == ["bug"]
    assert await _answers(session, 1, 2) == ["INTERNAL", "INTERNAL"]  # they are kept like any other
    assert await _answers(session, 3, first=3) == [3]


async def test_a_failure_to_cache_a_result_does_not_lose_it(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken, structlog.testing.capture_logs() as logs:
        broken.setattr(ReplayCache, "_file", _fail)
        told = await _answers(session, 1, 2)

    assert told == [1, 2]
    assert [entry["event"] for entry in logs] == ["bug"]
    assert await _answers(session, 3, first=3) == [3]


async def test_a_log_that_can_not_be_written_does_not_lose_a_result(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(responder.log, "error", _fail)
        answers = await _answers(session, 1, FAULTY, 3)

    assert answers == [1, "INTERNAL", 2]
    assert await _answers(session, 4, first=4) == [3]


async def test_a_session_ends_even_if_caching_its_refusals_fails(
    session: Session, engine: StagedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplayCache, "_file", _fail)
    engine.close_gate()
    first = asyncio.create_task(push(session, 1.0))
    await engine.arrival()
    waiting = asyncio.create_task(_answers(session, 1, 2))
    await asyncio.sleep(0)

    ending = asyncio.create_task(session.end("deleted"))
    await asyncio.sleep(0)
    engine.open_gate()
    await ending

    assert (await first).version == 1
    assert await waiting == ["SESSION_NOT_FOUND", "SESSION_NOT_FOUND"]
    assert session.ended == "deleted"


async def test_a_session_works_after_its_change_callback_failed(session: Session) -> None:
    session._on_change = _fail
    answers = await asyncio.gather(session.change(model_changes(on_invalid="drop"), ""), return_exceptions=True)

    assert isinstance(answers[0], DomainError)
    assert answers[0].refusal.reason == "INTERNAL"
    assert (await push(session, 1.0)).version == 1
