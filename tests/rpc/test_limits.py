"""Limits, on a server that allows little: each refusal names its limit, and valid requests continue."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

import shoal
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, sessions_pb2
from shoal_server.sessions.local import MAX_UNANSWERED
from shoal_server.sessions.replay_cache import ENTRY_BYTES
from tests.rpc.bad_points import GOOD
from tests.rpc.conftest import SMALL
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.ways import ASSIGNING, UPDATING, NamedIngest, Stream, Way, as_duplicate, check_refusal, opening
from tests.rpc.wire import Wire, array, batch, config
from tests.versions import follow_one_another

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
MAX_BATCH = SMALL["max_batch_bytes"]
MAX_MESSAGE = SMALL["max_message_bytes"]


@pytest.fixture
def wire(small_server: LocalServer) -> Iterator[Wire]:
    with Wire(small_server.target) as wire:
        yield wire
        for session in wire.sessions.ListSessions(sessions_pb2.ListSessionsRequest()).sessions:
            wire.delete(session.name)


def test_a_session_above_max_sessions_is_refused_until_one_is_deleted(wire: Wire) -> None:
    first = wire.create("s-0", config(), "first")
    for number in range(1, SMALL["max_sessions"]):
        wire.create(f"s-{number}", config())

    status = refused_call(lambda: wire.create("one-more", config()))

    says = ("holds 8 sessions", "delete one", "SHOAL_MAX_SESSIONS")
    Refusal("TOO_MANY_SESSIONS", says, code=EXHAUSTED).check(status)
    assert wire.create("s-0", config(), "first") == first
    wire.delete("s-3")
    assert wire.create("one-more", config()).name == "one-more"


@pytest.mark.parametrize("open_way", [*UPDATING, *ASSIGNING])
def test_a_batch_that_is_too_large_is_refused_alone(wire: Wire, name: str, open_way: type[Way]) -> None:
    wire.create(name, config(init=GOOD))
    wire.push(name, batch(GOOD))
    bad = batch(np.ones((MAX_BATCH // 8 + 1, 2), np.float32))
    says = ("points has 16,392 bytes", "takes 16,384", "split it")

    with open_way(wire, name) as way:
        check_refusal(way, bad, Refusal("BATCH_TOO_LARGE", says, "points", EXHAUSTED), batch(GOOD))


@pytest.mark.parametrize("open_way", UPDATING)
def test_weights_count_against_max_batch_bytes(wire: Wire, name: str, open_way: type[Way]) -> None:
    wire.create(name, config(init=GOOD))
    rows = MAX_BATCH // 16
    bad = batch(np.ones((rows + 1, 2), np.float32), sample_weight=np.ones(rows + 1))
    says = ("points with sample_weight has 16,400 bytes", "takes 16,384", "split it")
    largest = batch(np.ones((rows, 2), np.float32), sample_weight=np.ones(rows))

    with open_way(wire, name) as way:
        check_refusal(way, bad, Refusal("BATCH_TOO_LARGE", says, "points", EXHAUSTED), largest)


def test_the_opening_of_a_stream_returns_max_batch_bytes(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))

    with NamedIngest(wire, name) as way:
        assert way.opened.max_batch_bytes == MAX_BATCH


def test_a_message_that_is_too_large_fails_its_call_but_not_the_session(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    wire.push(name, batch(GOOD))
    huge = batch(np.ones((MAX_MESSAGE // 8, 2), np.float32), sequence=2)

    for call in (
        lambda: wire.push(name, huge),
        lambda: wire.assign(name, huge.points),
        lambda: list(
            wire.clustering.AssignStream(iter([clustering_pb2.AssignRequest(session=name, points=huge.points)]))
        ),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        check_refused_by_grpc(caught.value)

    assert wire.push(name, batch(GOOD)).version == 2


def test_a_producer_can_continue_after_a_message_that_is_too_large_ended_its_stream(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    huge = batch(np.ones((MAX_MESSAGE // 8, 2), np.float32), sequence=2)

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name, "tester"))
        stream.send(clustering_pb2.IngestRequest(batches=[batch(GOOD, sequence=1)]))
        assert stream.results(1)[0].version == 1
        stream.send(clustering_pb2.IngestRequest(batches=[huge]))
        with pytest.raises(grpc.RpcError) as caught:
            stream.receive()
    with NamedIngest(wire, name) as way:
        check_refused_by_grpc(caught.value)
        assert way.opened.last_sequence == 1
        assert way.accepted(batch(GOOD)).version == 2


@pytest.mark.parametrize("open_way", UPDATING)
@pytest.mark.parametrize(
    ("asked", "field", "says"),
    [
        (
            config(100, init_size=100),
            "n_clusters",
            ("n_clusters 100 times n_features 11", "allows 1,000", "n_clusters can be 90"),
        ),
        (config(10, init_size=200), "init_size", ("init_size 200 times n_features 11", "init_size can be 181")),
    ],
    ids=["k·d", "init_size·d"],
)
def test_a_first_batch_that_makes_the_model_too_large_is_refused(
    wire: Wire, name: str, open_way: type[Way], asked: sessions_pb2.SessionConfig, field: str, says: tuple[str, ...]
) -> None:
    before = wire.create(name, asked)

    with open_way(wire, name) as way:
        status = way.refused(batch(np.ones((3, 11), np.float32)))

        Refusal("TOO_MANY_VALUES", says, f"config.{field}", EXHAUSTED).check(status)
        assert wire.describe(name) == before
        result = way.accepted(batch(np.ones((3, 10), np.float32)))
        assert (result.accepted, result.warming.seen) == (3, 3)


def test_a_response_may_be_larger_than_max_message_bytes(wire: Wire, name: str) -> None:
    wire.create(name, config(init=[[0], [9]]))
    pixels = batch(np.arange(MAX_BATCH, dtype=np.uint8)[:, None] % 10, return_labels=True)
    expected = array(pixels.points)[:, 0] > 4

    pushed = wire.push(name, pixels)
    assigned = wire.assign(name, pixels.points, return_distances=True)
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        for _ in range(8):
            stream.send(clustering_pb2.IngestRequest(batches=[pixels] * 3))
        results = stream.results(24)

    assert pushed.ByteSize() > MAX_MESSAGE
    assert assigned.ByteSize() > 2 * MAX_MESSAGE
    np.testing.assert_array_equal(array(pushed.labels), expected)
    assert follow_one_another([pushed, *results])
    for result in results:
        np.testing.assert_array_equal(array(result.labels), expected)


def test_results_of_very_many_batches_come_in_messages_of_bounded_size(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    good, bad = np.ones((1, 2), np.uint8), np.ones((1, 3), np.uint8)
    numbers = range(1, 3 * MAX_UNANSWERED + 1)
    many = [batch(good if number % 3 else bad, sequence=number) for number in numbers]

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name, "tester"))
        stream.receive()
        stream.send(clustering_pb2.IngestRequest(batches=many))
        answers = stream.rest()

    results = [result for answer in answers for result in answer.results]
    assert [result.sequence for result in results] == [*numbers]
    assert [result.sequence for result in results if result.HasField("error")] == [*numbers[2::3]]
    applied = [result for result in results if result.version]
    assert (applied[0].version, len(applied)) == (1, 2 * MAX_UNANSWERED)
    assert follow_one_another(applied)
    assert max(len(answer.results) for answer in answers) <= MAX_UNANSWERED


def test_results_that_are_no_longer_kept_are_marked_forgotten(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    many = [batch(GOOD, sequence=number, return_labels=True) for number in range(1, 41)]

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name, "tester"))
        for each in many:
            stream.send(clustering_pb2.IngestRequest(batches=[each]))
        first = stream.results(len(many))
        stream.send(clustering_pb2.IngestRequest(batches=many, acknowledged=len(many) - 1))
        again = stream.results(len(many))

    room = SMALL["replay_bytes"] // ENTRY_BYTES
    oldest, bare, newest = again[: -room - 1], again[-room - 1 : -1], again[-1]
    assert oldest == [
        clustering_pb2.BatchResult(sequence=number, duplicate=True, forgotten=True)
        for number in range(1, len(many) - room)
    ]
    assert bare == [without_labels(result) for result in first[-room - 1 : -1]]
    assert newest == as_duplicate(first[-1])
    assert wire.describe(name).points_accepted == len(many) * len(GOOD)


def test_unacknowledged_batches_are_answered_again_with_their_whole_results(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    rows = np.tile(np.array(GOOD, np.float32), (500, 1))  # whose labels take nearly all that is kept without need
    many = [batch(rows, sequence=number, return_labels=True) for number in range(1, 31)]
    for_all = [clustering_pb2.IngestRequest(batches=many[first : first + 5]) for first in range(0, len(many), 5)]

    answers = []
    for _ in range(2):
        with Stream(wire.clustering.Ingest) as stream:
            stream.send(opening(name, "tester"))
            for request in for_all:
                stream.send(request)
            answers.append(stream.results(len(many)))

    assert answers[1] == [as_duplicate(result) for result in answers[0]]


def test_a_producer_name_above_the_limit_is_refused_and_earlier_ones_are_remembered(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    for number in range(SMALL["max_producers"]):
        wire.push(name, batch(GOOD, sequence=1), clustering_pb2.Producer(id=f"p-{number}"))
    too_many = Refusal("TOO_MANY_PRODUCERS", ("number of producer names (3)", "SHOAL_MAX_PRODUCERS"), code=EXHAUSTED)

    too_many.check(refused_call(lambda: wire.push(name, batch(GOOD, sequence=1), clustering_pb2.Producer(id="more"))))
    too_many.check(refused_call(lambda: list(wire.clustering.Ingest(iter([opening(name, "more")])))))

    again = wire.push(name, batch(GOOD, sequence=1), clustering_pb2.Producer(id="p-0"))
    assert again.duplicate
    assert wire.describe(name).points_accepted == SMALL["max_producers"] * len(GOOD)


def test_calls_of_unnamed_producers_do_not_displace_named_ones(
    small_server: LocalServer, wire: Wire, name: str
) -> None:
    wire.create(name, config(init=GOOD))
    with shoal.connect(small_server.target) as client:
        session, batches = client.session(name), [np.array(GOOD, np.float32)]
        list(session.ingest(batches, producer="nightly"))

        for _ in range(3 * SMALL["max_producers"]):
            list(session.ingest(batches))

        assert [result.duplicate for result in session.ingest(batches, producer="nightly")] == [True]


def without_labels(result: clustering_pb2.BatchResult) -> clustering_pb2.BatchResult:
    """Return the answer to a batch as it is given again when its labels have been forgotten."""
    again = as_duplicate(result)
    again.forgotten = True
    again.ClearField("labels")
    return again


def check_refused_by_grpc(error: grpc.RpcError) -> None:
    """Fail unless gRPC refused a message and named the maximum size."""
    assert error.code() is EXHAUSTED
    assert f"vs. {MAX_MESSAGE}" in str(error.details())
