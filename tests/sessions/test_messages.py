"""Several batches in one message: taken together, each still itself."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from shoal_server.clustering.state import Batch
from shoal_server.errors import Refusal
from shoal_server.sessions import writer
from shoal_server.sessions.jobs import Receipt
from shoal_server.sessions.port import Producer
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import MIN_BATCH_BYTES
from tests.sessions.clock import until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.session_builders import model_changes, points, unreadable

P = Producer("p")


def _numbered(batch: Batch, sequence: int, fingerprint: int) -> Batch:
    return batch._replace(size=0 if batch.refusal else 1, sequence=sequence, fingerprint=fingerprint)


def _message(*values: float, first: int = 1, fingerprints: int = 0) -> list[Batch]:
    return [_numbered(points(value), sequence, fingerprints + sequence) for sequence, value in enumerate(values, first)]


async def _answers(session: Session, message: list[Batch], producer: Producer | None = P) -> list[object]:
    """Return the version of each batch, or the reason of its refusal."""
    answers: list[object] = []
    for part in await session.submit(message, producer):
        if isinstance(part, Refusal):
            answers.append(part.reason)
            continue
        await part.completion.wait()
        answers.extend(
            result.refusal.reason if result.refusal else (result.version, result.duplicate) for result in part.results()
        )
    return answers


async def test_each_batch_of_a_message_makes_a_version(session: Session) -> None:
    (receipt,) = await session.submit(_message(1, 2, 3), P)

    assert isinstance(receipt, Receipt)
    await receipt.completion.wait()
    assert [result.version for result in receipt.results()] == [1, 2, 3]


async def test_a_repeated_message_of_an_unnamed_producer_counts_each_time(session: Session) -> None:
    for versions in ([1, 2], [3, 4]):
        assert await _answers(session, _message(1, 2), None) == [(version, False) for version in versions]


async def test_a_repeated_message_is_answered_again(session: Session) -> None:
    await _answers(session, _message(1, 2, 3))

    assert await _answers(session, _message(1, 2, 3)) == [(1, True), (2, True), (3, True)]
    assert session.version == 3


async def test_only_the_new_batches_of_a_partly_repeated_message_are_applied(session: Session) -> None:
    await _answers(session, _message(1, 2))

    assert await _answers(session, _message(2, 3, 4, first=2)) == [(2, True), (3, False), (4, False)]
    assert await _answers(session, _message(5, first=5)) == [(5, False)]


async def test_a_reused_sequence_within_a_message_is_refused_alone(session: Session) -> None:
    await _answers(session, _message(1, 2, 3))
    again = [*_message(1), *_message(2, first=2, fingerprints=50), *_message(3, 4, first=3)]

    assert await _answers(session, again) == [(1, True), "SEQUENCE_REUSED", (3, True), (4, False)]


async def test_batches_after_a_gap_are_refused_and_use_no_sequence(session: Session) -> None:
    message = [*_message(1), *_message(3, first=3)]

    assert await _answers(session, message) == [(1, False), "SEQUENCE_GAP"]
    assert await _answers(session, _message(2, first=2)) == [(2, False)]
    assert session.describe().queued_bytes == 0


async def test_refusals_of_a_producer_name_the_session(session: Session) -> None:
    (refusal,) = await session.submit(_message(1, first=7), P)

    assert isinstance(refusal, Refusal)
    assert refusal.session == "pixels"


async def test_an_unreadable_batch_keeps_its_place_in_a_message(session: Session) -> None:
    message = [*_message(1), _numbered(unreadable(), 2, 102), *_message(3, first=3)]

    assert await _answers(session, message) == [(1, False), "SHAPE_INVALID", (2, False)]
    assert await _answers(session, message) == [(1, True), "SHAPE_INVALID", (2, True)]


async def test_a_message_of_unreadable_batches_waits_for_room_as_others_do(
    session: Session, engine: StagedEngine
) -> None:
    engine.close_gate()
    await session.submit([points(1.0)._replace(size=10**9)], None)
    await engine.arrival()

    answers = asyncio.create_task(_answers(session, [_numbered(unreadable(), 1, 1)]))
    await until_quiet()
    waits = not answers.done()
    engine.open_gate()

    assert waits
    assert await answers == ["SHAPE_INVALID"]


async def test_batches_that_fail_within_a_message_fail_alone(session: Session) -> None:
    message = [*_message(1), _numbered(points(np.nan), 2, 102), *_message(3, first=3)]

    assert await _answers(session, message) == [(1, False), "NOT_FINITE", (2, False)]


async def test_a_change_keeps_its_place_between_messages(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    before = asyncio.create_task(_answers(session, _message(4)))
    await engine.arrival()
    invalid_one = asyncio.create_task(_answers(session, [_numbered(points(1.0, np.nan), 2, 2)]))
    await asyncio.sleep(0)
    changing = asyncio.create_task(session.change(model_changes(on_invalid="drop"), ""))
    await asyncio.sleep(0)
    dropped = asyncio.create_task(_answers(session, [_numbered(points(1.0, np.nan), 3, 3)]))
    await asyncio.sleep(0)

    engine.open_gate()
    await changing

    assert await before == [(1, False)]
    assert await invalid_one == ["NOT_FINITE"]
    assert await dropped == [(2, False)]


async def test_a_message_takes_queue_bytes_for_each_of_its_batches(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    await session.submit(_message(1), P)
    await engine.arrival()

    await session.submit(_message(2, 3, 4, first=2), P)
    queued = session.describe()
    engine.open_gate()

    assert (queued.queued_batches, queued.queued_bytes) == (3, 4 * MIN_BATCH_BYTES)


async def test_a_session_that_ends_refuses_the_rest_of_a_message(session: Session, engine: StagedEngine) -> None:
    engine.close_gate()
    waiting = asyncio.create_task(_answers(session, _message(1, 2, 3)))
    await engine.arrival()
    ending = asyncio.create_task(session.end("deleted"))
    await asyncio.sleep(0)

    engine.open_gate()
    await ending

    assert await waiting == [(1, False), "SESSION_NOT_FOUND", "SESSION_NOT_FOUND"]


async def test_a_bug_outside_the_engines_gives_its_batch_the_reason_internal(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(writer, "apply_jobs", fail)
        told = await _answers(session, _message(1, 2))

    assert told == ["INTERNAL", "INTERNAL"]
    assert await _answers(session, _message(3, first=3)) == [(1, False)]
