"""Batches as the ledger of producers sees them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.state import BatchResult
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.port import Producer
from shoal_server.sessions.producers import IDLE_TIMEOUT, ProducerLedger
from shoal_server.sessions.replay_cache import ENTRY_BYTES
from tests.sessions.clock import jumping_loop, until

Answers = Completion[list[BatchResult]]


class Stamp(NamedTuple):
    """The identity of a batch."""

    producer: Producer
    sequence: int
    fingerprint: int


def stamp(
    sequence: int, *, producer: str = "p", epoch: int = 0, ephemeral: bool = False, fingerprint: int | None = None
) -> Stamp:
    """Return the stamp of a batch; the fingerprint follows the sequence."""
    known = Producer(producer, epoch, ephemeral)
    return Stamp(known, sequence, 100 + sequence if fingerprint is None else fingerprint)


def unanswered() -> Answers:
    """Return a completion without results yet."""
    return Completion()


def outcome(version: int, *, entries_of_labels: int = 0) -> BatchResult:
    """Return the result of a batch that made a version, with labels of the size of some results."""
    labels = np.zeros(entries_of_labels * ENTRY_BYTES // 4, np.int32) if entries_of_labels else None
    return BatchResult(version, accepted=1, dropped=0, inertia=0.5, labels=labels, warming=None)


def answered(version: int, *, entries_of_labels: int = 0) -> Answers:
    """Return the completion of a batch that made a version."""
    answer = unanswered()
    answer.set_result([outcome(version, entries_of_labels=entries_of_labels)])
    return answer


def take(ledger: ProducerLedger, batch: Stamp, answer: Answers | None = None) -> Answers:
    """Record a batch that must be new, and return its completion."""
    assert ledger.seen(*batch) is None
    recorded = answer or answered(batch.sequence)
    ledger.record(batch.producer, batch.sequence, [batch.fingerprint], recorded)
    return recorded


def again(ledger: ProducerLedger, batch: Stamp) -> Answers:
    """Return the completion of a repeated batch."""
    receipt = ledger.seen(*batch)
    assert receipt is not None
    assert receipt.duplicate
    return receipt.completion


def kept(ledger: ProducerLedger, batch: Stamp) -> bool:
    """Return whether the result of a repeated batch is still kept."""
    receipt = ledger.seen(*batch)
    assert receipt is not None
    return not receipt.forgotten


def kept_of(ledger: ProducerLedger, sequences: Iterable[int]) -> list[int]:
    """Return the sequences of producer p whose results are still kept."""
    return [sequence for sequence in sequences if kept(ledger, stamp(sequence))]


async def after_absence() -> None:
    """Let the time pass after which the ledger times idle producers out."""
    await until(jumping_loop().time() + 2 * IDLE_TIMEOUT)
