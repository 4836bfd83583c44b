"""Many watchers of one session, and one that never reads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import psutil
import pytest

import shoal
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, clustering_pb2_grpc

MIB = 1024 * 1024
CLUSTERS, FEATURES, ROWS = 128, 64, 200  # a frame has 64 KiB: a queue of them would show
BATCHES = 2000
READERS = 19


@pytest.fixture
def client(server: LocalServer) -> Iterator[shoal.Client]:
    with shoal.connect(server.target) as connected:
        yield connected


@pytest.fixture
def session(client: shoal.Client, request: pytest.FixtureRequest) -> Iterator[shoal.Session]:
    made = client.create_session(
        request.node.name.replace("[", "-").replace("]", ""),
        CLUSTERS,
        init=np.random.default_rng(1).normal(size=(CLUSTERS, FEATURES)),
        half_life=shoal.HalfLife(50),
    )
    yield made
    made.delete()


def _batches(count: int) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    random = np.random.default_rng(0)
    for _ in range(count):
        yield random.normal(size=(ROWS, FEATURES)).astype(np.float32)


@contextmanager
def _watcher_that_never_reads(target: str, name: str) -> Iterator[None]:
    with grpc.insecure_channel(target) as channel:
        request = clustering_pb2.WatchCentroidsRequest(session=name)
        call = clustering_pb2_grpc.ClusteringServiceStub(channel).WatchCentroids(request)
        try:
            yield
        finally:
            call.cancel()


def _read_until(session: shoal.Session, last: int, *, delta: bool = False) -> list[shoal.CentroidUpdate]:
    updates = session.watch(delta=delta)
    seen = []
    for update in updates:
        seen.append(update)
        if update.version >= last:
            break
    updates.close()
    return seen


def _ingest(session: shoal.Session, count: int) -> None:
    for result in session.ingest(_batches(count)):
        assert result.error is None


@pytest.mark.soak
def test_a_watcher_that_never_reads_holds_up_nobody_and_takes_no_memory(
    server: LocalServer, session: shoal.Session
) -> None:
    process = psutil.Process(server.pid)
    warm = 200
    with (
        ThreadPoolExecutor(READERS) as threads,
        _watcher_that_never_reads(server.target, session.name),
    ):
        readers: list[Future[list[shoal.CentroidUpdate]]] = [
            threads.submit(_read_until, session, warm + BATCHES, delta=bool(number % 2)) for number in range(READERS)
        ]
        _ingest(session, warm)
        before = process.memory_info().rss
        _ingest(session, BATCHES)
        after = process.memory_info().rss
        watchers = session.describe().watchers
        seen = [reader.result() for reader in readers]

    newest = session.centroids()
    assert watchers >= 1  # the one that never reads
    assert after - before < 20 * MIB
    for updates in seen:
        versions = [update.version for update in updates]
        assert all(earlier < later for earlier, later in itertools.pairwise(versions))
        assert versions[-1] == warm + BATCHES
        np.testing.assert_array_equal(updates[-1].centroids, newest.centroids)


def test_deltas_rebuilt_by_the_client_equal_whole_frames(session: shoal.Session) -> None:
    with ThreadPoolExecutor(2) as threads:
        whole = threads.submit(_read_until, session, 60)
        rebuilt = threads.submit(_read_until, session, 60, delta=True)
        for batch in _batches(60):
            session.push(batch[:3])

    frames = {update.version: update for update in whole.result()}
    both = [update for update in rebuilt.result() if update.version in frames]
    assert both[-1].version == 60
    for update in both:
        np.testing.assert_array_equal(update.centroids, frames[update.version].centroids)
        np.testing.assert_array_equal(update.weights, frames[update.version].weights)


def test_going_on_after_a_version_gives_nothing_old_and_the_newest(session: shoal.Session) -> None:
    _ingest(session, 5)
    first = next(session.watch())
    _ingest(session, 5)

    later = next(session.watch(after_version=first.version))

    assert (first.version, later.version) == (5, 10)


def test_going_on_after_the_newest_version_waits_for_a_newer_one(session: shoal.Session) -> None:
    _ingest(session, 3)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(next, session.watch(after_version=3))
        _ingest(session, 1)

        assert waiting.result().version == 4
