"""The bound of results kept for producers that are idle or acknowledge nothing."""

from __future__ import annotations

import pytest

from shoal_server.sessions import replay_cache
from shoal_server.sessions.port import Producer
from shoal_server.sessions.producers import ProducerLedger
from shoal_server.sessions.replay_cache import ENTRY_BYTES
from tests.sessions.clock import until_quiet
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

PLENTY = 1_000_000
THREE_ANSWERS = 3 * ENTRY_BYTES
P = Producer("p")


async def test_the_newest_results_of_an_idle_producer_are_kept_as_far_as_they_fit() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    ledger.open(P)
    for sequence in range(1, 6):
        take(ledger, stamp(sequence))
    ledger.leave(P)

    await after_absence()

    assert kept_of(ledger, range(1, 6)) == [3, 4, 5]


async def test_labels_are_forgotten_before_any_result() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    ledger.open(P)
    take(ledger, stamp(1))
    take(ledger, stamp(2), answered(2, entries_of_labels=1))
    take(ledger, stamp(3), answered(3, entries_of_labels=1))
    await until_quiet()

    ledger.acknowledge(P, 3)

    assert kept_of(ledger, (1, 2, 3)) == [1, 2, 3]
    assert [again(ledger, stamp(sequence)).result() for sequence in (1, 2, 3)] == [[outcome(n)] for n in (1, 2, 3)]


async def test_labels_of_an_idle_producer_are_kept_as_far_as_they_fit() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    ledger.open(P)
    take(ledger, stamp(1), answered(1, entries_of_labels=1))
    newer = take(ledger, stamp(2), answered(2, entries_of_labels=1))
    await until_quiet()

    ledger.acknowledge(P, 2)

    assert again(ledger, stamp(1)).result() == [outcome(1)]
    assert again(ledger, stamp(2)) is newer


async def test_a_result_larger_than_replay_bytes_is_kept_without_its_labels() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=THREE_ANSWERS)
    ledger.open(P)
    take(ledger, stamp(1), answered(1, entries_of_labels=3))
    await until_quiet()

    ledger.acknowledge(P, 1)

    assert again(ledger, stamp(1)).result() == [outcome(1)]


async def test_replay_bytes_is_the_bound_of_all_producers_together() -> None:
    ledger = ProducerLedger(max_producers=9, replay_bytes=THREE_ANSWERS)

    for producer in "abcde":
        take(ledger, stamp(1, producer=producer))
    await after_absence()

    assert [kept(ledger, stamp(1, producer=producer)) for producer in "abcde"] == [False, False, True, True, True]


async def test_unacknowledged_results_are_bounded_for_a_producer_that_acknowledges_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_cache, "PINNED_BYTES", THREE_ANSWERS)
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    ledger.open(P)

    for sequence in range(1, 10):
        take(ledger, stamp(sequence))
    await until_quiet()

    assert kept_of(ledger, range(1, 10)) == [6, 7, 8, 9]


async def test_pending_results_are_kept_beyond_replay_bytes() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)

    coming = [take(ledger, stamp(sequence), unanswered()) for sequence in range(1, 6)]
    await after_absence()

    assert [again(ledger, stamp(sequence)) for sequence in range(1, 6)] == coming


async def test_finished_results_are_forgotten_even_without_further_batches() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    coming = [take(ledger, stamp(sequence), unanswered()) for sequence in range(1, 6)]

    for sequence, answer in enumerate(coming, start=1):
        answer.set_result([outcome(sequence)])
    await until_quiet()

    assert kept_of(ledger, range(1, 6)) == [4, 5]
