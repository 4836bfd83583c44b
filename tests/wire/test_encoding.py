"""The generated classes read what the codec encodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shoal import wire
from shoal.v1 import clustering_pb2, errors_pb2, sessions_pb2, tensor_pb2
from tests.wire.arbitrary import UNHURRIED

DTYPES = st.sampled_from([*wire.DTYPES.values(), *(dtype.newbyteorder(">") for dtype in wire.DTYPES.values())])
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(max_dims=3, max_side=9) | st.just((0, 2))).map(
    lambda array: array[::-1] if len(array) % 2 else array.T  # other layouts than row after row
)
SEQUENCES = st.integers(0, 2**63 - 1)
BATCHES = st.builds(
    wire.Batch,
    points=ARRAYS.map(wire.tensor_of),
    sample_weight=st.none() | ARRAYS.map(wire.tensor_of),
    sequence=SEQUENCES,
    event_time=st.none() | st.builds(Timestamp, seconds=st.integers(-(10**9), 10**9), nanos=st.integers(0, 10**9 - 1)),
    return_labels=st.booleans(),
    return_scores=st.booleans(),
)
RESULTS = st.builds(
    wire.BatchResult,
    message=st.builds(
        clustering_pb2.BatchResult,
        sequence=SEQUENCES,
        inertia=st.floats(allow_nan=False),
        warming=st.none() | st.just(sessions_pb2.Warming(seen=1, needed=2)),
        error=st.none() | st.just(errors_pb2.Status(code=3, message="wrong")),
        refined=st.booleans(),
        outliers=st.integers(0, 2**63 - 1),
    ),
    labels=st.none() | ARRAYS.map(wire.tensor_of),
    scores=st.none() | ARRAYS.map(wire.tensor_of),
)


@UNHURRIED
@given(ARRAYS)
def test_an_array_of_any_layout_is_decoded_unchanged(array: Any) -> None:
    message = tensor_pb2.Tensor.FromString(wire.tensor_message(array).SerializeToString())

    assert np.array_equal(wire.array_of(message), array, equal_nan=array.dtype.kind == "f")
    assert wire.array_of(wire.tensor_of(array)).tobytes() == message.data


@UNHURRIED
@given(st.lists(st.tuples(BATCHES, SEQUENCES), max_size=4))
def test_concatenated_requests_are_one_request(parts: list[tuple[wire.Batch, int]]) -> None:
    contents = b"".join(wire.encode_ingest_request(batch, acknowledged) for batch, acknowledged in parts)

    acknowledged = [each for _, each in parts if each]
    expected = clustering_pb2.IngestRequest(
        batches=[as_message(batch) for batch, _ in parts], acknowledged=acknowledged[-1] if acknowledged else 0
    )
    assert clustering_pb2.IngestRequest.FromString(contents) == expected


@UNHURRIED
@given(st.text(max_size=5), BATCHES, st.none() | st.builds(clustering_pb2.Producer, id=st.text(max_size=5)))
def test_a_push_request_is_decoded_as_encoded(
    session: str, batch: wire.Batch, producer: clustering_pb2.Producer | None
) -> None:
    contents = wire.encode_push_request(session, batch, producer)

    expected = clustering_pb2.PushRequest(session=session, batch=as_message(batch), producer=producer)
    assert clustering_pb2.PushRequest.FromString(contents) == expected


@UNHURRIED
@given(st.text(max_size=5), ARRAYS, st.booleans(), st.booleans())
def test_an_assign_request_is_decoded_as_encoded(session: str, points: Any, distances: bool, scores: bool) -> None:
    contents = wire.encode_assign_request(
        session, wire.tensor_of(points), return_distances=distances, return_scores=scores
    )

    expected = clustering_pb2.AssignRequest(
        session=session, points=wire.tensor_message(points), return_distances=distances, return_scores=scores
    )
    assert clustering_pb2.AssignRequest.FromString(contents) == expected


@UNHURRIED
@given(st.none() | st.just(clustering_pb2.IngestOpened(session_uid="u")), st.lists(RESULTS, max_size=4))
def test_an_ingest_response_is_decoded_as_encoded(
    opened: clustering_pb2.IngestOpened | None, results: list[wire.BatchResult]
) -> None:
    contents = wire.encode_ingest_response(wire.IngestResponse(opened, results))

    expected = clustering_pb2.IngestResponse(opened=opened, results=[as_result(result) for result in results])
    assert clustering_pb2.IngestResponse.FromString(contents) == expected


@UNHURRIED
@given(RESULTS)
def test_a_push_response_is_decoded_as_encoded(result: wire.BatchResult) -> None:
    contents = wire.encode_batch_result(result)

    assert clustering_pb2.BatchResult.FromString(contents) == as_result(result)


@pytest.mark.parametrize("scores", [None, np.array([0.001, 1.0])], ids=["", "scores"])
@pytest.mark.parametrize("distances", [None, np.array([0.5, 2.0], np.float32)], ids=["labels", "distances"])
def test_an_assign_response_is_decoded_as_encoded(distances: Any, scores: Any) -> None:
    labels = np.array([3, 0], np.int32)
    message = clustering_pb2.AssignResponse(version=7)

    contents = wire.encode_assign_response(
        wire.AssignResponse(
            message,
            wire.tensor_of(labels),
            None if distances is None else wire.tensor_of(distances),
            None if scores is None else wire.tensor_of(scores),
        )
    )

    expected = clustering_pb2.AssignResponse(version=7, labels=wire.tensor_message(labels))
    if distances is not None:
        expected.distances.CopyFrom(wire.tensor_message(distances))
    if scores is not None:
        expected.scores.CopyFrom(wire.tensor_message(scores))
    assert clustering_pb2.AssignResponse.FromString(contents) == expected


def as_message(batch: wire.Batch) -> clustering_pb2.Batch:
    message = clustering_pb2.Batch(
        points=wire.tensor_message(wire.array_of(batch.points)),
        sequence=batch.sequence,
        event_time=batch.event_time,
        return_labels=batch.return_labels,
        return_scores=batch.return_scores,
    )
    if batch.sample_weight is not None:
        message.sample_weight.CopyFrom(wire.tensor_message(wire.array_of(batch.sample_weight)))
    return message


def as_result(result: wire.BatchResult) -> clustering_pb2.BatchResult:
    message = clustering_pb2.BatchResult()
    message.CopyFrom(result.message)
    if result.labels is not None:
        message.labels.CopyFrom(wire.tensor_message(wire.array_of(result.labels)))
    if result.scores is not None:
        message.scores.CopyFrom(wire.tensor_message(wire.array_of(result.scores)))
    return message
