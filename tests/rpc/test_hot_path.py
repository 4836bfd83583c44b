"""The cost of small batches in the server: counted, not timed, so that no growth goes unnoticed."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.numba.arguments import Version
from shoal_server.rpc.batches import decode_batch, encode_result
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.jobs import Receipt
from shoal_server.sessions.local import MAX_UNANSWERED
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import MAX_DISPATCH_WORK, dispatch_work
from tests.rpc.inprocess import InProcessServer
from tests.rpc.waiting import until_queued_bytes
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import Wire, batch, plain
from tests.warm import warm_engine

MESSAGES, BATCHES = 50, 64
POINTS = np.random.default_rng(0).normal(size=(32, 16)).astype(np.float32)
CENTROIDS = np.random.default_rng(1).normal(size=(64, 16))
# Futures and tasks that a message takes, whatever is in it: gRPC reads and writes, the dispatch, and waiting callers.
A_MESSAGE = 12
MIN_OBJECT = 16  # bytes: what is kept of each batch would take more
# Answers that a session keeps spare. They are full after the first round, so that nothing more is kept in the next.
REPLAY_BYTES = 64 * 1024


class Counting:
    """Counts the calls to the server's event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.counts: Counter[str] = Counter()
        for name in ("run_in_executor", "create_future", "create_task"):
            self._watch(loop, name)

    def _watch(self, loop: Any, name: str) -> None:
        inner = getattr(loop, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.counts[name] += 1
            return inner(*args, **kwargs)

        setattr(loop, name, counted)


@pytest.fixture(scope="module")
def server() -> Iterator[InProcessServer]:
    with InProcessServer(warm_engine(), replay_bytes=REPLAY_BYTES) as server:
        yield server


@pytest.fixture
def client(server: InProcessServer, name: str) -> Iterator[Wire]:
    with Wire(server.target) as client:
        client.create(name, plain(len(CENTROIDS), init=CENTROIDS))
        yield client


@pytest.fixture
def session(server: InProcessServer, client: Wire, name: str) -> Session:
    """The session as the server has it."""
    return server._parts.sessions.get(client.describe(name).name)


def messages(first: int, count: int, batches: int) -> list[clustering_pb2.IngestRequest]:
    """Return messages of small batches, numbered from `first` on; each acknowledges the ones before it."""
    numbers = range(first, first + count * batches, batches)
    return [
        clustering_pb2.IngestRequest(
            batches=[batch(POINTS, sequence=sequence) for sequence in range(start, start + batches)],
            acknowledged=start - 1,
        )
        for start in numbers
    ]


def pour(stream: Stream, requests: list[clustering_pb2.IngestRequest], batches: int) -> int:
    """Send each message after the answer to the one before; return how many messages the answers took."""
    answers = 0
    for request in requests:
        stream.send(request)
        answered = 0
        while answered < batches:
            answered += len(stream.receive().results)
            answers += 1
    return answers


def test_a_message_costs_one_dispatch_and_one_response_for_any_number_of_batches(
    server: InProcessServer, client: Wire, name: str
) -> None:
    requests = messages(1, MESSAGES, BATCHES)
    with Stream(client.clustering.Ingest) as stream:
        stream.send(opening(name, "p"))
        stream.receive()
        counting = Counting(server._loop)

        answers = pour(stream, requests, BATCHES)

    assert client.describe(name).version == MESSAGES * BATCHES
    assert counting.counts["run_in_executor"] <= MESSAGES
    assert answers <= MESSAGES
    assert counting.counts["create_future"] + counting.counts["create_task"] <= MESSAGES * A_MESSAGE


def test_messages_that_wait_together_share_dispatches_and_responses(
    server: InProcessServer, client: Wire, name: str
) -> None:
    few = MAX_UNANSWERED // MESSAGES  # so that all messages are taken without an answer
    requests = messages(1, MESSAGES, few)
    size = POINTS.nbytes * few * MESSAGES
    with Stream(client.clustering.Ingest) as stream:
        stream.send(opening(name, "p"))
        stream.receive()

        with busy_threads(server):
            counting = Counting(server._loop)
            for request in requests:
                stream.send(request)
            until_queued_bytes(client, name, size)
        answers = stream.rest()

    assert [result.version for answer in answers for result in answer.results] == [*range(1, MESSAGES * few + 1)]
    # One dispatch for the first message, and full dispatches for the others.
    work = dispatch_work(len(CENTROIDS), size // POINTS.itemsize, few * MESSAGES)
    assert counting.counts["run_in_executor"] <= 2 + work // MAX_DISPATCH_WORK
    assert len(answers) <= counting.counts["run_in_executor"]


def test_batches_of_a_message_are_applied_in_one_call_of_the_engine(
    client: Wire, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    apply_batches = NumbaEngine.apply_batches

    def counted(engine: NumbaEngine, fused_batches: Any, run: Any) -> Any:
        calls.append(len(fused_batches.batches))
        return apply_batches(engine, fused_batches, run)

    monkeypatch.setattr(NumbaEngine, "apply_batches", counted)
    with Stream(client.clustering.Ingest) as stream:
        stream.send(opening(name, "p"))
        stream.receive()
        pour(stream, messages(1, MESSAGES, BATCHES), BATCHES)

    assert calls == [BATCHES - 1, *[BATCHES] * (MESSAGES - 1)]  # the first batch of all settles what the next rely on


def test_server_memory_does_not_grow_with_the_number_of_batches(client: Wire, name: str) -> None:
    rounds = [messages(1 + number * MESSAGES * BATCHES, MESSAGES, BATCHES) for number in range(3)]
    tracemalloc.start()
    try:
        with Stream(client.clustering.Ingest) as stream:
            stream.send(opening(name, "p"))
            stream.receive()
            pour(stream, rounds[0], BATCHES)
            before = traced()
            for requests in rounds[1:]:
                pour(stream, requests, BATCHES)
            grown = traced() - before
    finally:
        tracemalloc.stop()

    assert grown < MIN_OBJECT * 2 * MESSAGES * BATCHES


def test_the_memory_that_a_batch_takes_does_not_grow_with_its_rows(server: InProcessServer, session: Session) -> None:
    few, many = 32, 8192

    grown = peak_of(server, session, many) - peak_of(server, session, few)

    assert grown < many - few  # bytes


def test_applying_a_large_batch_allocates_nothing_that_grows_with_its_rows(
    server: InProcessServer, session: Session
) -> None:
    rows = 65536

    fewer, more = peak_of(server, session, rows), peak_of(server, session, 2 * rows)

    assert more - fewer < rows  # bytes; labels would take four a row, and there may be some more partial sums


@contextmanager
def busy_threads(server: InProcessServer) -> Iterator[None]:
    """Keep all compute threads of the server busy."""
    done = threading.Event()
    server.run(occupy(server._parts.compute, done))
    try:
        yield
    finally:
        done.set()


def test_the_arrays_of_a_version_without_readers_are_reused_by_a_newer_one(
    server: InProcessServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = np.random.default_rng(0).normal(size=(64, 256))
    copies: list[int] = []  # not the versions themselves: they would be held
    copy = Version.copy

    def note(version: Version) -> Version:
        copies.append(1)
        return copy(version)

    monkeypatch.setattr(Version, "copy", note)
    with Wire(server.target) as client:
        client.create(name, plain(len(wide), init=wide))
        watch = client.watch(name)
        versions = []
        for row in wide[:20].astype(np.float32):
            versions.append(client.push(name, batch(row[None])).version)
            while next(watch).update.snapshot.version < versions[-1]:
                pass
        watch.cancel()

    assert versions == [*range(1, 21)]
    assert len(copies) <= 5  # a watcher may hold the last but one for a moment


async def occupy(compute: ComputePool, done: threading.Event) -> None:
    for _ in range(compute._threads):
        compute.begin(done.wait)


def peak_of(server: InProcessServer, session: Session, rows: int) -> int:
    """Return the peak of bytes on the way of a batch from its message to its result.

    It is the least of a few times: what else the server does now and then takes some kilobytes, too.
    """
    points = np.resize(POINTS, (rows, POINTS.shape[1]))
    contents = clustering_pb2.IngestRequest(batches=[batch(points)]).SerializeToString()
    for _ in range(2):
        server.run(way_of(session, contents))  # what is kept for the next time isn't counted
    peaks = []
    for _ in range(5):
        tracemalloc.start()
        try:
            server.run(way_of(session, contents))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)


async def way_of(session: Session, contents: bytes) -> bytes:
    """Process a message of one batch completely, except for the socket."""
    (message,) = wire.decode_ingest_request(contents).batches
    (receipt,) = await session.submit([decode_batch(message, len(contents), is_sequenced=False)], None)
    assert isinstance(receipt, Receipt)
    return wire.encode_batch_result(encode_result(await receipt.result()))


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
