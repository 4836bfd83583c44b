"""The order in which a session's queue is applied. The engine waits for the test's gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.inprocess import GatedEngine, InProcessServer
from tests.rpc.refusals import Refusal, as_google, no_session, refused_call
from tests.rpc.waiting import until_gone, until_queued
from tests.rpc.ways import Stream, as_duplicate, opening
from tests.rpc.wire import PATIENCE, Wire, batch, plain

BUSY = batch([[7, 7]])


@pytest.fixture
def engine() -> GatedEngine:
    return GatedEngine()


@pytest.fixture
def wire(engine: GatedEngine) -> Iterator[Wire]:
    with InProcessServer(engine, compute_threads=1) as server, Wire(server.target) as wire:
        try:
            yield wire
        finally:
            engine.gate.set()


@pytest.fixture
def busy(wire: Wire, engine: GatedEngine, name: str) -> Any:
    """A session whose writer is computing; the answer to come."""
    wire.create(name, plain(init=GOOD))
    push = wire.clustering.Push.future(clustering_pb2.PushRequest(session=name, batch=BUSY), timeout=PATIENCE)
    assert engine.waiting.acquire(timeout=PATIENCE)
    return push


DELETED_AT_1 = clustering_pb2.WatchCentroidsResponse(
    end=clustering_pb2.WatchEnd(reason=clustering_pb2.WATCH_END_REASON_DELETED, version=1)
)


def updating(wire: Wire, name: str, asked: sessions_pb2.SessionConfig, path: str, etag: str = "") -> Any:
    request = sessions_pb2.UpdateSessionRequest(name=name, config=asked, etag=etag)
    request.update_mask.paths.append(path)
    return wire.sessions.UpdateSession.future(request, timeout=PATIENCE)


def test_an_update_is_applied_in_order_with_the_batches(wire: Wire, engine: GatedEngine, name: str, busy: Any) -> None:
    before = clustering_pb2.PushRequest(session=name, batch=batch([[1, 1]]))
    after = clustering_pb2.PushRequest(session=name, batch=batch([[2, 2]]))

    first = wire.clustering.Push.future(before, timeout=PATIENCE)
    until_queued(wire, name, 1)
    update = updating(wire, name, plain(engine=sessions_pb2.ENGINE_SCIPY), "engine")
    until_queued(wire, name, 2)
    second = wire.clustering.Push.future(after, timeout=PATIENCE)
    waiting = until_queued(wire, name, 3)
    engine.gate.set()

    assert waiting.config.engine == sessions_pb2.ENGINE_NUMBA
    assert update.result().config.engine == sessions_pb2.ENGINE_SCIPY
    assert [busy.result().version, first.result().version, second.result().version] == [1, 2, 3]
    assert [points.tolist() for points in engine.batches] == [[[7, 7]], [[1, 1]]]


def test_an_etag_is_stale_as_soon_as_a_change_is_on_its_way(
    wire: Wire, engine: GatedEngine, name: str, busy: Any
) -> None:
    etag = wire.describe(name).etag
    first = updating(wire, name, plain(engine=sessions_pb2.ENGINE_SCIPY), "engine", etag)
    waiting = until_queued(wire, name, 1)

    status = refused_call(lambda: wire.update(name, plain(), ["on_invalid"], etag))
    engine.gate.set()

    says = (f"etag '{etag}' is stale", "read the session and try again")
    Refusal("ETAG_MISMATCH", says, code=grpc.StatusCode.ABORTED, session=name).check(status)
    assert (waiting.etag, waiting.config.engine) == (etag, sessions_pb2.ENGINE_NUMBA)
    assert first.result().etag != etag
    assert busy.result().version == 1
    assert wire.update(name, plain(), ["on_invalid"], first.result().etag).config.engine == sessions_pb2.ENGINE_SCIPY


def test_deleting_a_session_refuses_waiting_batches_and_answers_the_one_being_computed(
    wire: Wire, engine: GatedEngine, name: str, busy: Any
) -> None:
    watch = wire.watch(name)
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.receive()
        stream.send(clustering_pb2.IngestRequest(batches=[batch(GOOD), batch(GOOD)]))
        update = updating(wire, name, plain(), "engine")
        until_queued(wire, name, 3)

        deletion = wire.sessions.DeleteSession.future(sessions_pb2.DeleteSessionRequest(name=name), timeout=PATIENCE)
        refused = stream.results(2)
        engine.gate.set()

        assert stream.rest() == []
    for result in refused:
        no_session(name).check(as_google(result.error))
    no_session(name).check(refused_call(update.result))
    assert busy.result().version == deletion.result().version == 1
    assert last_event(watch) == DELETED_AT_1


def test_a_cancelled_deletion_still_ends_the_watches(wire: Wire, engine: GatedEngine, name: str, busy: Any) -> None:
    watch = wire.watch(name)
    assert next(watch).update.snapshot.version == 0
    deletion = wire.sessions.DeleteSession.future(sessions_pb2.DeleteSessionRequest(name=name), timeout=PATIENCE)
    until_gone(wire, name)

    deletion.cancel()
    list(wire.sessions.ListSessions(sessions_pb2.ListSessionsRequest()).sessions)  # the server has seen the cancelling
    engine.gate.set()

    assert busy.result().version == 1
    assert last_event(watch) == DELETED_AT_1


def test_a_cancelled_push_is_still_applied(wire: Wire, engine: GatedEngine, name: str, busy: Any) -> None:
    waiting = wire.clustering.Push.future(clustering_pb2.PushRequest(session=name, batch=BUSY), timeout=PATIENCE)
    until_queued(wire, name, 1)

    busy.cancel()
    waiting.cancel()
    engine.gate.set()

    assert wire.push(name, batch(GOOD)).version == 3


def test_a_batch_sent_again_while_it_waits_gets_the_same_result(
    wire: Wire, engine: GatedEngine, name: str, busy: Any
) -> None:
    request = clustering_pb2.PushRequest(
        session=name, batch=batch(GOOD, sequence=1), producer=clustering_pb2.Producer(id="tester")
    )
    first = wire.clustering.Push.future(request, timeout=PATIENCE)
    until_queued(wire, name, 1)

    again = wire.clustering.Push.future(request, timeout=PATIENCE)
    engine.gate.set()

    assert (first.result().version, first.result().duplicate) == (2, False)
    assert again.result() == as_duplicate(first.result())
    assert busy.result().version == 1
    assert wire.describe(name).version == 2


def last_event(watch: Any) -> clustering_pb2.WatchCentroidsResponse:
    *_, last = watch
    assert isinstance(last, clustering_pb2.WatchCentroidsResponse)
    return last
