"""Fingerprints of batches whose results are gone: by them other points under an old sequence are refused."""

from __future__ import annotations

import pytest

from shoal_server.sessions import fingerprints
from shoal_server.sessions.fingerprints import FingerprintHistory
from shoal_server.sessions.port import Producer
from shoal_server.sessions.producers import ProducerLedger
from shoal_server.sessions.replay_cache import ENTRY_BYTES, ReplayCache
from tests.sessions.clock import until_quiet
from tests.sessions.producer_builders import after_absence, answered, kept, stamp, take
from tests.sessions.refusing import refusal


def known(history: FingerprintHistory, producer: str, *sequences: int) -> list[int | None]:
    return [history.find(producer, sequence) for sequence in sequences]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep four fingerprints of a producer, and eight in all."""
    monkeypatch.setattr(fingerprints, "KEPT_FINGERPRINTS", 4)
    monkeypatch.setattr(fingerprints, "MAX_FINGERPRINTS", 8)


async def test_other_points_under_a_sequence_whose_result_is_forgotten_are_refused() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    for sequence in (1, 2, 3):
        take(ledger, stamp(sequence))
    await after_absence()

    error = refusal(lambda: ledger.seen(*stamp(2, fingerprint=7)))

    assert (error.reason, error.field) == ("SEQUENCE_REUSED", "sequence")
    assert not kept(ledger, stamp(2))  # the same points are a duplicate as ever


async def test_no_fingerprints_of_ephemeral_producers_outlive_their_results() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=0)
    ledger.open(Producer("p", ephemeral=True))
    take(ledger, stamp(1, ephemeral=True))
    await until_quiet()

    ledger.acknowledge(Producer("p", ephemeral=True), 1)

    assert ledger.answers.bytes == 0
    assert not kept(ledger, stamp(1, ephemeral=True))


async def test_evicted_results_leave_their_fingerprints_and_those_count_as_bytes() -> None:
    cache = ReplayCache(replay_bytes=10 * ENTRY_BYTES)
    for sequence in (1, 2, 3):
        cache.add("p", sequence, [100 + sequence], answered(sequence))
    await until_quiet()
    cache.release("p", 3)

    cache.evict()

    assert cache.evictable_bytes == 0
    assert [cache.fingerprint("p", sequence) for sequence in (1, 2, 3)] == [101, 102, 103]
    assert 3 * 8 <= cache.bytes < ENTRY_BYTES


@pytest.mark.usefixtures("few")
def test_the_newest_fingerprints_of_a_producer_are_kept() -> None:
    history = FingerprintHistory()

    for sequence in range(1, 10):
        history.add("p", sequence, [100 + sequence])

    assert known(history, "p", 0, 5, 6, 9, 10) == [None, None, 106, 109, None]


@pytest.mark.usefixtures("few")
def test_fingerprints_of_messages_are_found_in_whatever_order_their_results_were_dropped() -> None:
    history = FingerprintHistory()

    for first in (3, 1, 7, 5):
        history.add("p", first, [100 + first, 101 + first])

    assert known(history, "p", *range(1, 9)) == [101, 102, 103, 104, 105, 106, 107, 108]


@pytest.mark.usefixtures("few")
def test_sequences_between_kept_fingerprints_are_unknown() -> None:
    history = FingerprintHistory()

    history.add("p", 1, [101])
    history.add("p", 4, [104])

    assert known(history, "p", 1, 2, 3, 4) == [101, None, None, 104]


def test_a_leap_of_the_sequence_costs_nothing() -> None:
    history = FingerprintHistory()

    history.add("p", 1, [101])
    history.add("p", 10**12, [102])

    assert known(history, "p", 1, 10**12) == [None, 102]
    assert history.bytes < ENTRY_BYTES


@pytest.mark.usefixtures("few")
def test_fingerprints_of_all_producers_are_bounded_and_the_longest_unused_go_first() -> None:
    history = FingerprintHistory()
    for producer in "abc":
        history.add(producer, 1, [11, 12, 13, 14])
        history.add("a", 1, [11, 12, 13, 14])

    assert [history.find(producer, 1) for producer in "abc"] == [11, None, 11]
    assert history.bytes < ENTRY_BYTES + 2 * 256
