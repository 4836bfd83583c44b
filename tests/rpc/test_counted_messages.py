"""A Push message counts in the memory budget as long as the call holds it, and once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shoal.v1 import clustering_pb2
from shoal_server.budget import MIB
from tests.rpc.inprocess import GatedEngine, InProcessServer, QuickEngine
from tests.rpc.waiting import until_nothing_moves
from tests.rpc.wire import PATIENCE, Wire, batch, plain, tensor

QUEUE_BYTES = 2 * MIB
SMALL = MIB // 8  # bytes for everything around the points
_UNKNOWN_FIELD = b"\xc2\x3e"  # 1000, with a length before its bytes


@pytest.fixture
def engine() -> GatedEngine:
    return GatedEngine(QuickEngine())


@pytest.fixture
def server(engine: GatedEngine) -> Iterator[InProcessServer]:
    with InProcessServer(engine, queue_bytes=QUEUE_BYTES) as server:
        try:
            yield server
        finally:
            engine.gate.set()


class Pushes:
    """Pushes that wait, to a session whose first batch is being computed."""

    def __init__(self, server: InProcessServer, wire: Wire, engine: GatedEngine, name: str, first: int) -> None:
        self._server = server
        self._wire = wire
        self._engine = engine
        self._name = name
        self._waiting: list[Any] = []
        wire.create(name, plain(1, init=np.zeros((1, 1))))
        self.add(batch(np.zeros((first, 1), np.uint8), sequence=1), "tester")
        assert engine.waiting.acquire(timeout=PATIENCE)
        self.first = self._used()

    def add(self, message: clustering_pb2.Batch, producer: str = "", unknown: int = 0) -> None:
        """Push a batch; the message has so many bytes of an unknown field besides."""
        request = clustering_pb2.PushRequest(session=self._name, batch=message)
        if producer:
            request.producer.id = producer
        contents = request.SerializeToString()
        if unknown:
            contents += _unknown(unknown)
        push: Any = self._wire.channel.unary_unary("/shoal.v1.ClusteringService/Push")
        self._waiting.append(push.future(contents, timeout=PATIENCE))

    def bytes(self) -> int:
        """Return what they take besides the first, once all have come."""
        until_nothing_moves(self._wire, self._name, self._used)
        return self._used() - self.first

    def end(self) -> None:
        """Let them be applied, delete the session, and wait until nothing is reserved."""
        self._engine.gate.set()
        for each in self._waiting:
            assert each.exception(PATIENCE) is None or each.exception().code()
        self._wire.delete(self._name)
        while self._used():
            pass

    def _used(self) -> int:
        return self._server._parts.budget.used


def _unknown(size: int) -> bytes:
    length, encoded = size, b""
    while length > 0x7F:
        encoded += bytes([length & 0x7F | 0x80])
        length >>= 7
    return _UNKNOWN_FIELD + encoded + bytes([length]) + bytes(size)


@pytest.fixture
def pushes(server: InProcessServer, engine: GatedEngine, name: str) -> Iterator[Pushes]:
    with Wire(server.target) as wire:
        pushes = Pushes(server, wire, engine, name, MIB)
        yield pushes
        pushes.end()


def test_a_message_whose_points_are_queued_counts_once(pushes: Pushes) -> None:
    pushes.add(batch(np.zeros((MIB, 1), np.uint8)))

    assert MIB <= pushes.bytes() <= MIB + SMALL


def test_messages_of_a_batch_that_is_being_computed_count_while_they_wait_for_its_result(pushes: Pushes) -> None:
    for _ in range(5):
        pushes.add(batch(np.zeros((MIB, 1), np.uint8), sequence=1), "tester")

    assert 5 * MIB <= pushes.bytes() <= 5 * MIB + SMALL


def test_a_message_counts_while_the_refusal_of_its_batch_waits_for_room(pushes: Pushes) -> None:
    pushes.add(batch(np.zeros((MIB, 1), np.uint8)))  # the queue is full
    before = pushes.bytes()
    contents = bytes(4 * MIB)

    pushes.add(clustering_pb2.Batch(points=tensor([], shape=(1, 1), contents=contents)))

    assert 4 * MIB <= pushes.bytes() - before <= 4 * MIB + SMALL


def test_a_message_that_is_much_larger_than_its_points_counts_whole_while_they_are_queued(pushes: Pushes) -> None:
    pushes.add(batch(np.zeros((1, 1), np.uint8)), unknown=4 * MIB)

    assert 4 * MIB <= pushes.bytes() <= 4 * MIB + SMALL
