"""SIGTERM and the end of standard input, with open streams: accepted batches are answered, and the server ends soon."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import grpc
import numpy as np

from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2
from tests.rpc.refusals import Refusal, status_of
from tests.rpc.waiting import until_queued, until_version
from tests.rpc.ways import opening
from tests.rpc.wire import PATIENCE, Wire, batch, config, plain, tensor
from tests.versions import follow_one_another, newest_version

BOUND = 10.0  # seconds from the signal to the end of the process
GRACE = 2.0  # seconds; clients that don't read use them up
DRAINING = Refusal("SERVER_DRAINING", ("shutting down", "applied and answered"), code=grpc.StatusCode.UNAVAILABLE)
NOT_APPLIED = Refusal("SERVER_DRAINING", ("not applied this", "again"), code=grpc.StatusCode.UNAVAILABLE)
POINTS = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
PIXELS = np.zeros((65_536, 4), np.uint8)  # labels of 256 KiB: what nobody reads soon fills every buffer
HEAVY = np.random.default_rng(0).integers(0, 256, (262_144, 4)).astype(np.uint8)  # 1 MiB
HEAVY_CLUSTERS = 4096
READ, UNREAD = ["read-0", "read-1", "read-2", "read-3"], "unread"
MANY = 40  # versions that nobody has read before the signal comes
ENOUGH = 5  # answers that each reader has seen before the signal comes


def batches(session: str, producer: str, points: Any = POINTS) -> Iterator[clustering_pb2.IngestRequest]:
    """Yield batches for as long as they are taken."""
    yield opening(session, producer)
    for sequence in itertools.count(1):
        yield clustering_pb2.IngestRequest(batches=[batch(points, sequence=sequence, return_labels=True)])


def points(session: str) -> Iterator[clustering_pb2.AssignRequest]:
    """Yield points for as long as they are taken."""
    while True:
        yield clustering_pb2.AssignRequest(session=session, points=tensor(POINTS))


class Reader:
    """Reads a stream to its end, and says when it has read enough for a beginning."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.begun = threading.Event()
        self.answers: list[Any] = []

    def read(self) -> Any:
        """Return the status at the end."""
        try:
            for number, answer in enumerate(self.call, start=1):
                self.answers.append(answer)
                if number == ENOUGH:
                    self.begun.set()
        except grpc.RpcError as error:
            return status_of(error)
        finally:
            self.begun.set()
        raise AssertionError("the stream ended well, before its client did")


def test_sigterm_with_fifty_open_streams_answers_accepted_batches_and_ends_soon() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(LocalServer(shutdown_grace=GRACE))
        wires = [stack.enter_context(Wire(server.target)) for _ in range(5)]
        for name in (*READ, UNREAD):
            wires[0].create(name, plain(4, init=POINTS[:4]))  # so that what is queued is applied within the grace
        producers = [
            (name, Reader(wire.clustering.Ingest(batches(name, f"p-{number}"), timeout=PATIENCE)))
            for number, wire in enumerate(wires[:4])
            for name in READ
        ]
        watchers = [(name, Reader(wire.watch(name))) for name in READ for wire in wires[:3]]
        assigners = [Reader(wires[4].clustering.AssignStream(points(name), timeout=PATIENCE)) for name in READ]
        unread = [call for wire in wires[:3] for call in unread_streams(wire)]
        assert len(producers) + len(watchers) + len(assigners) + len(unread) == 50
        readers = [*(each for _, each in producers), *(each for _, each in watchers), *assigners]
        pool = stack.enter_context(ThreadPoolExecutor(len(readers)))
        ends = [pool.submit(reader.read) for reader in readers]
        assert all(reader.begun.wait(PATIENCE) for reader in readers)
        until_version(wires[0], UNREAD, MANY)

        seconds, exit_code = stopped(server, server.stop)

        statuses = [end.result(PATIENCE) for end in ends]
    assert exit_code == 0
    assert seconds < BOUND
    for status in statuses:
        DRAINING.check(status)
    check_answers(producers, watchers)
    assert not any(answer.HasField("error") for reader in assigners for answer in reader.answers)


def test_the_end_of_standard_input_stops_the_server(name: str) -> None:
    with LocalServer() as server, Wire(server.target) as wire:
        wire.create(name, config(4, init=POINTS[:4]))
        reader = Reader(wire.clustering.Ingest(batches(name, "tester"), timeout=PATIENCE))
        with ThreadPoolExecutor(1) as pool:
            end: Future[Any] = pool.submit(reader.read)
            assert reader.begun.wait(PATIENCE)

            _, exit_code = stopped(server, lambda: close_input(server))

        DRAINING.check(end.result(PATIENCE))
        check_answers([(name, reader)], [])
        assert exit_code == 0
        assert "Traceback" not in server.log_path.read_text()


def test_a_backlog_of_heavy_batches_delays_a_stop_by_the_grace_period_at_most(name: str) -> None:
    init = np.random.default_rng(0).integers(0, 256, (HEAVY_CLUSTERS, 4)).astype(np.float32)
    with LocalServer(shutdown_grace=GRACE, queue_bytes=64 * HEAVY.nbytes) as server, Wire(server.target) as wire:
        wire.create(name, plain(HEAVY_CLUSTERS, init=init))  # so that some are applied within the grace
        reader = Reader(wire.clustering.Ingest(batches(name, "tester", HEAVY), timeout=PATIENCE))
        with ThreadPoolExecutor(1) as pool:
            end = pool.submit(reader.read)
            until_queued(wire, name, 50)

            seconds, exit_code = stopped(server, server.stop)

        NOT_APPLIED.check(end.result(PATIENCE))
        check_answers([(name, reader)], [])
        assert seconds < BOUND
        assert exit_code == 0
        not_applied = [event for event in events(server) if event["event"] == "batches not applied"]
        assert len(not_applied) == 1
        assert 0 < not_applied[0]["batches"] <= 64


def unread_streams(wire: Wire) -> list[Any]:
    """Open streams of every kind without reading them."""
    return [
        wire.clustering.Ingest(batches(UNREAD, "", PIXELS), timeout=PATIENCE),
        wire.clustering.Ingest(batches(UNREAD, "", PIXELS), timeout=PATIENCE),
        wire.clustering.AssignStream(points(UNREAD), timeout=PATIENCE),
        wire.clustering.AssignStream(points(UNREAD), timeout=PATIENCE),
        wire.watch(UNREAD),
        wire.watch(READ[0]),
    ]


def stopped(server: LocalServer, stop: Callable[[], None]) -> tuple[float, int]:
    """Stop a server; return how many seconds that took, and how it ended."""
    process = server._process._process
    assert process is not None
    began = time.monotonic()
    stop()
    return time.monotonic() - began, process.wait(PATIENCE)


def events(server: LocalServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log_path.read_text().splitlines()]


def close_input(server: LocalServer) -> None:
    assert server._process._process is not None
    assert server._process._process.stdin is not None
    server._process._process.stdin.close()


def check_answers(producers: list[tuple[str, Reader]], watchers: list[tuple[str, Reader]]) -> None:
    """Fail unless each producer got answers without gaps, and each version there ever was is among the answers."""
    answered: dict[str, list[clustering_pb2.BatchResult]] = {}
    for name, reader in producers:
        results = [result for answer in reader.answers for result in answer.results]
        assert [result.sequence for result in results] == list(range(1, len(results) + 1))
        assert not any(result.HasField("error") or result.duplicate for result in results)
        answered.setdefault(name, []).extend(results)
    for results in answered.values():
        results.sort(key=lambda result: result.version)
        assert results[0].version == 1
        assert follow_one_another(results)
    for name, reader in watchers:
        seen = [answer.update.snapshot.version for answer in reader.answers]
        assert seen == sorted(set(seen))
        assert seen[-1] <= newest_version(answered[name])
