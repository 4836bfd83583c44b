"""Sessions that aren't there, or have no centroids yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from shoal.v1 import clustering_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.refusals import Refusal, as_google, no_session, refused_call
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import Wire, batch, config, tensor
from tests.versions import newest_version

CALLS: dict[str, Callable[[Wire, str], Any]] = {
    "GetSession": lambda wire, name: wire.describe(name),
    "UpdateSession": lambda wire, name: wire.update(name, config(), ["engine"]),
    "DeleteSession": lambda wire, name: wire.delete(name),
    "Push": lambda wire, name: wire.push(name, batch(GOOD)),
    "Ingest": lambda wire, name: list(wire.clustering.Ingest(iter([opening(name)]))),
    "Assign": lambda wire, name: wire.assign(name, tensor(GOOD)),
    "GetCentroids": lambda wire, name: wire.centroids(name),
    "GetRecentPoints": lambda wire, name: wire.recent_points(name),
    "ListEvents": lambda wire, name: wire.events(name),
    "WatchCentroids": lambda wire, name: list(wire.watch(name)),
}


@pytest.mark.parametrize("missing", ["", "nobody", "no/body", "\N{FISH}" * 50_000], ids=lambda each: ascii(each[:10]))
@pytest.mark.parametrize("method", CALLS)
def test_every_method_refuses_an_unknown_session(wire: Wire, method: str, missing: str) -> None:
    status = refused_call(lambda: CALLS[method](wire, missing))

    no_session(missing).check(status)


def test_an_assign_stream_continues_after_an_unknown_session(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))

    with Stream(wire.clustering.AssignStream) as stream:
        for session in ("", "nobody", name, "", "nobody"):
            stream.send(clustering_pb2.AssignRequest(session=session, points=tensor(GOOD)))
        answers = stream.rest()

    assert [answer.HasField("error") for answer in answers] == [True, True, False, False, True]
    for answer, missing in ((answers[0], ""), (answers[1], "nobody"), (answers[4], "nobody")):
        no_session(missing).check(as_google(answer.error))


def test_a_deleted_session_is_not_found(wire: Wire, name: str) -> None:
    wire.create(name, config())
    wire.delete(name)

    for call in CALLS.values():
        no_session(name).check(refused_call(lambda call=call: call(wire, name)))  # type: ignore[misc]


def test_an_ingest_stream_ends_when_a_batch_meets_a_deleted_session(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.receive()
        wire.delete(name)
        wire.create(name, config(init=GOOD))
        stream.send(clustering_pb2.IngestRequest(batches=[batch(GOOD)]))
        status = refused_call(stream.receive)

    no_session(name).check(status)
    assert wire.describe(name).version == 0


def test_reading_a_session_without_centroids_is_refused_with_the_points_needed(wire: Wire, name: str) -> None:
    wire.create(name, config(2, init_size=5))
    wire.push(name, batch(GOOD))
    refusal = Refusal(
        "SESSION_WARMING",
        ("no centroids yet", "2 of 5 points", "push more"),
        code=grpc.StatusCode.FAILED_PRECONDITION,
        session=name,
    )

    for method in ("GetCentroids", "Assign"):
        refusal.check(refused_call(lambda method=method: CALLS[method](wire, name)))  # type: ignore[misc]
    with Stream(wire.clustering.AssignStream) as stream:
        stream.send(clustering_pb2.AssignRequest(session=name, points=tensor(GOOD)))
        refusal.check(as_google(stream.receive().error))
        result = wire.push(name, batch([*GOOD, *GOOD]))
        stream.send(clustering_pb2.AssignRequest(points=tensor(GOOD)))
        assert stream.receive().version == newest_version([result])
