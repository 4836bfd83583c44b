"""Batches as the ledger of producers sees them."""

from __future__ import annotations

import asyncio

from shoal_server.clustering.state import Outcome
from shoal_server.sessions.producers import Producer, ProducerLedger, Stamp

Answer = asyncio.Future[Outcome]


def stamp(sequence: int, *, producer: str = "p", epoch: int = 0, fingerprint: int | None = None) -> Stamp:
    """Return the stamp of a batch; the fingerprint follows the sequence."""
    return Stamp(Producer(producer, epoch), sequence, 100 + sequence if fingerprint is None else fingerprint)


def unanswered() -> Answer:
    """Return what will be an answer."""
    return asyncio.get_running_loop().create_future()


def answered(version: int) -> Answer:
    """Return the answer of a batch that made a version."""
    answer = unanswered()
    answer.set_result(Outcome(version, accepted=1, dropped=0, inertia=0.5, labels=None, warming=None))
    return answer


def take(ledger: ProducerLedger, batch: Stamp, answer: Answer | None = None, label_bytes: int = 0) -> Answer:
    """Take a batch that has to be a new one, and return what is recorded as its answer."""
    assert ledger.seen(batch) is None
    recorded = answer or answered(batch.sequence)
    ledger.record(batch, recorded, label_bytes)
    return recorded


def kept(ledger: ProducerLedger, batch: Stamp) -> bool:
    """Say whether the answer of a batch that was seen before is there still."""
    again = ledger.seen(batch)
    assert again is not None
    return not again.done() or again.result().version != 0
