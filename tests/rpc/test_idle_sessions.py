"""Unused sessions expire. The server's clock jumps: no test waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shoal.v1 import clustering_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.inprocess import GatedEngine, InProcessServer
from tests.rpc.refusals import no_session, refused_call
from tests.rpc.waiting import until_gone, until_unwatched
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import PATIENCE, Wire, batch, duration, plain, tensor

TTL = 100.0  # seconds of a clock that only `pass_time` moves far


@pytest.fixture
def engine() -> GatedEngine:
    engine = GatedEngine()
    engine.gate.set()
    return engine


@pytest.fixture
def server(engine: GatedEngine) -> Iterator[InProcessServer]:
    with InProcessServer(engine) as server:
        yield server
        engine.gate.set()


@pytest.fixture
def wire(server: InProcessServer) -> Iterator[Wire]:
    with Wire(server.target) as wire:
        yield wire


def watch_one_update(wire: Wire, name: str) -> None:
    """Watch for one update."""
    watch = wire.watch(name)
    next(watch)
    watch.cancel()
    until_unwatched(wire, name)


USES: dict[str, Callable[[Wire, str], object]] = {
    "Push": lambda wire, name: wire.push(name, batch(GOOD)),
    "a refused Push": lambda wire, name: refused_call(lambda: wire.push(name, batch([[1, 2, 3]]))),
    "opening Ingest": lambda wire, name: list(wire.clustering.Ingest(iter([opening(name, "tester")]))),
    "Assign": lambda wire, name: wire.assign(name, tensor(GOOD)),
    "GetCentroids": lambda wire, name: wire.centroids(name),
    "GetRecentPoints": lambda wire, name: wire.recent_points(name),
    "ListEvents": lambda wire, name: wire.events(name),
    "WatchCentroids": watch_one_update,
    "UpdateSession": lambda wire, name: wire.update(name, plain(engine=3), ["engine"]),
}


def idle(seconds: float | None = TTL) -> Any:
    return plain(init=GOOD, idle_ttl=None if seconds is None else duration(seconds))


def test_a_session_does_not_expire_while_a_watch_is_open(server: InProcessServer, wire: Wire, name: str) -> None:
    wire.create(name, idle())
    watch = wire.watch(name)
    assert next(watch).update.snapshot.version == 0

    server.pass_time(TTL + 1)
    wire.push(name, batch(GOOD))

    assert next(event for event in watch if event.HasField("update")).update.snapshot.version == 1
    server.pass_time(TTL + 1)
    assert wire.describe(name).watchers == 1
    watch.cancel()
    until_unwatched(wire, name)
    server.pass_time(TTL + 1)
    until_gone(wire, name)


def test_a_session_does_not_expire_while_an_ingest_stream_is_open(
    server: InProcessServer, wire: Wire, name: str
) -> None:
    wire.create(name, idle())
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.receive()

        server.pass_time(TTL + 1)
        stream.send(clustering_pb2.IngestRequest(batches=[batch(GOOD)]))

        assert stream.receive().results[0].version == 1
        server.pass_time(TTL + 1)
        assert wire.describe(name).version == 1
        stream.rest()
    server.pass_time(TTL + 1)
    until_gone(wire, name)


@pytest.mark.parametrize("use", USES)
def test_every_use_postpones_the_expiry_of_a_session(server: InProcessServer, wire: Wire, name: str, use: str) -> None:
    wire.create(name, idle())

    for _ in range(3):
        server.pass_time(TTL - 10)
        USES[use](wire, name)
    server.pass_time(TTL - 10)

    assert wire.describe(name).name == name
    server.pass_time(20)
    until_gone(wire, name)


def test_describing_or_listing_a_session_does_not_postpone_its_expiry(
    server: InProcessServer, wire: Wire, name: str
) -> None:
    wire.create(name, idle())
    server.pass_time(TTL - 10)
    wire.describe(name)

    server.pass_time(20)

    until_gone(wire, name)


def test_a_session_without_an_idle_ttl_does_not_expire(server: InProcessServer, wire: Wire, name: str) -> None:
    wire.create(name, idle(None))
    wire.create(f"{name}-idle", idle())

    server.pass_time(1e9)

    until_gone(wire, f"{name}-idle")
    assert wire.describe(name).name == name


def test_idle_ttl_can_be_set_and_removed_later(server: InProcessServer, wire: Wire, name: str) -> None:
    wire.create(name, idle(None))
    wire.create(f"{name}-stays", idle())

    wire.update(name, plain(idle_ttl=duration(TTL)), ["idle_ttl"])
    wire.update(f"{name}-stays", plain(), ["idle_ttl"])
    server.pass_time(TTL + 1)

    until_gone(wire, name)
    assert wire.describe(f"{name}-stays").name == f"{name}-stays"


def test_sessions_expire_while_others_are_used_or_deleted(
    server: InProcessServer, wire: Wire, engine: GatedEngine, name: str
) -> None:
    for suffix in ("a", "b", "c", "d"):
        wire.create(f"{name}-{suffix}", idle())
    engine.gate.clear()
    request = clustering_pb2.PushRequest(session=f"{name}-a", batch=batch(GOOD))
    push = wire.clustering.Push.future(request, timeout=PATIENCE)
    assert engine.waiting.acquire(timeout=PATIENCE)

    server.pass_time(TTL + 1)  # a ends, but its writer is computing: the others wait for it
    until_gone(wire, f"{name}-a")
    wire.delete(f"{name}-b")
    wire.centroids(f"{name}-c")
    engine.gate.set()

    assert push.result().version == 1
    until_gone(wire, f"{name}-d")
    assert wire.describe(f"{name}-c").name == f"{name}-c"
    server.pass_time(TTL + 1)
    until_gone(wire, f"{name}-c")


def test_the_servers_idle_ttl_applies_to_sessions_without_their_own(name: str) -> None:
    with InProcessServer(idle_ttl=TTL) as server, Wire(server.target) as wire:
        assert wire.create(name, idle(None)).config.idle_ttl == duration(TTL)
        wire.create(f"{name}-longer", idle(10 * TTL))

        server.pass_time(TTL + 1)

        until_gone(wire, name)
        assert wire.describe(f"{name}-longer").config.idle_ttl == duration(10 * TTL)


def test_an_ingest_stream_of_a_deleted_session_fails_at_the_next_batch(wire: Wire, name: str) -> None:
    wire.create(name, idle())
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.receive()
        wire.delete(name)

        stream.send(clustering_pb2.IngestRequest(batches=[batch(GOOD)]))

        no_session(name).check(refused_call(stream.receive))
