"""What the ledger keeps of producers, and what it forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from shoal_server.clustering.state import Outcome
from shoal_server.sessions.producers import ENTRY_BYTES, Position, Producer, ProducerLedger
from tests.sessions.clock import until_quiet
from tests.sessions.refusing import refusal
from tests.sessions.stamping import answered, kept, stamp, take, unanswered

PLENTY = 1_000_000
THREE_ANSWERS = 3 * ENTRY_BYTES
OVERWRITTEN = pytest.mark.xfail(reason="an answer that is recorded again counts twice", strict=True)


async def test_the_newest_answers_that_fit_are_kept() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)

    for sequence in range(1, 6):
        take(ledger, stamp(sequence))

    assert [kept(ledger, stamp(sequence)) for sequence in range(1, 6)] == [False, False, True, True, True]


async def test_labels_count_as_bytes_of_the_answer() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)

    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence), label_bytes=ENTRY_BYTES // 2)

    assert [kept(ledger, stamp(sequence)) for sequence in (1, 2, 3)] == [False, True, True]


async def test_one_large_answer_takes_the_place_of_all_the_others() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence))

    take(ledger, stamp(4), label_bytes=2 * ENTRY_BYTES)

    assert [kept(ledger, stamp(sequence)) for sequence in (1, 2, 3, 4)] == [False, False, False, True]


async def test_an_answer_larger_than_the_bound_is_not_kept() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)

    take(ledger, stamp(1), label_bytes=THREE_ANSWERS)

    assert not kept(ledger, stamp(1))


async def test_the_bound_is_for_all_producers_together() -> None:
    ledger = ProducerLedger(max_producers=9, replay_bytes=THREE_ANSWERS)

    for producer in "abcde":
        take(ledger, stamp(1, producer=producer))

    assert [kept(ledger, stamp(1, producer=producer)) for producer in "abcde"] == [False, False, True, True, True]


async def test_a_forgotten_answer_is_one_of_version_0_with_no_rows() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    take(ledger, stamp(1))

    again = ledger.seen(stamp(1))

    assert again is not None
    assert await again == Outcome(version=0, accepted=0, dropped=0, inertia=0.0, labels=None, warming=None)


async def test_the_fingerprint_is_forgotten_with_the_answer() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    take(ledger, stamp(1, fingerprint=11))

    assert not kept(ledger, stamp(1, fingerprint=12))


async def test_batches_whose_answers_are_forgotten_still_count_once() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)

    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence))

    assert ledger.open(Producer("p")) == Position(epoch=1, last_sequence=3)
    assert refusal(lambda: ledger.seen(stamp(5))).reason == "SEQUENCE_GAP"


async def test_answers_that_are_still_to_come_are_kept_beyond_the_bound() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)

    coming = [take(ledger, stamp(sequence), unanswered()) for sequence in range(1, 6)]

    assert [ledger.seen(stamp(sequence)) for sequence in range(1, 6)] == coming


async def test_answers_that_have_come_are_forgotten_at_the_next_batch() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    take_and_answer(ledger, range(1, 6))

    take(ledger, stamp(6))

    assert [kept(ledger, stamp(sequence)) for sequence in range(1, 7)] == [False] * 5 + [True]


@pytest.mark.xfail(reason="answers beyond the bound stay until the next batch, which may never come", strict=True)
async def test_answers_that_have_come_are_forgotten_when_no_more_batches_come() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)

    take_and_answer(ledger, range(1, 6))
    await until_quiet()

    assert [kept(ledger, stamp(sequence)) for sequence in range(1, 6)] == [False] * 4 + [True]


async def test_a_refusal_is_an_answer_like_any_other() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    refused: asyncio.Future[Outcome] = unanswered()
    refused.set_exception(ValueError("no good"))
    take(ledger, stamp(1), refused)

    again = ledger.seen(stamp(1))

    assert again is not None
    with pytest.raises(ValueError, match="no good"):
        await again


async def test_of_more_producers_than_are_remembered_the_longest_unused_is_forgotten() -> None:
    ledger = ProducerLedger(max_producers=2, replay_bytes=PLENTY)
    for producer in "ab":
        take(ledger, stamp(1, producer=producer))
    take(ledger, stamp(2, producer="a"))

    ledger.open(Producer("c"))

    assert ledger.open(Producer("a")).last_sequence == 2
    assert ledger.open(Producer("b")) == Position(epoch=1, last_sequence=0)


async def test_opening_is_a_use_of_a_producer() -> None:
    ledger = ProducerLedger(max_producers=2, replay_bytes=PLENTY)
    for producer in "ab":
        take(ledger, stamp(1, producer=producer))
    ledger.open(Producer("a"))

    ledger.open(Producer("c"))

    assert ledger.open(Producer("a")).last_sequence == 1


async def test_a_producer_that_was_forgotten_begins_anew() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=PLENTY)
    take(ledger, stamp(1, producer="a"))
    ledger.open(Producer("b"))

    newer = take(ledger, stamp(1, producer="a", fingerprint=77), answered(9))

    assert ledger.seen(stamp(1, producer="a", fingerprint=77)) is newer


@OVERWRITTEN
async def test_producers_that_come_and_go_for_ever_leave_room_for_as_many_answers() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    for _ in range(10):
        for producer in "ab":
            take(ledger, stamp(1, producer=producer))

    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence, producer="c"))

    assert [kept(ledger, stamp(sequence, producer="c")) for sequence in (1, 2, 3)] == [True, True, True]


@OVERWRITTEN
async def test_a_producer_that_was_forgotten_before_its_answer_came_begins_anew() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    take(ledger, stamp(1, producer="a"), unanswered())
    ledger.open(Producer("b"))

    take(ledger, stamp(1, producer="a"))

    assert not kept(ledger, stamp(1, producer="a"))


def take_and_answer(ledger: ProducerLedger, sequences: Iterable[int]) -> None:
    """Take batches first, and answer them all then."""
    answers = {sequence: take(ledger, stamp(sequence), unanswered()) for sequence in sequences}
    for sequence, answer in answers.items():
        answer.set_result(answered(sequence).result())
