"""What the ledger keeps of the answers to producers, and what it forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from shoal_server.clustering.state import Outcome
from shoal_server.sessions import answers
from shoal_server.sessions.answers import ENTRY_BYTES
from shoal_server.sessions.producers import ABSENCE, Position, Producer, ProducerLedger
from tests.sessions.clock import jumping_loop, until, until_quiet
from tests.sessions.refusing import refusal
from tests.sessions.stamping import again, answered, kept, outcome, stamp, take, unanswered

PLENTY = 1_000_000
THREE_ANSWERS = 3 * ENTRY_BYTES
P = Producer("p")


def kept_of(ledger: ProducerLedger, sequences: Iterable[int]) -> list[int]:
    return [sequence for sequence in sequences if kept(ledger, stamp(sequence))]


async def after_absence() -> None:
    """Let pass what the ledger waits for those who are absent."""
    await until(jumping_loop().time() + 2 * ABSENCE)


async def test_what_a_stream_has_not_acknowledged_is_kept_whatever_it_takes() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)

    given = [take(ledger, stamp(sequence), answered(sequence, entries_of_labels=9)) for sequence in range(1, 6)]
    await until_quiet()

    assert [again(ledger, stamp(sequence)) for sequence in range(1, 6)] == given


async def test_what_a_stream_has_acknowledged_may_be_forgotten() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    ledger.open(P)
    for sequence in range(1, 6):
        take(ledger, stamp(sequence))
    await until_quiet()

    ledger.acknowledge(P, 3)

    assert kept_of(ledger, range(1, 6)) == [3, 4, 5]


async def test_an_answer_acknowledged_before_it_came_may_be_forgotten_when_it_comes() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)
    coming = take(ledger, stamp(1), unanswered())

    ledger.acknowledge(P, 1)
    assert again(ledger, stamp(1)) is coming
    coming.set_result(outcome(1))
    await until_quiet()

    assert not kept(ledger, stamp(1))


@pytest.mark.parametrize("sequence", [-1, 0, 2, 2**62])
async def test_what_nobody_has_sent_can_not_be_acknowledged(sequence: int) -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)
    take(ledger, stamp(1))
    await until_quiet()

    ledger.acknowledge(P, sequence)
    take(ledger, stamp(2))
    await until_quiet()

    assert kept(ledger, stamp(2))


async def test_a_producer_whose_stream_broke_is_expected_back_and_loses_nothing_meanwhile() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)
    for sequence in (1, 2):
        take(ledger, stamp(sequence))
    ledger.leave(P)

    await until(ABSENCE - 1)
    ledger.open(P)
    await after_absence()

    assert kept_of(ledger, (1, 2)) == [1, 2]


async def test_a_stream_that_was_taken_over_ends_without_harm_to_the_newer_one() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)
    ledger.open(P)
    take(ledger, stamp(1))

    ledger.leave(P)
    await after_absence()

    assert kept(ledger, stamp(1))


async def test_of_a_producer_that_stays_away_the_newest_answers_that_fit_are_kept() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    ledger.open(P)
    for sequence in range(1, 6):
        take(ledger, stamp(sequence))
    ledger.leave(P)

    await after_absence()

    assert kept_of(ledger, range(1, 6)) == [3, 4, 5]


async def test_who_makes_a_call_for_each_batch_acknowledges_those_before() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)

    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence))
    await until_quiet()
    before = kept_of(ledger, (1, 2, 3))
    await after_absence()

    assert before == [3]
    assert kept_of(ledger, (1, 2, 3)) == []


async def test_labels_are_forgotten_before_any_answer() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    ledger.open(P)
    take(ledger, stamp(1))
    take(ledger, stamp(2), answered(2, entries_of_labels=1))
    take(ledger, stamp(3), answered(3, entries_of_labels=1))
    await until_quiet()

    ledger.acknowledge(P, 3)

    assert kept_of(ledger, (1, 2, 3)) == [1, 2, 3]
    assert [again(ledger, stamp(sequence)).result() for sequence in (1, 2, 3)] == [outcome(n) for n in (1, 2, 3)]


async def test_the_labels_that_fit_are_kept() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    ledger.open(P)
    take(ledger, stamp(1), answered(1, entries_of_labels=1))
    newer = take(ledger, stamp(2), answered(2, entries_of_labels=1))
    await until_quiet()

    ledger.acknowledge(P, 2)

    assert again(ledger, stamp(1)).result() == outcome(1)
    assert again(ledger, stamp(2)) is newer


async def test_an_answer_larger_than_the_bound_is_kept_without_its_labels() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    ledger.open(P)
    take(ledger, stamp(1), answered(1, entries_of_labels=3))
    await until_quiet()

    ledger.acknowledge(P, 1)

    assert again(ledger, stamp(1)).result() == outcome(1)


async def test_the_bound_is_for_all_producers_together() -> None:
    ledger = ProducerLedger(max_producers=9, replay_bytes=THREE_ANSWERS)

    for producer in "abcde":
        take(ledger, stamp(1, producer=producer))
    await after_absence()

    assert [kept(ledger, stamp(1, producer=producer)) for producer in "abcde"] == [False, False, True, True, True]


async def test_who_acknowledges_nothing_is_held_no_more_than_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "HELD_BYTES", THREE_ANSWERS)
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    ledger.open(P)

    for sequence in range(1, 10):
        take(ledger, stamp(sequence))
    await until_quiet()

    assert kept_of(ledger, range(1, 10)) == [6, 7, 8, 9]


async def test_a_forgotten_answer_is_one_of_version_0_with_no_rows_and_says_so() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    take(ledger, stamp(1))
    await after_absence()

    forgotten = ledger.seen(stamp(1))

    assert forgotten is not None
    assert (forgotten.duplicate, forgotten.forgotten) == (True, True)
    assert await forgotten.result() == Outcome(version=0, accepted=0, dropped=0, inertia=0.0, labels=None, warming=None)


async def test_the_fingerprint_is_forgotten_with_the_answer() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    take(ledger, stamp(1, fingerprint=11))
    await after_absence()

    assert not kept(ledger, stamp(1, fingerprint=12))


async def test_batches_whose_answers_are_forgotten_still_count_once() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)

    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence))
    await after_absence()

    assert kept_of(ledger, (1, 2, 3)) == []
    assert ledger.open(P) == Position(epoch=1, last_sequence=3)
    assert refusal(lambda: ledger.seen(stamp(5))).reason == "SEQUENCE_GAP"


async def test_answers_that_are_still_to_come_are_kept_beyond_the_bound() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)

    coming = [take(ledger, stamp(sequence), unanswered()) for sequence in range(1, 6)]
    await after_absence()

    assert [again(ledger, stamp(sequence)) for sequence in range(1, 6)] == coming


async def test_answers_that_have_come_are_forgotten_though_no_more_batches_come() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    coming = [take(ledger, stamp(sequence), unanswered()) for sequence in range(1, 6)]

    for sequence, answer in enumerate(coming, start=1):
        answer.set_result(outcome(sequence))
    await until_quiet()

    assert kept_of(ledger, range(1, 6)) == [4, 5]


async def test_a_refusal_is_an_answer_like_any_other() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    refused: asyncio.Future[Outcome] = unanswered()
    refused.set_exception(ValueError("no good"))
    take(ledger, stamp(1), refused)
    await after_absence()

    with pytest.raises(ValueError, match="no good"):
        await again(ledger, stamp(1))


async def test_a_ledger_that_was_closed_waits_for_nobody() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    take(ledger, stamp(1))
    ledger.open(P)

    ledger.close()
    ledger.leave(P)
    await after_absence()

    assert kept(ledger, stamp(1))
