"""Responses to all watchers and readers of a session are encoded once."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from weakref import ref

import numpy as np
import pytest

from shoal.v1 import clustering_pb2
from shoal_server import shared_results
from shoal_server.clustering.state import Snapshot
from shoal_server.rpc import watch_messages
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.port import SentVersion, Update
from shoal_server.sessions.session import Session
from tests.rpc.inprocess import InProcessServer
from tests.rpc.wire import Wire, array, batch, duration, plain

WATCHERS, VERSIONS = 20, 10
CENTROIDS = [[0.0], [100.0], [200.0]]
WIDE = shared_results.SMALL // 8  # features: a version of two centroids is large


@pytest.fixture
def server() -> Iterator[InProcessServer]:
    with InProcessServer() as server:
        yield server


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, int | None]]:
    """How often each frame has been encoded, by its version and the one it starts from."""
    counts: Counter[tuple[int, int | None]] = Counter()
    encode = watch_messages._encode_update

    def count(snapshot: Snapshot, base: SentVersion | None, session_uid: str) -> bytes:
        counts[snapshot.version, base.version if base else None] += 1
        return encode(snapshot, base, session_uid)

    monkeypatch.setattr(watch_messages, "_encode_update", count)
    return counts


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The calls given to a compute thread."""
    begun: list[object] = []
    begin = ComputePool.begin

    def note(pool: ComputePool, make: Callable[[], object], owner: object = None) -> object:
        begun.append(make)
        return begin(pool, make, owner)

    monkeypatch.setattr(ComputePool, "begin", note)
    return begun


@pytest.mark.parametrize("delta", [False, True])
def test_each_frame_is_encoded_once_for_all_watchers(
    server: InProcessServer, encoded: Counter[tuple[int, int | None]], *, delta: bool
) -> None:
    with Wire(server.target) as wire, ExitStack() as stack:
        wire.create("watched", plain(3, init=CENTROIDS))
        watches = [_watch(stack, wire, delta=delta) for _ in range(WATCHERS)]
        assert {next(watch).update.snapshot.version for watch in watches} == {0}

        for version in range(1, VERSIONS + 1):
            wire.push("watched", batch([[float(version)]]))
            frames = {next(watch).SerializeToString() for watch in watches}
            assert len(frames) == 1

    base = {0: None} | {version: version - 1 if delta else None for version in range(1, VERSIONS + 1)}
    assert encoded == {(version, base[version]): 1 for version in range(VERSIONS + 1)}


def test_no_frame_is_encoded_without_watchers(
    server: InProcessServer, encoded: Counter[tuple[int, int | None]]
) -> None:
    with Wire(server.target) as wire:
        wire.create("unwatched", plain(3, init=CENTROIDS))
        wire.push("unwatched", batch([[1.0]]))

    assert not encoded


def test_wide_frames_are_encoded_off_the_event_loop(begun: list[object], server: InProcessServer) -> None:
    wide = np.zeros((2, WIDE))
    with Wire(server.target) as wire, ExitStack() as stack:
        wire.create("watched", plain(2, init=wide))
        begun.clear()  # what the creation took
        watches = [_watch(stack, wire, delta=False) for _ in range(3)]

        sizes = [next(watch).ByteSize() for watch in watches]

    assert len(begun) == 1
    assert min(sizes) > wide.nbytes


@pytest.mark.parametrize("width", [1, WIDE])
def test_frames_for_watchers_that_come_from_many_versions_are_not_kept(
    server: InProcessServer, encoded: Counter[tuple[int, int | None]], width: int
) -> None:
    with Wire(server.target) as wire:
        wire.create("watched", plain(2, init=np.zeros((2, width))))
        session = server._parts.sessions.get("watched")
        bases = [_pushed(wire, session, width) for _ in range(10)]
        newest = _pushed(wire, session, width)

        frames = [server.run(_delta(session, newest, base)) for base in [*bases, *bases]]

    kept = [made for made in session._deps.shared.of(newest).values() if isinstance(made, bytes)]
    assert [frame.update.base_version for frame in frames] == [base.version for base in [*bases, *bases]]
    assert len(kept) == watch_messages.SHARED_BASES
    assert sorted(encoded.values()) == [1] * watch_messages.SHARED_BASES + [2] * (10 - watch_messages.SHARED_BASES)


@pytest.mark.parametrize("options", [{}, {"delta": True}, {"min_shift": 1e-9}])
def test_versions_and_frames_are_freed_once_there_are_newer_ones_though_a_watch_was_sent_them(
    server: InProcessServer, options: dict[str, Any]
) -> None:
    with Wire(server.target) as wire, ExitStack() as stack:
        wire.create("watched", plain(3, init=CENTROIDS))
        session = server._parts.sessions.get("watched")
        versions: list[ref[Snapshot]] = []
        for version in range(5):  # each is sent to a watch that is sent no other
            watch = wire.watch("watched", min_interval=duration(1e9), **options)
            stack.callback(watch.cancel)
            assert next(watch).update.snapshot.version == version
            assert session.snapshot
            versions.append(ref(session.snapshot))
            wire.push("watched", batch([[float(version)]]))
        wire.centroids("watched")

        gc.collect()
        assert [version() for version in versions] == [None] * 5
        assert len(session._deps.shared._kept) == 1


@pytest.mark.parametrize("width", [1, WIDE])
def test_a_frame_that_failed_to_encode_is_encoded_for_the_next_watcher(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    with Wire(server.target) as wire:
        wire.create("watched", plain(2, init=np.zeros((2, width))))
        session = server._parts.sessions.get("watched")
        base, newest = _pushed(wire, session, width), _pushed(wire, session, width)
        with monkeypatch.context() as broken:
            broken.setattr(watch_messages, "_encode_update", fail)
            with pytest.raises(MemoryError):
                server.run(_delta(session, newest, base))

        frame = server.run(_delta(session, newest, base))

    assert frame.update.snapshot.version == newest.version


@pytest.mark.parametrize(("width", "dispatches"), [(1, 0), (WIDE, 1)])
def test_readers_of_a_version_share_its_encoding_without_blocking_others(
    begun: list[object], server: InProcessServer, monkeypatch: pytest.MonkeyPatch, width: int, dispatches: int
) -> None:
    encoded: list[int] = []
    encode = watch_messages._encode_snapshot

    def note(snapshot: Snapshot, session_uid: str) -> clustering_pb2.Snapshot:
        encoded.append(snapshot.version)
        return encode(snapshot, session_uid)

    monkeypatch.setattr(watch_messages, "_encode_snapshot", note)
    centroids = np.random.default_rng(0).normal(size=(2, width))
    with Wire(server.target) as wire:
        wire.create("read", plain(2, init=centroids))
        begun.clear()  # what the creation took

        read = [wire.centroids("read") for _ in range(3)]

    assert encoded == [0]
    assert len(begun) == dispatches
    for snapshot in read:
        np.testing.assert_array_equal(array(snapshot.centroids), centroids)


async def _delta(session: Session, newest: Snapshot, base: Snapshot) -> clustering_pb2.WatchCentroidsResponse:
    """Return what a watcher is sent that comes from an older version."""
    frame = await watch_messages.FrameEncoder(session._deps.shared).encode_event(
        Update(newest, SentVersion(base.version, base.centroids)), session.uid
    )
    return clustering_pb2.WatchCentroidsResponse.FromString(frame)


def _pushed(wire: Wire, session: Session, width: int) -> Snapshot:
    """Make another version."""
    wire.push(session.name, batch(np.ones((1, width))))
    assert session.snapshot
    return session.snapshot


def _watch(stack: ExitStack, wire: Wire, *, delta: bool) -> Any:
    watch = wire.watch("watched", delta=delta)
    stack.callback(watch.cancel)
    return watch
