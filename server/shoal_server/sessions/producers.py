"""Who has pushed what: positions of the producers, and the results they may ask for again.

A producer is (id, epoch, sequence). Its batches are taken once each and without gaps; a batch that was seen before gets
its result again. A newer epoch shuts out an older one, as in Kafka's idempotent producer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from shoal_server.clustering.state import Batch, BatchResult
from shoal_server.errors import DomainError, Reason, invalid, refused
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.jobs import Receipt
from shoal_server.sessions.port import Position, Producer
from shoal_server.sessions.replay_cache import ReplayCache

# The newest epoch that a producer may give itself. The server has as many to give, and is asked for the next one where
# somebody takes over: nobody can take the last one, and so lock a name for ever.
MAX_CHOSEN_EPOCH = 2**53
# Seconds after which a producer without a stream is not expected back: twice as long as the official client tries.
IDLE_TIMEOUT = 120.0

_UNKNOWN = Position(0, 0)


class ProducerLedger:
    """The positions of a session's producers and their last results.

    A producer with a name of its own is remembered as long as the session lives; where there are too many, no new one
    is taken. An ephemeral one is forgotten IDLE_TIMEOUT after its stream or sooner, where there are too many of them.

    Parameters
    ----------
    max_producers
        Maximum number of named producers, and of ephemeral ones.
    replay_bytes
        Maximum size of the results that no producer is expected to need.
    """

    def __init__(self, max_producers: int, replay_bytes: int) -> None:
        self._max_producers = max_producers
        self._answers = ReplayCache(replay_bytes)
        self._named = _ProducerTable()
        self._ephemeral = _ProducerTable()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def answers(self) -> ReplayCache:
        """The results that producers may ask for again."""
        return self._answers

    def open(self, producer: Producer) -> Position:
        """Begin or go on, until `leave`: epoch 0 gets the next epoch, which shuts out the ones before.

        Raises
        ------
        DomainError
            PRODUCER_FENCED: a newer epoch is in force; PRODUCER_INVALID: no epoch is so new; TOO_MANY_PRODUCERS.
        """
        position = self._position(producer)
        _check_epoch(producer, position)
        self._refuse_too_many(producer)
        state = self._state(producer)
        state.position = Position(producer.epoch or position.epoch + 1, position.last_sequence)
        state.streams += 1
        self._table(producer).idle.pop(producer.id, None)
        return state.position

    def leave(self, producer: Producer) -> None:
        """Note that what `open` began has ended."""
        state = self._state(producer)
        state.streams -= 1
        if not state.streams:
            self._mark_idle(producer)

    def acknowledge(self, producer: Producer, sequence: int) -> None:
        """Note that a producer has the answers up to a sequence."""
        self._answers.release(_key(producer), min(sequence, self._position(producer).last_sequence))

    def is_next(self, producer: Producer, first: int, count: int) -> bool:
        """Return whether the `count` sequences from `first` on are new and come next; raises as `seen` does."""
        position = self._position(producer)
        _check_epoch(producer, position)
        if first != position.last_sequence + 1 or not count:
            return False
        self._refuse_too_many(producer)
        return True

    def seen(self, producer: Producer, sequence: int, fingerprint: int) -> Receipt | None:
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
            PRODUCER_FENCED, PRODUCER_INVALID, SEQUENCE_GAP, SEQUENCE_MISSING, SEQUENCE_REUSED (for other bytes than
            before, as far as that is still known) or TOO_MANY_PRODUCERS.
        """
        position = self._position(producer)
        _check_epoch(producer, position)
        _refuse_gap(producer, sequence, position)
        if sequence > position.last_sequence:
            self._refuse_too_many(producer)
            return None
        return self._answer_again(producer, sequence, fingerprint)

    def record(
        self, producer: Producer, first: int, fingerprints: Sequence[int], completion: Completion[list[BatchResult]]
    ) -> None:
        """Note that new batches have been taken, from a sequence on, and keep what will be their answers."""
        state = self._state(producer)
        state.position = Position(max(producer.epoch, state.position.epoch), first + len(fingerprints) - 1)
        self._answers.add(_key(producer), first, fingerprints, completion, is_lasting=not producer.ephemeral)
        if not state.streams:
            self.acknowledge(producer, first - 1)  # who calls again has the answer to the call before
            self._mark_idle(producer)

    def close(self) -> None:
        """Cancel the idle timer."""
        self._closed = True
        if self._timer:
            self._timer.cancel()

    def _table(self, producer: Producer) -> _ProducerTable:
        return self._ephemeral if producer.ephemeral else self._named

    def _position(self, producer: Producer) -> Position:
        state = self._table(producer).states.get(producer.id)
        return state.position if state else Position(0, 0)

    def _state(self, producer: Producer) -> _ProducerState:
        states = self._table(producer).states
        if producer.id not in states:
            if producer.ephemeral:
                self._limit_ephemeral()
            states[producer.id] = _ProducerState()
        return states[producer.id]

    def _answer_again(self, producer: Producer, sequence: int, fingerprint: int) -> Receipt:
        cached = self._answers.find(_key(producer), sequence)
        place = sequence - cached.first if cached else 0
        before = cached.fingerprints[place] if cached else self._answers.fingerprint(_key(producer), sequence)
        if before not in {None, fingerprint}:
            raise invalid(
                Reason.SEQUENCE_REUSED,
                "sequence",
                f"sequence {sequence} of producer {producer.id!r} was already used for other points; give each batch a "
                f"sequence of its own",
            )
        if cached is None:
            return Receipt(_forgotten(sequence), 0, 1, duplicate=True, forgotten=True)
        return Receipt(cached.completion, place, 1, duplicate=True)

    def _mark_idle(self, producer: Producer) -> None:
        """Start the idle time of a producer that has no stream."""
        loop = asyncio.get_running_loop()
        self._table(producer).mark_idle(producer.id, loop.time())
        if self._timer is None and not self._closed:
            self._timer = loop.call_later(IDLE_TIMEOUT, self._give_up)

    def _give_up(self) -> None:
        """Give up on the producers that have been idle for IDLE_TIMEOUT."""
        loop = asyncio.get_running_loop()
        before = loop.time() - IDLE_TIMEOUT
        for name in self._named.idle_since(before):
            self._answers.release((False, name), self._named.states[name].position.last_sequence)
        for name in self._ephemeral.idle_since(before):
            self._forget(name)
        expecting = self._named.idle or self._ephemeral.idle
        self._timer = loop.call_later(IDLE_TIMEOUT, self._give_up) if expecting else None

    def _limit_ephemeral(self) -> None:
        """Forget ephemeral producers until one more is allowed; those that have a stream stay."""
        states, idle = self._ephemeral.states, self._ephemeral.idle
        while len(states) >= self._max_producers and idle:
            self._forget(idle.popitem(last=False)[0])

    def _forget(self, ephemeral: str) -> None:
        del self._ephemeral.states[ephemeral]
        self._answers.forget((True, ephemeral))

    def _refuse_too_many(self, producer: Producer) -> None:
        names = self._named.states
        if not producer.ephemeral and producer.id not in names and len(names) >= self._max_producers:
            raise refused(
                Reason.TOO_MANY_PRODUCERS,
                f"the session remembers its maximum number of producer names ({len(names):,}), so that nothing counts "
                f"twice; push under one of those names or without one, or raise SHOAL_MAX_PRODUCERS",
            )


def comes_next(ledger: ProducerLedger, producer: Producer, message: Sequence[Batch]) -> bool:
    """Return whether a message has the producer's next batches, each a new one."""
    first = message[0].sequence if message else 0
    try:
        is_next = ledger.is_next(producer, first, len(message))
    except DomainError:
        return False
    return is_next and all(batch.sequence == first + place for place, batch in enumerate(message))


@dataclass
class _ProducerState:
    """What is known of one producer."""

    position: Position = _UNKNOWN
    streams: int = 0
    idle_since_time: float = 0.0  # seconds of the loop's clock


@dataclass
class _ProducerTable:
    """Producers of one kind, by id."""

    states: dict[str, _ProducerState] = field(default_factory=dict)
    # Without a stream, the longest unused first.
    idle: OrderedDict[str, _ProducerState] = field(default_factory=OrderedDict)

    def mark_idle(self, name: str, now: float) -> None:
        state = self.states[name]
        state.idle_since_time = now
        self.idle[name] = state
        self.idle.move_to_end(name)

    def idle_since(self, moment: float) -> list[str]:
        """Return the producers that have been idle since then, and take them off the idle ones."""
        names = [name for name, state in self.idle.items() if state.idle_since_time <= moment]
        for name in names:
            del self.idle[name]
        return names


def _key(producer: Producer) -> tuple[bool, str]:
    return producer.ephemeral, producer.id


def _forgotten(sequence: int) -> Completion[list[BatchResult]]:
    completion: Completion[list[BatchResult]] = Completion()
    completion.set_result([BatchResult(sequence=sequence)])
    return completion


def _check_epoch(producer: Producer, position: Position) -> None:
    if producer.epoch > max(position.epoch, MAX_CHOSEN_EPOCH):
        raise invalid(
            Reason.PRODUCER_INVALID,
            "producer.epoch",
            f"producer.epoch is {producer.epoch}; use the one that the server gave, or 0 for the next one: at most "
            f"{MAX_CHOSEN_EPOCH}",
        )
    if producer.epoch and producer.epoch < position.epoch:
        raise refused(
            Reason.PRODUCER_FENCED,
            f"producer {producer.id!r} has epoch {producer.epoch}, and epoch {position.epoch} is in force: another "
            f"instance took over; begin a new stream under this name, without an epoch, to take over in turn",
        )


def _refuse_gap(producer: Producer, sequence: int, position: Position) -> None:
    if sequence > position.last_sequence + 1:
        raise invalid(
            Reason.SEQUENCE_GAP,
            "sequence",
            f"sequence {sequence} of producer {producer.id!r} leaves a gap; the next is {position.last_sequence + 1}",
        )
    if sequence < 1:
        raise invalid(
            Reason.SEQUENCE_MISSING,
            "sequence",
            f"sequence is {sequence}; a batch of a named producer needs one, counted from 1",
        )
