"""The order of an Ingest stream's messages, and producers: sequences, epochs, repeated results."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from shoal.v1 import clustering_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.refusals import Refusal, as_google, refused_call
from tests.rpc.ways import Stream, as_duplicate, opening
from tests.rpc.wire import Wire, batch, config

NOT_OPENED = Refusal("STREAM_NOT_OPENED", ("first message", "has no open", "begin with session and producer"), "open")


@pytest.fixture
def session(wire: Wire, name: str) -> str:
    wire.create(name, config(init=GOOD))
    return name


def batches(*messages: clustering_pb2.Batch) -> clustering_pb2.IngestRequest:
    return clustering_pb2.IngestRequest(batches=messages)


def numbered(sequence: int, points: Any = GOOD) -> clustering_pb2.Batch:
    return batch(points, sequence=sequence)


@pytest.mark.parametrize("requests", [[], [batches()], [batches(batch(GOOD))]], ids=["nothing", "empty", "a batch"])
def test_a_stream_that_is_not_opened_is_refused(
    wire: Wire, session: str, requests: list[clustering_pb2.IngestRequest]
) -> None:
    status = refused_call(lambda: list(wire.clustering.Ingest(iter(requests))))

    NOT_OPENED.check(status)
    assert wire.describe(session).version == 0


def test_a_stream_that_is_opened_twice_ends_after_the_answers_to_what_came_before(wire: Wire, session: str) -> None:
    requests = [opening(session), batches(batch(GOOD)), opening(session), batches(batch(GOOD))]
    call = wire.clustering.Ingest(iter(requests))
    answers = [next(call), next(call)]

    status = refused_call(lambda: next(call))

    Refusal("STREAM_OPENED_TWICE", ("open is for the first message",), "open").check(status)
    assert [result.version for answer in answers for result in answer.results] == [1]
    assert wire.describe(session).version == 1


def test_the_opening_message_may_carry_batches(wire: Wire, session: str) -> None:
    first = opening(session, "tester")
    first.batches.append(numbered(1))

    opened, answer = wire.clustering.Ingest(iter([first]))

    assert opened.opened.session_uid == wire.describe(session).uid
    assert [result.version for result in answer.results] == [1]


@pytest.mark.parametrize(
    ("producer", "refusal"),
    [
        (
            clustering_pb2.Producer(id="x" * 129),
            Refusal("PRODUCER_INVALID", ("129 characters", "at most 128"), "producer.id"),
        ),
        (
            clustering_pb2.Producer(id="x" * 100_000),
            Refusal("PRODUCER_INVALID", ("100000 characters", "at most 128"), "producer.id"),
        ),
        (
            clustering_pb2.Producer(id="x", epoch=-1),
            Refusal("PRODUCER_INVALID", ("epoch is -1", "0 or more"), "producer.epoch"),
        ),
    ],
    ids=["long", "very long", "epoch"],
)
def test_an_invalid_producer_is_refused_by_push_and_ingest(
    wire: Wire, session: str, producer: clustering_pb2.Producer, refusal: Refusal
) -> None:
    request = clustering_pb2.IngestRequest(open=clustering_pb2.IngestOpen(session=session, producer=producer))

    refusal.check(refused_call(lambda: list(wire.clustering.Ingest(iter([request])))))
    refusal.check(refused_call(lambda: wire.push(session, numbered(1), producer)))

    assert wire.describe(session).version == 0


BAD_SEQUENCES = [
    (numbered(4), Refusal("SEQUENCE_GAP", ("sequence 4 of producer 'tester'", "the next is 3"), "sequence")),
    (numbered(2**63 - 1), Refusal("SEQUENCE_GAP", ("leaves a gap", "the next is 3"), "sequence")),
    (numbered(0), Refusal("SEQUENCE_MISSING", ("sequence is 0", "counted from 1"), "sequence")),
    (numbered(-1), Refusal("SEQUENCE_MISSING", ("sequence is -1", "counted from 1"), "sequence")),
    (
        numbered(2, [[5, 5]]),
        Refusal(
            "SEQUENCE_REUSED",
            ("sequence 2 of producer 'tester'", "other points", "each batch a sequence of its own"),
            "sequence",
        ),
    ),
    (
        batch(GOOD, sequence=2, sample_weight=[1, 2]),
        Refusal("SEQUENCE_REUSED", ("sequence 2 of producer 'tester'", "other points"), "sequence"),
    ),
    (
        numbered(2, [[5, 5, 5]]),
        Refusal("SEQUENCE_REUSED", ("sequence 2 of producer 'tester'", "other points"), "sequence"),
    ),
]


@pytest.mark.parametrize(
    ("bad", "refusal"), BAD_SEQUENCES, ids=[f"{each.reason} {bad.sequence}" for bad, each in BAD_SEQUENCES]
)
def test_push_and_ingest_refuse_an_invalid_sequence_and_accept_the_next_one(
    wire: Wire, session: str, bad: clustering_pb2.Batch, refusal: Refusal
) -> None:
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(session, "tester"))
        stream.send(batches(numbered(1), numbered(2)))
        assert [result.version for result in stream.results(2)] == [1, 2]
        before = wire.describe(session)

        stream.send(batches(bad))
        (result,) = stream.results(1)
        status = refused_call(lambda: wire.push(session, bad, clustering_pb2.Producer(id="tester")))

        refusal.check(as_google(result.error))
        refusal.check(status)
        assert result.sequence == bad.sequence
        assert wire.describe(session) == before
        stream.send(batches(numbered(3)))
        assert stream.results(1)[0].version == 3


def test_a_repeated_batch_is_answered_again_and_not_applied_again(wire: Wire, session: str) -> None:
    producer = clustering_pb2.Producer(id="tester")
    asking = batch(GOOD, sequence=1, return_labels=True)

    first = wire.push(session, asking, producer)
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(session, "tester"))
        assert stream.receive().opened.last_sequence == 1
        stream.send(batches(asking, numbered(2)))
        again, second = stream.results(2)
    third = wire.push(session, asking, producer)

    assert (first.duplicate, again.duplicate, second.duplicate) == (False, True, False)
    assert (first.version, second.version) == (1, 2)
    assert again == third == as_duplicate(first)
    assert wire.describe(session).points_accepted == 2 * len(GOOD)


def test_batches_of_an_unnamed_producer_are_never_duplicates(wire: Wire, session: str) -> None:
    results = [wire.push(session, numbered(1)) for _ in range(3)]

    assert [(result.version, result.sequence, result.duplicate) for result in results] == [
        (1, 1, False),
        (2, 1, False),
        (3, 1, False),
    ]


def test_a_newer_epoch_fences_the_older_one(wire: Wire, session: str) -> None:
    says = ("epoch 1", "epoch 2 is in force", "another instance", "begin a new stream", "without an epoch")
    fenced = Refusal("PRODUCER_FENCED", says, code=grpc.StatusCode.ABORTED)
    with Stream(wire.clustering.Ingest) as older, Stream(wire.clustering.Ingest) as newer:
        older.send(opening(session, "tester"))
        assert older.receive().opened.epoch == 1
        older.send(batches(numbered(1)))
        assert older.results(1)[0].version == 1
        newer.send(opening(session, "tester"))
        opened = newer.receive().opened
        assert (opened.epoch, opened.last_sequence) == (2, 1)

        older.send(batches(numbered(2)))
        fenced.check(refused_call(older.receive))
        fenced.check(
            refused_call(lambda: wire.push(session, numbered(2), clustering_pb2.Producer(id="tester", epoch=1)))
        )
        fenced.check(refused_call(lambda: list(wire.clustering.Ingest(iter([opening(session, "tester", 1)])))))

        newer.send(batches(numbered(2)))
        assert newer.results(1)[0].version == 2


def test_a_producer_may_choose_its_epoch(wire: Wire, session: str) -> None:
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(session, "tester", 41))
        assert stream.receive().opened.epoch == 41
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(session, "tester"))
        assert stream.receive().opened.epoch == 42
