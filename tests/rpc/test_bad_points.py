"""Invalid points are refused in the same way by every method; they change nothing and end no stream."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.v1 import clustering_pb2
from tests.rpc.bad_batches import BAD_BATCHES, BadBatch
from tests.rpc.bad_points import BAD_POINTS, GOOD, BadPoints, euclidean
from tests.rpc.ways import ASSIGNING, UPDATING, Ingest, Stream, Way, as_duplicate, check_refusal, opening
from tests.rpc.wire import Wire, array, batch, tensor
from tests.versions import follow_one_another

TYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("case", BAD_POINTS, ids=str)
@pytest.mark.parametrize("open_way", [*UPDATING, *ASSIGNING])
def test_invalid_points_are_refused_and_the_next_ones_accepted(
    wire: Wire, name: str, open_way: type[Way], case: BadPoints
) -> None:
    wire.create(name, case.config)
    wire.push(name, batch(GOOD))

    with open_way(wire, name) as way:
        check_refusal(way, batch(case.points), case.refusal, batch(GOOD))


@pytest.mark.parametrize("case", BAD_BATCHES, ids=str)
@pytest.mark.parametrize("open_way", UPDATING)
def test_an_invalid_batch_is_refused_and_the_next_one_accepted(
    wire: Wire, name: str, open_way: type[Way], case: BadBatch
) -> None:
    wire.create(name, case.config)
    wire.push(name, case.good)

    with open_way(wire, name) as way:
        check_refusal(way, case.batch, case.refusal, case.good)


def test_invalid_batches_among_valid_ones_in_a_message_are_refused_alone(wire: Wire, name: str) -> None:
    wire.create(name, euclidean())
    wire.push(name, batch(GOOD))
    bad = [case for case in BAD_BATCHES if case.config == euclidean()]
    mixed = [message for case in bad for message in (case.batch, case.good)]

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.send(clustering_pb2.IngestRequest(batches=mixed))
        results = [result for response in stream.rest() for result in response.results]

    assert [result.HasField("error") for result in results] == [True, False] * len(bad)
    assert results[1].version == 2
    assert follow_one_another(results[1::2])
    assert wire.describe(name).points_accepted == len(GOOD) * (1 + len(bad))


def test_a_refused_batch_uses_up_its_sequence_and_is_refused_again(wire: Wire, name: str) -> None:
    wire.create(name, euclidean())
    bad, good = batch([[1, 2, 3]], sequence=1), batch(GOOD, sequence=2)
    cut = batch(tensor(GOOD, contents=b""), sequence=3)

    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name, "tester"))
        stream.send(clustering_pb2.IngestRequest(batches=[bad, good, cut, bad, good, cut]))
        opened, *answers = stream.rest()
    results = [result for response in answers for result in response.results]
    with Stream(wire.clustering.Ingest) as again:
        again.send(opening(name, "tester"))
        reopened = again.receive().opened

    assert (opened.opened.last_sequence, reopened.last_sequence) == (0, 3)
    assert [result.sequence for result in results] == [1, 2, 3, 1, 2, 3]
    assert results[3:] == [results[0], as_duplicate(results[1]), results[2]]
    assert wire.describe(name).version == 1


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("open_way", ASSIGNING)
def test_points_of_any_type_can_be_assigned(wire: Wire, name: str, open_way: type[Way], dtype: str) -> None:
    wire.create(name, euclidean())
    wire.push(name, batch(GOOD))

    with open_way(wire, name) as way:
        answer = way.accepted(batch(np.array(GOOD, dtype)))

    assert array(answer.labels).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "int16", "uint8", "uint16"])
@pytest.mark.parametrize("open_way", UPDATING)
def test_points_of_types_that_convert_without_loss_can_be_mixed(
    wire: Wire, name: str, open_way: type[Way], dtype: str
) -> None:
    wire.create(name, euclidean())
    wire.push(name, batch(GOOD))

    with open_way(wire, name) as way:
        result = way.accepted(batch(np.array(GOOD, dtype)))

    assert (result.version, result.accepted, result.dropped) == (2, 2, 0)


def test_an_ingest_stream_without_batches_ends_with_ok(wire: Wire, name: str) -> None:
    wire.create(name, euclidean())

    with Ingest(wire, name) as way:
        assert way.opened.session_uid == wire.describe(name).uid
