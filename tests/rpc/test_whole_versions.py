"""Whoever reads while batches pour in sees one version whole, never a mix.

The session forgets everything at each batch, so that everything a reader may see of a version follows from its number
alone: batch v has, near each corner, so many points in one place, and both the number and the place follow from v.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import PATIENCE, Wire, array, batch, plain, tensor

K, D = 4, 8
CORNERS = 1000.0 * np.arange(K)
FORGET_ALL = sessions_pb2.HalfLife(value=1e-4, unit=sessions_pb2.HALF_LIFE_UNIT_BATCHES)  # 0.5 ** 10,000 is 0
READINGS = 60  # different versions that each reader must have seen
MAX_VERSIONS = 100_000

Check = Callable[[Any], int]


def places(version: int) -> NDArray[np.float64]:
    """Return in which place the points of a version lie, (K,), the same in all columns."""
    return np.asarray(CORNERS + (7 * version) % 97, np.float64)


def counts(version: int) -> NDArray[np.int64]:
    """Return how many points of a version lie near each corner, (K,)."""
    return 100 + (version + 3 * np.arange(K)) % 11


def points(version: int) -> NDArray[np.float32]:
    """Return the batch that makes a version, (n, D), all corners mixed."""
    column = np.repeat(places(version), counts(version))
    return np.repeat(np.random.default_rng(version).permutation(column)[:, None], D, axis=1).astype(np.float32)


PROBES = np.repeat((CORNERS[::-1] + 48)[:, None], D, axis=1)


def check_snapshot(snapshot: clustering_pb2.Snapshot) -> int:
    version = snapshot.version
    step = places(version) - places(version - 1)
    np.testing.assert_array_equal(array(snapshot.centroids), np.repeat(places(version)[:, None], D, axis=1))
    np.testing.assert_array_equal(array(snapshot.weights), counts(version))
    np.testing.assert_allclose(array(snapshot.movement), np.abs(step) * np.sqrt(D), rtol=1e-12)
    assert snapshot.inertia == np.dot(counts(version), D * step**2)
    assert snapshot.batch_points == counts(version).sum()
    assert snapshot.points_accepted == sum(counts(earlier).sum() for earlier in range(1, version + 1))
    return version


def check_assignment(answer: clustering_pb2.AssignResponse) -> int:
    np.testing.assert_array_equal(array(answer.labels), np.arange(K)[::-1])
    expected = D * (PROBES[:, 0] - places(answer.version)[::-1]) ** 2
    np.testing.assert_array_equal(array(answer.distances), expected)
    return answer.version


def snapshots(wire: Wire, session: str, _stop: threading.Event) -> Iterator[int]:
    while True:
        yield check_snapshot(wire.centroids(session))


def assignments(wire: Wire, session: str, _stop: threading.Event) -> Iterator[int]:
    while True:
        yield check_assignment(wire.assign(session, tensor(PROBES), return_distances=True))


def streamed_assignments(wire: Wire, session: str, stop: threading.Event) -> Iterator[int]:
    request = clustering_pb2.AssignRequest(session=session, points=tensor(PROBES), return_distances=True)
    requests = itertools.takewhile(lambda _: not stop.is_set(), itertools.repeat(request))
    for answer in wire.clustering.AssignStream(requests, timeout=PATIENCE):
        yield check_assignment(answer)


def watched(wire: Wire, session: str, _stop: threading.Event) -> Iterator[int]:
    for event in wire.watch(session):
        yield check_snapshot(event.update.snapshot)


READERS = [snapshots, snapshots, assignments, assignments, streamed_assignments, watched]


@pytest.mark.parametrize("engine", [sessions_pb2.ENGINE_NUMBA, sessions_pb2.ENGINE_SCIPY], ids=["numba", "scipy"])
def test_every_read_during_a_heavy_ingest_is_of_one_whole_version(server: LocalServer, name: str, engine: Any) -> None:
    with Wire(server.target) as wire:
        first = np.repeat(CORNERS[:, None], D, axis=1)
        wire.create(name, plain(K, init=first, half_life=FORGET_ALL, engine=engine))
        wire.push(name, batch(points(1)))
    stop = threading.Event()

    with ThreadPoolExecutor(len(READERS)) as pool:
        reading = [pool.submit(read, server.target, name, reader, stop) for reader in READERS]
        versions = ingest_until(server.target, name, lambda: all(each.done() for each in reading))
        stop.set()
        seen = [each.result() for each in reading]

    for each in seen:
        assert each == sorted(each)
        assert len(set(each)) >= READINGS
    assert versions > READINGS


def read(target: str, session: str, reader: Callable[..., Iterator[int]], stop: threading.Event) -> list[int]:
    """Return the versions that a reader saw, until it has seen enough of them."""
    seen: list[int] = []
    with Wire(target) as wire:
        for version in reader(wire, session, stop):
            seen.append(version)
            if len(set(seen)) >= READINGS:
                break
    return seen


def ingest_until(target: str, session: str, done: Callable[[], bool]) -> int:
    """Pour batches in, as many at once as come in a message, and return the last version."""
    with Wire(target) as wire, Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(session))
        stream.receive()
        for version in range(2, MAX_VERSIONS, 4):
            stream.send(clustering_pb2.IngestRequest(batches=[batch(points(version + n)) for n in range(4)]))
            results = stream.results(4)
            assert [result.version for result in results] == list(range(version, version + 4))
            if done():
                return results[-1].version
    raise AssertionError("the readers never saw enough")
