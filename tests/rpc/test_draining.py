"""A draining server: it accepts nothing new, answers the accepted batches, and ends the streams."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import structlog

from shoal.v1 import clustering_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.inprocess import GatedEngine, InProcessServer, QuickEngine
from tests.rpc.refusals import Refusal, refused_call, status_of
from tests.rpc.test_finding_sessions import CALLS
from tests.rpc.waiting import forever, until_nothing_moves, until_queued
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import PATIENCE, Wire, batch, plain, tensor

GRACE = 60.0  # seconds; no test needs them
QUEUE_BYTES = 32 * 1024
SAYS = ("shutting down", "applied and answered", "try again")
DRAINING = Refusal("SERVER_DRAINING", SAYS, code=grpc.StatusCode.UNAVAILABLE)
NOT_APPLIED = Refusal(
    "SERVER_DRAINING", ("shutting down", "not applied this", "send it again"), code=grpc.StatusCode.UNAVAILABLE
)


@pytest.fixture
def engine() -> GatedEngine:
    return GatedEngine(QuickEngine())


@pytest.fixture
def server(engine: GatedEngine) -> Iterator[InProcessServer]:
    with InProcessServer(engine, queue_bytes=QUEUE_BYTES) as server:
        yield server
        engine.gate.set()


@pytest.fixture
def wire(server: InProcessServer) -> Iterator[Wire]:
    with Wire(server.target) as wire:
        yield wire


def test_accepted_batches_are_applied_and_answered_before_the_server_stops(
    server: InProcessServer, wire: Wire, engine: GatedEngine, name: str
) -> None:
    wire.create(name, plain(init=GOOD))
    watch = wire.watch(name)
    next(watch)
    request = clustering_pb2.PushRequest(session=name, batch=batch(GOOD))
    push = wire.clustering.Push.future(request, timeout=PATIENCE)
    assert engine.waiting.acquire(timeout=PATIENCE)
    with Stream(wire.clustering.Ingest) as ingest, Stream(wire.clustering.AssignStream) as assign:
        assign.send(clustering_pb2.AssignRequest(session=name, points=tensor(GOOD)))
        assign.receive()
        ingest.send(opening(name))
        ingest.receive()
        ingest.send(clustering_pb2.IngestRequest(batches=[batch(GOOD)] * 20))
        until_queued(wire, name, 20)

        stopping = server.begin(server.stop(GRACE))

        DRAINING.check(refused_call(lambda: next(watch)))
        DRAINING.check(refused_call(assign.receive))
        assert not stopping.done()
        engine.gate.set()
        results = ingest.results(20)
        DRAINING.check(refused_call(ingest.receive))
    assert push.result().version == 1
    assert [result.version for result in results] == list(range(2, 22))
    stopping.result(PATIENCE)


def test_the_end_of_the_grace_period_refuses_waiting_batches_and_answers_the_running_one(
    server: InProcessServer, wire: Wire, engine: GatedEngine, name: str
) -> None:
    wire.create(name, plain(init=GOOD))
    request = clustering_pb2.PushRequest(session=name, batch=batch(GOOD))
    with Stream(wire.clustering.Ingest) as ingest, structlog.testing.capture_logs() as logs:
        ingest.send(opening(name))
        ingest.receive()
        ingest.send(clustering_pb2.IngestRequest(batches=[batch(GOOD)] * 20))
        assert engine.waiting.acquire(timeout=PATIENCE)
        push = wire.clustering.Push.future(request, timeout=PATIENCE)
        until_queued(wire, name, 1)
        stopping = server.begin(server.stop(GRACE))
        until_refused(wire, name)

        server.pass_time(GRACE)

        NOT_APPLIED.check(refused_call(push.result))
        assert not stopping.done()
        engine.gate.set()
        results = ingest.results(1)
        NOT_APPLIED.check(refused_call(ingest.receive))
        stopping.result(PATIENCE)
    assert [result.version for result in results] == [1]
    assert len(engine.batches) == 1
    assert [entry["batches"] for entry in logs if entry["event"] == "batches not applied"] == [20]


def test_a_draining_server_refuses_batches_that_wait_for_room(
    server: InProcessServer, wire: Wire, engine: GatedEngine, name: str
) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    filling = batch(np.ones((QUEUE_BYTES, 1), np.uint8))
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.receive()
        for _ in range(10):
            stream.send(clustering_pb2.IngestRequest(batches=[filling]))
        assert engine.waiting.acquire(timeout=PATIENCE)

        stopping = server.begin(server.stop(GRACE))
        until_refused(wire, name)
        engine.gate.set()

        results = stream.results(1)
        DRAINING.check(refused_call(stream.receive))
    stopping.result(PATIENCE)
    assert [result.version for result in results] == [1]
    assert len(engine.batches) == 1


def test_a_client_that_reads_late_gets_every_result_of_a_draining_server(
    server: InProcessServer, wire: Wire, engine: GatedEngine, name: str
) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    engine.gate.set()
    points = np.zeros((1024, 1), np.uint8)
    message = clustering_pb2.IngestRequest(batches=[batch(points, return_labels=True)] * 100)
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        for _ in range(100):
            stream.send(message)
        until_nothing_moves(wire, name, lambda: wire.describe(name).version)

        stopping = server.begin(server.stop(GRACE))
        until_refused(wire, name)
        versions, status = read_to_the_end(stream)

    stopping.result(PATIENCE)
    DRAINING.check(status)
    assert versions == list(range(1, len(engine.batches) + 1))
    assert len(versions) < 100 * 100


def test_a_client_that_never_reads_delays_a_stop_by_the_grace_period_at_most(
    server: InProcessServer, wire: Wire, engine: GatedEngine, name: str
) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    engine.gate.set()
    points = np.zeros((1024, 1), np.uint8)
    message = clustering_pb2.IngestRequest(batches=[batch(points, return_labels=True)] * 100)
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        for _ in range(100):
            stream.send(message)
        until_nothing_moves(wire, name, lambda: wire.describe(name).version)

        server.begin(server.stop(0.1)).result(PATIENCE)

        stream.call.cancel()


@pytest.mark.parametrize("method", CALLS)
def test_a_call_to_a_draining_server_is_refused(
    server: InProcessServer, wire: Wire, engine: GatedEngine, method: str, name: str
) -> None:
    wire.create(name, plain(init=GOOD))
    request = clustering_pb2.PushRequest(session=name, batch=batch(GOOD))
    push = wire.clustering.Push.future(request, timeout=PATIENCE)
    assert engine.waiting.acquire(timeout=PATIENCE)
    stopping = server.begin(server.stop(GRACE))
    until_refused(wire, name)

    DRAINING.check(refused_call(lambda: CALLS[method](wire, name)))
    with Wire(server.target) as newcomer:
        DRAINING.check(refused_call(lambda: CALLS[method](newcomer, name)))

    engine.gate.set()
    assert push.result().version == 1
    stopping.result(PATIENCE)


def until_refused(wire: Wire, name: str) -> None:
    """Call until the server lets no call in."""
    DRAINING.check(refused_call(lambda: forever(lambda: wire.describe(name))))


def read_to_the_end(stream: Stream) -> tuple[list[int], object]:
    """Return the versions of the results, and the final status."""
    versions: list[int] = []
    try:
        while True:
            versions.extend(result.version for result in stream.receive().results)
    except grpc.RpcError as error:
        return versions, status_of(error)
