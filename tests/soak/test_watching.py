"""Watchers of a busy session: some read, some hang, some come and go, some put deltas together."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import islice, pairwise

import numpy as np
import pytest

import shoal
from shoal.v1 import clustering_pb2
from tests.client.proxy import Proxy
from tests.effort import choose
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import Wire, batch, plain
from tests.soak.measuring import MIB, Measured

pytestmark = pytest.mark.soak

BATCHES = choose(1000, 2000)
WARM_UP = 200
BATCHES_A_MESSAGE = 5
READERS = 19
CENTROIDS = np.random.default_rng(1).normal(size=(256, 64))  # 128 KiB: a queue of versions would show
POINTS = np.random.default_rng(2).normal(size=(BATCHES_A_MESSAGE, 64)).astype(np.float32)


@pytest.fixture
def wire(measured: Measured) -> Iterator[Wire]:
    with Wire(measured.server.target) as wire:
        yield wire


@pytest.fixture
def name(wire: Wire, request: pytest.FixtureRequest) -> str:
    return wire.create(request.node.name, plain(len(CENTROIDS), init=CENTROIDS)).name


def test_hanging_watchers_take_no_memory_and_delay_no_others(measured: Measured, wire: Wire, name: str) -> None:
    target = measured.server.target
    with ExitStack() as stack, ThreadPoolExecutor(READERS) as threads:
        hang_up(stack, target, name)
        readers = [threads.submit(follow, target, name) for _ in range(READERS)]
        while wire.describe(name).watchers < READERS + 2:
            pass
        ingest(wire, name, WARM_UP)
        before = measured.memory()
        measured.forget_peak()

        ingest(wire, name, BATCHES)

        grown = measured.peak() - before
        wire.delete(name)
        seen = [reader.result() for reader in readers]

    assert grown < 20 * MIB
    assert all(strictly_grow(versions) for versions in seen)
    assert {versions[-1] for versions in seen} == {WARM_UP + BATCHES}


def test_watchers_that_reconnect_see_no_version_twice_and_the_newest(measured: Measured, wire: Wire, name: str) -> None:
    with ThreadPoolExecutor(READERS) as threads:
        visitors = [threads.submit(reconnect, measured.server.target, name, visit, BATCHES) for visit in range(1, 9)]

        ingest(wire, name, BATCHES)

        seen = [visitor.result() for visitor in visitors]

    assert all(strictly_grow(versions) for versions in seen)
    assert {versions[-1] for versions in seen} == {BATCHES}


def test_deltas_add_up_to_whole_centroids_when_versions_are_skipped(measured: Measured, wire: Wire, name: str) -> None:
    with shoal.connect(measured.server.target) as client, ThreadPoolExecutor(6) as threads:
        session = client.session(name)
        readers = [threads.submit(collect, session, BATCHES, delta=bool(number % 2)) for number in range(6)]

        ingest(wire, name, BATCHES)

        seen = [reader.result() for reader in readers]

    whole = {version: centroids for frames in seen[::2] for version, centroids in frames.items()}
    rebuilt = [(version, centroids) for frames in seen[1::2] for version, centroids in frames.items()]
    compared = [whole[version] == centroids for version, centroids in rebuilt if version in whole]
    assert len(compared) >= 3
    assert all(compared)


def ingest(wire: Wire, name: str, batches: int) -> None:
    """Push single points, so that a version moves few of the centroids; await the answers to some before the next.

    So these are not applied together with those, and a version in five at least is there to be seen.
    """
    some = [batch(POINTS[row : row + 1]) for row in range(BATCHES_A_MESSAGE)]
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.receive()
        for _ in range(0, batches, BATCHES_A_MESSAGE):
            stream.send(clustering_pb2.IngestRequest(batches=some))
            stream.results(BATCHES_A_MESSAGE)


def hang_up(stack: ExitStack, target: str, name: str) -> None:
    """Open a watch that is never read, and one whose connection isn't."""
    unread = stack.enter_context(Wire(target)).watch(name)
    stack.callback(unread.cancel)
    proxy = stack.enter_context(Proxy(target))
    stalled = stack.enter_context(Wire(proxy.target)).watch(name)
    stack.callback(stalled.cancel)
    next(stalled)
    proxy.stall()


def follow(target: str, name: str) -> list[int]:
    """Watch to the end, over a connection of its own; return the versions, the last one of the end itself."""
    with Wire(target) as wire:
        *updates, last = wire.watch(name)
    versions = [event.update.snapshot.version for event in updates]
    assert last.end.version == versions[-1]
    return versions


def reconnect(target: str, name: str, visit: int, last: int) -> list[int]:
    """Watch `visit` versions at a time, each time over another connection."""
    versions: list[int] = []
    while not versions or versions[-1] < last:
        with Wire(target) as wire:
            watch = wire.watch(name, after_version=versions[-1] if versions else None)
            for event in islice(watch, visit):
                versions.append(event.update.snapshot.version)
                if versions[-1] == last:
                    break
            watch.cancel()
    return versions


def collect(session: shoal.Session, last: int, *, delta: bool) -> dict[int, bytes]:
    """Watch with the client until a version; return the centroids of each that was seen."""
    frames: dict[int, bytes] = {}
    with closing(session.watch(delta=delta)) as updates:
        for update in updates:
            frames[update.version] = update.centroids.tobytes()
            if update.version == last:
                break
    return frames


def strictly_grow(versions: list[int]) -> bool:
    """Return whether no version comes twice or too late."""
    return all(earlier < later for earlier, later in pairwise(versions))
