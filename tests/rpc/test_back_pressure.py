"""A full queue stops the reading, an unread answer too, and nothing is lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shoal.v1 import clustering_pb2
from shoal_server.rpc.clustering import MAX_BATCHES_TAKEN
from shoal_server.sessions.local import MAX_UNANSWERED
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import MIN_BATCH_BYTES
from tests.rpc.inprocess import GatedEngine, InProcessServer, QuickEngine
from tests.rpc.waiting import until_nothing_moves, until_queued
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import PATIENCE, Wire, array, batch, plain

MIB = 1024 * 1024
QUEUE_BYTES = 2 * MIB
BATCHES = 64  # of 1 MiB: more than the queue and every buffer of gRPC hold together


@pytest.fixture
def engine() -> GatedEngine:
    return GatedEngine(QuickEngine())


@pytest.fixture
def wire(engine: GatedEngine) -> Iterator[Wire]:
    with InProcessServer(engine, queue_bytes=QUEUE_BYTES) as server, Wire(server.target) as wire:
        try:
            yield wire
        finally:
            engine.gate.set()


class Counted:
    """Requests, and the number that gRPC has taken: it takes the next one when it has sent the last."""

    def __init__(self, requests: list[clustering_pb2.IngestRequest]) -> None:
        self._requests = requests
        self.drawn = 0

    def __iter__(self) -> Iterator[clustering_pb2.IngestRequest]:
        for request in self._requests:
            self.drawn += 1
            yield request


def test_a_full_queue_stops_reading_the_stream_and_loses_nothing(wire: Wire, engine: GatedEngine, name: str) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    batches = [batch(np.full((MIB, 1), number, np.uint8), sequence=number) for number in range(1, BATCHES + 1)]
    requests = Counted([opening(name, "tester"), *(clustering_pb2.IngestRequest(batches=[each]) for each in batches)])

    call = wire.clustering.Ingest(iter(requests))
    most = until_nothing_moves(wire, name, lambda: requests.drawn)
    drawn = requests.drawn
    engine.gate.set()
    results = [result for response in call for result in response.results]

    assert most == QUEUE_BYTES
    assert drawn < BATCHES // 2
    assert [(result.sequence, result.version) for result in results] == [(n, n) for n in range(1, BATCHES + 1)]
    session = wire.describe(name)
    assert (session.points_accepted, session.queued_bytes, session.queued_batches) == (BATCHES * MIB, 0, 0)


def test_a_push_waits_for_room_in_a_full_queue(wire: Wire, engine: GatedEngine, name: str) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    message = batch(np.ones((MIB, 1), np.uint8))

    pushes = [wire.clustering.Push.future(clustering_pb2.PushRequest(session=name, batch=message)) for _ in range(8)]
    most = until_nothing_moves(wire, name, lambda: wire.describe(name).queued_batches)
    engine.gate.set()

    assert most == QUEUE_BYTES
    assert sorted(push.result().version for push in pushes) == list(range(1, 9))


def test_a_batch_larger_than_the_queue_gets_in_when_the_queue_is_empty(
    wire: Wire, engine: GatedEngine, name: str
) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    engine.gate.set()

    results = [wire.push(name, batch(np.ones((3 * MIB, 1), np.uint8))) for _ in range(2)]

    assert [result.version for result in results] == [1, 2]


def test_a_full_queue_of_one_session_delays_no_other_session(wire: Wire, engine: GatedEngine, name: str) -> None:
    for each in (name, f"{name}-other"):
        wire.create(each, plain(1, init=np.zeros((1, 1))))
    wire.update(f"{name}-other", plain(engine=3), ["engine"])  # scipy: not held up by the gate
    message = batch(np.ones((QUEUE_BYTES, 1), np.uint8))
    pushes = [wire.clustering.Push.future(clustering_pb2.PushRequest(session=name, batch=message)) for _ in range(2)]
    until_nothing_moves(wire, name, lambda: wire.describe(name).queued_batches)

    assert wire.push(f"{name}-other", message).version == 1
    assert wire.assign(name, message.points).version == 0
    engine.gate.set()
    assert sorted(push.result().version for push in pushes) == [1, 2]


def test_the_stream_of_a_producer_that_does_not_read_its_results_is_not_read(
    wire: Wire, engine: GatedEngine, name: str
) -> None:
    wire.create(name, plain(2, init=[[0], [9]]))
    engine.gate.set()
    total = 3000
    points = np.zeros((4096, 1), np.uint8)  # labels are four times as large
    message = clustering_pb2.IngestRequest(batches=[batch(points, return_labels=True)] * 3)

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        for _ in range(total // 3):
            stream.send(message)
        until_nothing_moves(wire, name, lambda: wire.describe(name).version)
        applied = wire.describe(name).version
        results = stream.results(total)

    assert applied < total
    assert [result.version for result in results] == list(range(1, total + 1))
    assert all(array(result.labels).shape == (4096,) for result in results)


def test_a_message_of_very_many_batches_is_queued_in_parts(wire: Wire, engine: GatedEngine, name: str) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    total = 3 * MAX_UNANSWERED
    message = clustering_pb2.IngestRequest(batches=[batch(np.zeros((1, 1), np.uint8))] * total)

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.send(message)
        assert engine.waiting.acquire(timeout=PATIENCE)
        until_nothing_moves(wire, name, lambda: wire.describe(name).queued_bytes)
        taken = wire.describe(name).queued_bytes // MIN_BATCH_BYTES
        engine.gate.set()
        results = stream.results(total)

    assert taken == MAX_UNANSWERED
    assert [result.version for result in results] == [*range(1, total + 1)]


def test_other_producers_push_between_the_parts_of_a_large_message(
    wire: Wire, engine: GatedEngine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    engine.gate.set()
    happened: list[str] = []
    submit = Session.submit

    async def note(session: Session, message: Any, producer: Any) -> Any:
        happened.append("part")
        asyncio.get_running_loop().call_soon(happened.append, "turn")
        return await submit(session, message, producer)

    monkeypatch.setattr(Session, "submit", note)
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.send(clustering_pb2.IngestRequest(batches=[batch(np.zeros((1, 1), np.uint8))] * 3 * MAX_BATCHES_TAKEN))
        stream.results(3 * MAX_BATCHES_TAKEN)

    assert happened == ["part", "turn"] * 3


def test_results_that_are_ready_share_messages_of_bounded_size(wire: Wire, engine: GatedEngine, name: str) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    message = batch(np.zeros((64 * 1024, 1), np.uint8), return_labels=True)  # labels of 256 KiB

    push = wire.clustering.Push.future(clustering_pb2.PushRequest(session=name, batch=message))
    assert engine.waiting.acquire(timeout=PATIENCE)
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.receive()
        stream.send(clustering_pb2.IngestRequest(batches=[message] * 20))
        until_queued(wire, name, 20)
        engine.gate.set()
        assert push.result().version == 1
        shared = [len(response.results) for response in stream.rest()]

    assert sum(shared) == 20
    assert max(shared) == 4  # of 1 MiB
