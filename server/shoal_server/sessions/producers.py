"""Who has pushed what: positions of the producers, and the answers they may ask for again.

A producer is (id, epoch, sequence). Its batches are taken once each and without gaps; a batch that was seen before is
answered again. A newer epoch shuts out an older one, as in Kafka's idempotent producer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from shoal_server.clustering.state import Outcome
from shoal_server.errors import DomainError, Kind, invalid

# An answer without labels, with its place in the dictionary, takes about this many bytes.
ENTRY_BYTES = 512


@dataclass(frozen=True)
class Producer:
    """Who pushes; `epoch` 0 stands for the one in force."""

    id: str
    epoch: int = 0


@dataclass(frozen=True)
class Stamp:
    """What tells one batch from every other one."""

    producer: Producer
    sequence: int
    fingerprint: int  # of the batch's bytes


@dataclass(frozen=True)
class Position:
    """How far a producer has come."""

    epoch: int
    last_sequence: int


@dataclass(frozen=True)
class _Answer:
    fingerprint: int
    outcome: asyncio.Future[Outcome]
    size: int


class ProducerLedger:
    """The positions of a session's producers and their last answers. The longest unused are forgotten first."""

    def __init__(self, max_producers: int, replay_bytes: int) -> None:
        self._max_producers = max_producers
        self._replay_bytes = replay_bytes
        self._kept_bytes = 0
        self._positions: OrderedDict[str, Position] = OrderedDict()
        self._answers: OrderedDict[tuple[str, int], _Answer] = OrderedDict()

    def open(self, producer: Producer) -> Position:
        """Begin or go on: epoch 0 gets the next epoch, which shuts out the ones before.

        Raises
        ------
        DomainError
            PRODUCER_FENCED: a newer epoch is in force.
        """
        position = self._positions.get(producer.id, Position(0, 0))
        if producer.epoch:
            _refuse_older(producer, position)
        opened = Position(producer.epoch or position.epoch + 1, position.last_sequence)
        self._remember(producer.id, opened)
        return opened

    def seen(self, stamp: Stamp) -> asyncio.Future[Outcome] | None:
        """Return the answer to a batch that was seen before, None for the next new one.

        An answer that is no longer kept is one of version 0 with no rows.

        Raises
        ------
        DomainError
            PRODUCER_FENCED, SEQUENCE_GAP, SEQUENCE_MISSING, or SEQUENCE_REUSED (for other bytes than before).
        """
        position = self._positions.get(stamp.producer.id, Position(0, 0))
        _refuse_older(stamp.producer, position)
        _refuse_gap(stamp, position)
        if stamp.sequence > position.last_sequence:
            return None
        return self._kept_answer(stamp)

    def record(self, stamp: Stamp, outcome: asyncio.Future[Outcome], label_bytes: int) -> None:
        """Note that a new batch has been taken, and keep what will be its answer."""
        position = self._positions.get(stamp.producer.id, Position(0, 0))
        epoch = max(stamp.producer.epoch, position.epoch)
        self._remember(stamp.producer.id, Position(epoch, stamp.sequence))
        answer = _Answer(stamp.fingerprint, outcome, ENTRY_BYTES + label_bytes)
        self._answers[stamp.producer.id, stamp.sequence] = answer
        self._kept_bytes += answer.size
        self._forget_answers()

    def _kept_answer(self, stamp: Stamp) -> asyncio.Future[Outcome]:
        answer = self._answers.get((stamp.producer.id, stamp.sequence))
        if answer is None:
            return _forgotten()
        if answer.fingerprint != stamp.fingerprint:
            raise invalid(
                "SEQUENCE_REUSED",
                "sequence",
                f"sequence {stamp.sequence} of producer {stamp.producer.id!r} was used for other points; "
                f"a sequence stands for one batch for ever",
            )
        return answer.outcome

    def _remember(self, producer_id: str, position: Position) -> None:
        self._positions[producer_id] = position
        self._positions.move_to_end(producer_id)
        while len(self._positions) > self._max_producers:
            self._positions.popitem(last=False)

    def _forget_answers(self) -> None:
        while self._kept_bytes > self._replay_bytes:
            oldest = next(iter(self._answers))
            if not self._answers[oldest].outcome.done():
                return
            self._kept_bytes -= self._answers.pop(oldest).size


def _forgotten() -> asyncio.Future[Outcome]:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    answer.set_result(Outcome(version=0, accepted=0, dropped=0, inertia=0.0, labels=None, warming=None))
    return answer


def _refuse_older(producer: Producer, position: Position) -> None:
    if producer.epoch and producer.epoch < position.epoch:
        raise DomainError(
            Kind.ABORTED,
            "PRODUCER_FENCED",
            f"producer {producer.id!r} has epoch {producer.epoch}, and epoch {position.epoch} is in force: another "
            f"instance took over; open the stream with epoch 0 to take over in turn",
        )


def _refuse_gap(stamp: Stamp, position: Position) -> None:
    if stamp.sequence > position.last_sequence + 1:
        raise invalid(
            "SEQUENCE_GAP",
            "sequence",
            f"sequence {stamp.sequence} of producer {stamp.producer.id!r} leaves a gap; the next is "
            f"{position.last_sequence + 1}",
        )
    if stamp.sequence < 1:
        raise invalid(
            "SEQUENCE_MISSING",
            "sequence",
            f"sequence is {stamp.sequence}; a batch of a named producer needs one, counted from 1",
        )
