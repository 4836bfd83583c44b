"""A session keeps its newest version, and neither it nor a stream keeps what has gone through it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest

from shoal.v1 import clustering_pb2
from shoal.v1.clustering_pb2 import Producer
from tests.rpc.refusals import refused_call
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import Wire, batch, plain, tensor
from tests.soak.measuring import MIB, Measured

pytestmark = pytest.mark.soak

MANY = 24
ORIGIN = np.zeros((2, 4096))
POINTS = np.ones((1024, 4096), np.uint8)  # 4 MiB
CENTROIDS = np.zeros((8192, 64))  # 4 MiB


@pytest.fixture(scope="module")
def wire(measured: Measured) -> Iterator[Wire]:
    with Wire(measured.server.target) as wire:
        wire.create("warm-up", plain(init=ORIGIN))
        for _ in range(MANY):
            wire.push("warm-up", batch(POINTS))
            wire.assign("warm-up", tensor(POINTS))
        yield wire


def test_a_session_keeps_no_batch_after_applying_it(measured: Measured, wire: Wire) -> None:
    before = measured.memory()

    for number in range(MANY):
        wire.create(f"quiet-{number}", plain(init=ORIGIN))
        wire.push(f"quiet-{number}", batch(POINTS))

    assert measured.memory() - before < MANY * 2 * MIB


def test_batches_that_are_applied_together_make_one_version_each(measured: Measured, wire: Wire) -> None:
    wire.create("together", plain(len(CENTROIDS), init=CENTROIDS))
    message = opening("together")
    message.batches.extend([batch(np.ones((1, 64), np.uint8))] * 2 * MANY)
    before = measured.memory()
    measured.forget_peak()

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(message)
        stream.receive()
        stream.results(2 * MANY)

    assert measured.peak() - before < MANY * 2 * MIB


def test_the_result_of_a_refused_batch_keeps_none_of_its_points(measured: Measured, wire: Wire) -> None:
    wire.create("refusing", plain(init=ORIGIN))
    invalid = np.full((256, 4096), np.nan, np.float32)
    before = measured.memory()

    for sequence in range(1, MANY + 1):
        push = partial(wire.push, "refusing", batch(invalid, sequence=sequence), Producer(id="p"))
        refused_call(push)
        refused_call(push)  # the answer that is kept

    assert measured.memory() - before < MANY * 2 * MIB


def test_a_quiet_ingest_stream_keeps_no_batch(measured: Measured, wire: Wire) -> None:
    wire.create("ingest", plain(init=ORIGIN))
    before = measured.memory()

    with ExitStack() as stack:
        for _ in range(MANY):
            stream = stack.enter_context(Stream(wire.clustering.Ingest))
            first = opening("ingest")
            first.batches.append(batch(POINTS))
            stream.send(first)
            stream.send(clustering_pb2.IngestRequest(batches=[batch(POINTS)]))
            stream.receive()
            stream.results(2)

        assert measured.memory() - before < MANY * 2 * MIB


def test_a_quiet_assign_stream_keeps_no_points(measured: Measured, wire: Wire) -> None:
    wire.create("assign", plain(init=ORIGIN))
    before = measured.memory()

    with ExitStack() as stack:
        for _ in range(MANY):
            stream = stack.enter_context(Stream(wire.clustering.AssignStream))
            stream.send(clustering_pb2.AssignRequest(session="assign", points=tensor(POINTS)))
            stream.receive()

        assert measured.memory() - before < MANY * 2 * MIB


def test_a_quiet_watch_keeps_no_version_but_the_sessions_newest(measured: Measured, wire: Wire) -> None:
    wire.create("watched", plain(len(CENTROIDS), init=CENTROIDS))
    watches = []
    before = measured.memory()

    for number in range(16):
        watches.append(wire.watch("watched"))
        next(watches[-1])
        wire.push("watched", batch(np.full((1, 64), number, np.float32)))
        for watch in watches:
            next(watch)

    assert measured.memory() - before < MANY * 2 * MIB
    for watch in watches:
        watch.cancel()
