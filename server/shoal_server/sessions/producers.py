"""Who has pushed what: positions of the producers, and the answers they may ask for again.

A producer is (id, epoch, sequence). Its batches are taken once each and without gaps; a batch that was seen before is
answered again. A newer epoch shuts out an older one, as in Kafka's idempotent producer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from shoal_server.clustering.state import Outcome
from shoal_server.errors import DomainError, Kind, invalid
from shoal_server.sessions.answers import Answers
from shoal_server.sessions.jobs import Answer, Submitted
from shoal_server.sessions.tickets import Ticket

# Seconds that a producer without a stream is expected back at least: twice as long as the official client tries to.
ABSENCE = 120.0


@dataclass(frozen=True)
class Producer:
    """Who pushes; `epoch` 0 stands for the one in force. Under an ephemeral id nobody comes back after the call."""

    id: str
    epoch: int = 0
    ephemeral: bool = False


@dataclass(frozen=True)
class Position:
    """How far a producer has come."""

    epoch: int
    last_sequence: int


class ProducerLedger:
    """The positions of a session's producers and their last answers.

    A producer with a name of its own is remembered as long as the session lives; where there are too many, no new one
    is taken. An ephemeral one is forgotten `ABSENCE` after its stream or sooner, where there are too many of them.

    Parameters
    ----------
    max_producers
        How many there may be, with names and ephemeral ones each.
    replay_bytes
        Of the answers that no producer is expected to need, at most.
    """

    def __init__(self, max_producers: int, replay_bytes: int) -> None:
        self._max_producers = max_producers
        self._answers = Answers(replay_bytes)
        self._named = _Crowd()
        self._ephemeral = _Crowd()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self, producer: Producer) -> Position:
        """Begin or go on, until `leave`: epoch 0 gets the next epoch, which shuts out the ones before.

        Raises
        ------
        DomainError
            PRODUCER_FENCED: a newer epoch is in force; TOO_MANY_PRODUCERS.
        """
        position = self._position(producer)
        _refuse_older(producer, position)
        self._refuse_too_many(producer)
        seat = self._seat(producer)
        seat.position = Position(producer.epoch or position.epoch + 1, position.last_sequence)
        seat.streams += 1
        self._crowd(producer).absent.pop(producer.id, None)
        return seat.position

    def leave(self, producer: Producer) -> None:
        """Note that what `open` began has ended."""
        seat = self._seat(producer)
        seat.streams -= 1
        if not seat.streams:
            self._miss(producer)

    def acknowledge(self, producer: Producer, sequence: int) -> None:
        """Note that a producer has the answers up to a sequence."""
        self._answers.release(_key(producer), min(sequence, self._position(producer).last_sequence))

    def is_next(self, producer: Producer, first: int, count: int) -> bool:
        """Say whether so many sequences from the first on are new ones, and come next; raises as `seen` does."""
        position = self._position(producer)
        _refuse_older(producer, position)
        if first != position.last_sequence + 1 or not count:
            return False
        self._refuse_too_many(producer)
        return True

    def seen(self, producer: Producer, sequence: int, fingerprint: int) -> Submitted | None:
        """Return the answer to a batch that was seen before, None for the next new one.

        Parameters
        ----------
        producer, sequence
            Of the batch.
        fingerprint
            Of its bytes.

        Raises
        ------
        DomainError
            PRODUCER_FENCED, SEQUENCE_GAP, SEQUENCE_MISSING, SEQUENCE_REUSED (for other bytes than before) or
            TOO_MANY_PRODUCERS.
        """
        position = self._position(producer)
        _refuse_older(producer, position)
        _refuse_gap(producer, sequence, position)
        if sequence > position.last_sequence:
            self._refuse_too_many(producer)
            return None
        return self._answer_again(producer, sequence, fingerprint)

    def record(self, producer: Producer, first: int, fingerprints: Sequence[int], ticket: Ticket[list[Answer]]) -> None:
        """Note that new batches have been taken, from a sequence on, and keep what will be their answers."""
        seat = self._seat(producer)
        seat.position = Position(max(producer.epoch, seat.position.epoch), first + len(fingerprints) - 1)
        self._answers.hold(_key(producer), first, fingerprints, ticket)
        if not seat.streams:
            self.acknowledge(producer, first - 1)  # who calls again has the answer to the call before
            self._miss(producer)

    def close(self) -> None:
        """Expect nobody back."""
        self._closed = True
        if self._timer:
            self._timer.cancel()

    def _crowd(self, producer: Producer) -> _Crowd:
        return self._ephemeral if producer.ephemeral else self._named

    def _position(self, producer: Producer) -> Position:
        seat = self._crowd(producer).seats.get(producer.id)
        return seat.position if seat else Position(0, 0)

    def _seat(self, producer: Producer) -> _Seat:
        seats = self._crowd(producer).seats
        if producer.id not in seats:
            if producer.ephemeral:
                self._make_room()
            seats[producer.id] = _Seat()
        return seats[producer.id]

    def _answer_again(self, producer: Producer, sequence: int, fingerprint: int) -> Submitted:
        block = self._answers.find(_key(producer), sequence)
        if block is None:
            return Submitted(_forgotten(), 0, 1, duplicate=True, forgotten=True)
        place = sequence - block.first
        if block.fingerprints[place] != fingerprint:
            raise invalid(
                "SEQUENCE_REUSED",
                "sequence",
                f"sequence {sequence} of producer {producer.id!r} was used for other points; a sequence stands for "
                f"one batch for ever",
            )
        return Submitted(block.ticket, place, 1, duplicate=True)

    def _miss(self, producer: Producer) -> None:
        """Expect a producer back that has no stream."""
        loop = asyncio.get_running_loop()
        self._crowd(producer).miss(producer.id, loop.time())
        if self._timer is None and not self._closed:
            self._timer = loop.call_later(ABSENCE, self._give_up)

    def _give_up(self) -> None:
        """Expect those back no longer that have been absent for long."""
        loop = asyncio.get_running_loop()
        before = loop.time() - ABSENCE
        for name in self._named.absent_since(before):
            self._answers.release((False, name), self._named.seats[name].position.last_sequence)
        for name in self._ephemeral.absent_since(before):
            self._forget(name)
        expecting = self._named.absent or self._ephemeral.absent
        self._timer = loop.call_later(ABSENCE, self._give_up) if expecting else None

    def _make_room(self) -> None:
        """Forget ephemeral producers until there is room for one more; those that have a stream stay."""
        seats, absent = self._ephemeral.seats, self._ephemeral.absent
        while len(seats) >= self._max_producers and absent:
            self._forget(absent.popitem(last=False)[0])

    def _forget(self, ephemeral: str) -> None:
        del self._ephemeral.seats[ephemeral]
        self._answers.forget((True, ephemeral))

    def _refuse_too_many(self, producer: Producer) -> None:
        names = self._named.seats
        if not producer.ephemeral and producer.id not in names and len(names) >= self._max_producers:
            raise DomainError(
                Kind.RESOURCE_EXHAUSTED,
                "TOO_MANY_PRODUCERS",
                f"the session remembers {len(names):,} producers by name and forgets none, so that nothing counts "
                f"twice; push under one of those names or without one, or raise SHOAL_MAX_PRODUCERS",
            )


@dataclass
class _Seat:
    """What is known of one producer."""

    position: Position = Position(0, 0)
    streams: int = 0
    missed_at: float = 0.0  # seconds of the loop's clock


@dataclass
class _Crowd:
    """Producers of one kind, by id."""

    seats: dict[str, _Seat] = field(default_factory=dict)
    absent: OrderedDict[str, _Seat] = field(default_factory=OrderedDict)  # without a stream, the longest unused first

    def miss(self, name: str, now: float) -> None:
        seat = self.seats[name]
        seat.missed_at = now
        self.absent[name] = seat
        self.absent.move_to_end(name)

    def absent_since(self, moment: float) -> list[str]:
        """Return those that have been absent since then, and count them among the absent no longer."""
        names = [name for name, seat in self.absent.items() if seat.missed_at <= moment]
        for name in names:
            del self.absent[name]
        return names


def _key(producer: Producer) -> tuple[bool, str]:
    return producer.ephemeral, producer.id


def _forgotten() -> Ticket[list[Answer]]:
    ticket: Ticket[list[Answer]] = Ticket()
    ticket.set_result([Outcome(version=0, accepted=0, dropped=0, inertia=0.0, labels=None, warming=None)])
    return ticket


def _refuse_older(producer: Producer, position: Position) -> None:
    if producer.epoch and producer.epoch < position.epoch:
        raise DomainError(
            Kind.ABORTED,
            "PRODUCER_FENCED",
            f"producer {producer.id!r} has epoch {producer.epoch}, and epoch {position.epoch} is in force: another "
            f"instance took over; begin a new stream under this name, without an epoch, to take over in turn",
        )


def _refuse_gap(producer: Producer, sequence: int, position: Position) -> None:
    if sequence > position.last_sequence + 1:
        raise invalid(
            "SEQUENCE_GAP",
            "sequence",
            f"sequence {sequence} of producer {producer.id!r} leaves a gap; the next is {position.last_sequence + 1}",
        )
    if sequence < 1:
        raise invalid(
            "SEQUENCE_MISSING",
            "sequence",
            f"sequence is {sequence}; a batch of a named producer needs one, counted from 1",
        )
