"""A bug in the server is reported as INTERNAL, without details of the inside."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
import structlog

from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.inprocess import BrokenEngine, InProcessServer
from tests.rpc.refusals import Refusal
from tests.rpc.ways import ASSIGNING, UPDATING, Stream, Way, opening
from tests.rpc.wire import Wire, batch, plain

BUG = Refusal("INTERNAL", ("the server has a bug", "changed nothing"), code=grpc.StatusCode.INTERNAL)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with InProcessServer(BrokenEngine()) as server, Wire(server.target) as wire:
        yield wire


@pytest.mark.parametrize("open_way", [*UPDATING, *ASSIGNING])
def test_a_bug_in_an_engine_changes_nothing_and_is_described_only_in_the_log(
    wire: Wire, name: str, open_way: type[Way]
) -> None:
    before = wire.create(name, plain(init=GOOD))

    with structlog.testing.capture_logs() as logs, open_way(wire, name) as way:
        status = way.refused(batch(GOOD))

    BUG.check(status)
    assert BrokenEngine.STORY not in str(status)
    assert wire.describe(name) == before
    (logged,) = [entry for entry in logs if entry["event"] == "bug"]
    assert BrokenEngine.STORY in str(logged["exc_info"])


def test_an_ingest_stream_continues_after_a_bug(wire: Wire, name: str) -> None:
    wire.create(name, plain(init=GOOD))

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.send(clustering_pb2.IngestRequest(batches=[batch(GOOD)]))
        assert stream.results(1)[0].HasField("error")
        wire.update(name, plain(engine=sessions_pb2.ENGINE_SCIPY), ["engine"])
        stream.send(clustering_pb2.IngestRequest(batches=[batch(GOOD)]))
        assert stream.results(1)[0].version == 1
