"""Producers: their epochs, and the sequence that lets each batch count once."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.errors import Kind
from shoal_server.sessions.port import Position, Producer
from shoal_server.sessions.producers import ProducerLedger
from tests.sessions.producer_builders import again, kept, stamp, take, unanswered
from tests.sessions.refusing import refusal

PLENTY = 1_000_000


@pytest.fixture
def ledger() -> ProducerLedger:
    return ProducerLedger(max_producers=10, replay_bytes=PLENTY)


def test_a_new_producer_begins_with_epoch_1_and_no_batch(ledger: ProducerLedger) -> None:
    assert ledger.open(Producer("p")) == Position(epoch=1, last_sequence=0)


def test_epoch_0_takes_the_next_epoch(ledger: ProducerLedger) -> None:
    epochs = [ledger.open(Producer("p", epoch)).epoch for epoch in (0, 0, 7, 0)]

    assert epochs == [1, 2, 7, 8]


async def test_a_returning_producer_gets_its_last_sequence(ledger: ProducerLedger) -> None:
    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence))

    assert ledger.open(Producer("p")).last_sequence == 3


def test_the_epoch_in_force_may_be_opened_again(ledger: ProducerLedger) -> None:
    ledger.open(Producer("p", 4))

    assert ledger.open(Producer("p", 4)) == Position(epoch=4, last_sequence=0)


async def test_an_older_epoch_is_fenced(ledger: ProducerLedger) -> None:
    ledger.open(Producer("p", 4))
    take(ledger, stamp(1, epoch=4))

    opening = refusal(lambda: ledger.open(Producer("p", 3)))
    pushing = refusal(lambda: ledger.seen(*stamp(2, epoch=3)))
    repeating = refusal(lambda: ledger.seen(*stamp(1, epoch=3)))

    for error in (opening, pushing, repeating):
        assert (error.kind, error.reason) == (Kind.ABORTED, "PRODUCER_FENCED")
        assert "epoch 3, and epoch 4 is in force" in error.message


async def test_a_batch_of_a_newer_epoch_fences_older_epochs(ledger: ProducerLedger) -> None:
    take(ledger, stamp(1, epoch=1))

    take(ledger, stamp(2, epoch=2))

    assert refusal(lambda: ledger.seen(*stamp(3, epoch=1))).reason == "PRODUCER_FENCED"
    assert ledger.open(Producer("p")) == Position(epoch=3, last_sequence=2)


def test_a_refused_opening_changes_no_producer(ledger: ProducerLedger) -> None:
    ledger.open(Producer("p", 4))

    refusal(lambda: ledger.open(Producer("p", 3)))

    assert ledger.open(Producer("p")).epoch == 5


def test_a_batch_without_epoch_belongs_to_the_epoch_in_force(ledger: ProducerLedger) -> None:
    ledger.open(Producer("p", 4))

    assert ledger.seen(*stamp(1, epoch=0)) is None


async def test_a_batch_without_epoch_keeps_older_epochs_fenced(ledger: ProducerLedger) -> None:
    ledger.open(Producer("p", 4))

    take(ledger, stamp(1, epoch=0))

    assert refusal(lambda: ledger.seen(*stamp(2, epoch=3))).reason == "PRODUCER_FENCED"


async def test_the_sequence_continues_from_epoch_to_epoch(ledger: ProducerLedger) -> None:
    take(ledger, stamp(1, epoch=1))
    ledger.open(Producer("p"))

    assert ledger.seen(*stamp(1, epoch=2)) is not None
    assert ledger.seen(*stamp(2, epoch=2)) is None


@pytest.mark.parametrize("sequence", [2, 3, 2**63 - 1])
def test_a_gap_is_refused_with_the_next_sequence(ledger: ProducerLedger, sequence: int) -> None:
    error = refusal(lambda: ledger.seen(*stamp(sequence)))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, "SEQUENCE_GAP", "sequence")
    assert f"sequence {sequence} of producer 'p' leaves a gap; the next is 1" in error.message


@pytest.mark.parametrize("sequence", [0, -1])
@pytest.mark.parametrize("taken", [0, 2])
async def test_a_missing_sequence_is_refused(ledger: ProducerLedger, sequence: int, taken: int) -> None:
    for earlier in range(1, taken + 1):
        take(ledger, stamp(earlier))

    error = refusal(lambda: ledger.seen(*stamp(sequence)))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, "SEQUENCE_MISSING", "sequence")


async def test_a_sequence_reused_for_another_batch_is_refused(ledger: ProducerLedger) -> None:
    take(ledger, stamp(1, fingerprint=11))

    error = refusal(lambda: ledger.seen(*stamp(1, fingerprint=12)))

    assert (error.kind, error.reason, error.field) == (Kind.INVALID_ARGUMENT, "SEQUENCE_REUSED", "sequence")
    assert ledger.seen(*stamp(1, fingerprint=11)) is not None


async def test_a_repeated_batch_gets_the_same_result(ledger: ProducerLedger) -> None:
    answers = [take(ledger, stamp(sequence)) for sequence in (1, 2, 3)]

    repeated = [again(ledger, stamp(sequence)) for sequence in (3, 1, 2)]

    assert repeated == [answers[2], answers[0], answers[1]]


async def test_a_batch_repeated_while_it_is_applied_gets_the_same_result(ledger: ProducerLedger) -> None:
    coming = take(ledger, stamp(1), unanswered())

    assert again(ledger, stamp(1)) is coming


async def test_looking_up_a_batch_does_not_use_its_sequence(ledger: ProducerLedger) -> None:
    assert [ledger.seen(*stamp(1)) for _ in range(3)] == [None] * 3


async def test_producers_have_separate_sequences(ledger: ProducerLedger) -> None:
    first = take(ledger, stamp(1, producer="a"))
    second = take(ledger, stamp(1, producer="b"))

    assert again(ledger, stamp(1, producer="a")) is first
    assert again(ledger, stamp(1, producer="b")) is second


@given(st.lists(st.integers(-1, 12), max_size=60))
async def test_batches_repeated_in_any_way_are_accepted_once_and_in_order(sequences: list[int]) -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=PLENTY)
    taken = 0

    for sequence in sequences:
        batch = stamp(sequence)
        if not 1 <= sequence <= taken + 1:
            refusal(partial(ledger.seen, *batch))
        elif sequence == taken + 1:
            take(ledger, batch)
            taken += 1
        else:
            assert kept(ledger, batch)

    assert ledger.open(Producer("p")).last_sequence == taken
