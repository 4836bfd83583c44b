"""What all watchers of a session are sent is encoded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.state import Snapshot
from shoal_server.rpc import watching
from shoal_server.sessions import sharing
from shoal_server.sessions.compute import ComputePool
from tests.rpc.inprocess import InProcessServer
from tests.rpc.wire import Wire, batch, config

WATCHERS, VERSIONS = 20, 10
CENTROIDS = [[0.0], [100.0], [200.0]]


@pytest.fixture
def server() -> Iterator[InProcessServer]:
    with InProcessServer() as server:
        yield server


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, int | None]]:
    """How often each frame has been encoded, by its version and the one it starts from."""
    counts: Counter[tuple[int, int | None]] = Counter()
    encode = watching._encode_update

    def count(snapshot: Snapshot, base: Snapshot | None, session_uid: str) -> bytes:
        counts[snapshot.version, base.version if base else None] += 1
        return encode(snapshot, base, session_uid)

    monkeypatch.setattr(watching, "_encode_update", count)
    return counts


@pytest.mark.parametrize("delta", [False, True])
def test_each_frame_is_encoded_once_for_all_watchers(
    server: InProcessServer, encoded: Counter[tuple[int, int | None]], *, delta: bool
) -> None:
    with Wire(server.target) as wire, ExitStack() as stack:
        wire.create("watched", config(3, init=CENTROIDS))
        watches = [_watch(stack, wire, delta=delta) for _ in range(WATCHERS)]
        assert {next(watch).update.snapshot.version for watch in watches} == {0}

        for version in range(1, VERSIONS + 1):
            wire.push("watched", batch([[float(version)]]))
            frames = {next(watch).SerializeToString() for watch in watches}
            assert len(frames) == 1

    base = {0: None} | {version: version - 1 if delta else None for version in range(1, VERSIONS + 1)}
    assert encoded == {(version, base[version]): 1 for version in range(VERSIONS + 1)}


def test_without_watchers_nothing_is_encoded(server: InProcessServer, encoded: Counter[tuple[int, int | None]]) -> None:
    with Wire(server.target) as wire:
        wire.create("unwatched", config(3, init=CENTROIDS))
        wire.push("unwatched", batch([[1.0]]))

    assert not encoded


def test_wide_frames_are_encoded_off_the_event_loop(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []
    begin = ComputePool.begin

    def note(pool: ComputePool, make: Callable[[], object]) -> object:
        begun.append(make)
        return begin(pool, make)

    monkeypatch.setattr(ComputePool, "begin", note)
    wide = np.zeros((2, sharing.SMALL // 8))
    with Wire(server.target) as wire, ExitStack() as stack:
        wire.create("watched", config(2, init=wide))
        watches = [_watch(stack, wire, delta=False) for _ in range(3)]

        sizes = [next(watch).ByteSize() for watch in watches]

    assert len(begun) == 1
    assert min(sizes) > wide.nbytes


def _watch(stack: ExitStack, wire: Wire, *, delta: bool) -> Any:
    watch = wire.watch("watched", delta=delta)
    stack.callback(watch.cancel)
    return watch
