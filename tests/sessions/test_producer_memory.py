"""The producers' results that the ledger keeps, and those that it forgets."""

from __future__ import annotations

import pytest

from shoal_server.clustering.state import BatchResult
from shoal_server.errors import Reason, Refusal
from shoal_server.sessions.port import Position, Producer
from shoal_server.sessions.producers import IDLE_TIMEOUT, ProducerLedger
from shoal_server.sessions.replay_cache import ENTRY_BYTES
from tests.sessions.clock import until, until_quiet
from tests.sessions.producer_builders import (
    after_absence,
    again,
    answered,
    kept,
    kept_of,
    outcome,
    stamp,
    take,
    unanswered,
)
from tests.sessions.refusing import refusal

PLENTY = 1_000_000
THREE_ANSWERS = 3 * ENTRY_BYTES
P = Producer("p")


async def test_unacknowledged_results_of_a_stream_are_kept_at_any_size() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)

    given = [take(ledger, stamp(sequence), answered(sequence, entries_of_labels=9)) for sequence in range(1, 6)]
    await until_quiet()

    assert [again(ledger, stamp(sequence)) for sequence in range(1, 6)] == given


async def test_acknowledged_results_of_a_stream_may_be_forgotten() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    ledger.open(P)
    for sequence in range(1, 6):
        take(ledger, stamp(sequence))
    await until_quiet()

    ledger.acknowledge(P, 3)

    assert kept_of(ledger, range(1, 6)) == [3, 4, 5]


async def test_a_result_acknowledged_before_it_exists_may_be_forgotten_when_it_comes() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)
    coming = take(ledger, stamp(1), unanswered())

    ledger.acknowledge(P, 1)
    assert again(ledger, stamp(1)) is coming
    coming.set_result([outcome(1)])
    await until_quiet()

    assert not kept(ledger, stamp(1))


@pytest.mark.parametrize("sequence", [-1, 0, 2, 2**62])
async def test_acknowledging_a_sequence_that_was_never_sent_has_no_effect(sequence: int) -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)
    take(ledger, stamp(1))
    await until_quiet()

    ledger.acknowledge(P, sequence)
    take(ledger, stamp(2))
    await until_quiet()

    assert kept(ledger, stamp(2))


async def test_a_producer_whose_stream_broke_loses_no_results_until_it_is_idle_too_long() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)
    for sequence in (1, 2):
        take(ledger, stamp(sequence))
    ledger.leave(P)

    await until(IDLE_TIMEOUT - 1)
    ledger.open(P)
    await after_absence()

    assert kept_of(ledger, (1, 2)) == [1, 2]


async def test_the_end_of_a_replaced_stream_does_not_affect_the_newer_one() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(P)
    ledger.open(P)
    take(ledger, stamp(1))

    ledger.leave(P)
    await after_absence()

    assert kept(ledger, stamp(1))


async def test_a_producer_that_pushes_by_calls_acknowledges_earlier_batches() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)

    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence))
    await until_quiet()
    before = kept_of(ledger, (1, 2, 3))
    await after_absence()

    assert before == [3]
    assert kept_of(ledger, (1, 2, 3)) == []


async def test_a_forgotten_result_has_version_0_no_rows_and_the_forgotten_flag() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    take(ledger, stamp(1))
    await after_absence()

    forgotten = ledger.seen(*stamp(1))

    assert forgotten is not None
    assert (forgotten.duplicate, forgotten.forgotten) == (True, True)
    assert await forgotten.result() == BatchResult(sequence=1, duplicate=True, forgotten=True)


async def test_batches_whose_results_are_forgotten_still_count_once() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)

    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence))
    await after_absence()

    assert kept_of(ledger, (1, 2, 3)) == []
    assert ledger.open(P) == Position(epoch=1, last_sequence=3)
    assert refusal(lambda: ledger.seen(*stamp(5))).reason == "SEQUENCE_GAP"


async def test_a_refusal_is_kept_like_any_other_result() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    refused = unanswered()
    refused.set_result([BatchResult(refusal=Refusal(Reason.SHAPE_INVALID, "no good", "points"))])
    take(ledger, stamp(1), refused)
    await after_absence()

    (answer,) = again(ledger, stamp(1)).result()
    assert answer.refusal is not None
    assert answer.refusal.message == "no good"


async def test_a_closed_ledger_does_not_time_producers_out() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    take(ledger, stamp(1))
    ledger.open(P)

    ledger.close()
    ledger.leave(P)
    await after_absence()

    assert kept(ledger, stamp(1))
