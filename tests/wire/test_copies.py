"""Encoding copies an array once; decoding copies nothing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from shoal import wire
from shoal.v1 import clustering_pb2

POINTS = np.zeros((4096, 64), np.float32)  # 1 MiB
WEIGHT = np.ones(4096)
LABELS = np.zeros(2**18, np.int32)
BATCH = wire.Batch(wire.tensor_of(POINTS), wire.tensor_of(WEIGHT), 300, Timestamp(seconds=5), return_labels=True)
SCORES = np.ones(2**17)
SCORED = wire.BatchResult(
    clustering_pb2.BatchResult(sequence=300, outliers=3), wire.tensor_of(LABELS), wire.tensor_of(SCORES)
)
LABELLED = wire.BatchResult(clustering_pb2.BatchResult(sequence=300, inertia=1.5), wire.tensor_of(LABELS))

ENCODINGS: list[tuple[str, Callable[[], bytes], int]] = [
    ("ingest request", lambda: wire.encode_ingest_request(BATCH, 7), POINTS.nbytes + WEIGHT.nbytes),
    ("push request", lambda: wire.encode_push_request("s", BATCH, None), POINTS.nbytes + WEIGHT.nbytes),
    (
        "assign request",
        lambda: wire.encode_assign_request("s", wire.tensor_of(POINTS), return_distances=True),
        POINTS.nbytes,
    ),
    ("ingest response", lambda: wire.encode_ingest_response(wire.IngestResponse(None, [LABELLED])), LABELS.nbytes),
    ("batch result", lambda: wire.encode_batch_result(LABELLED), LABELS.nbytes),
    ("batch result with scores", lambda: wire.encode_batch_result(SCORED), LABELS.nbytes + SCORES.nbytes),
    (
        "assign response",
        lambda: wire.encode_assign_response(
            wire.AssignResponse(clustering_pb2.AssignResponse(version=9), LABELLED.labels, None)
        ),
        LABELS.nbytes,
    ),
]


@pytest.mark.parametrize(("encode", "size"), [each[1:] for each in ENCODINGS], ids=[each[0] for each in ENCODINGS])
def test_encoding_copies_an_array_once(encode: Callable[[], bytes], size: int) -> None:
    encode()  # what is kept for the next time isn't counted

    peak = peak_of(encode)

    assert size <= peak < 1.01 * size


def test_requests_as_any_grpc_client_writes_them_are_decoded_without_a_copy() -> None:
    batch = clustering_pb2.Batch(
        points=wire.tensor_message(POINTS),
        sample_weight=wire.tensor_message(WEIGHT),
        sequence=300,
        event_time=Timestamp(seconds=5),
        return_labels=True,
    )
    opening = clustering_pb2.IngestOpen(session="s", producer=clustering_pb2.Producer(id="p"))
    ingest = clustering_pb2.IngestRequest(open=opening, batches=[batch, batch], acknowledged=300).SerializeToString()
    push = clustering_pb2.PushRequest(session="s", batch=batch, producer=opening.producer).SerializeToString()
    assign = clustering_pb2.AssignRequest(session="s", points=batch.points, return_distances=True).SerializeToString()

    for each in wire.decode_ingest_request(ingest).batches:
        check_views(ingest, each.points, each.sample_weight)
    pushed = wire.decode_push_request(push).batch
    check_views(push, pushed.points, pushed.sample_weight)
    check_views(assign, wire.decode_assign_request(assign).points)


def test_responses_of_this_server_are_decoded_without_a_copy() -> None:
    tensor = wire.tensor_of(LABELS)
    ingest = wire.encode_ingest_response(wire.IngestResponse(None, [LABELLED, LABELLED]))
    push = wire.encode_batch_result(LABELLED)
    scored = wire.encode_ingest_response(wire.IngestResponse(None, [SCORED, SCORED._replace(labels=None), SCORED]))
    assign = wire.encode_assign_response(
        wire.AssignResponse(clustering_pb2.AssignResponse(version=9), tensor, tensor, tensor)
    )

    for result in wire.decode_ingest_response(ingest).results:
        check_views(ingest, result.labels)
    check_views(push, wire.decode_batch_result(push).labels)
    first, second, third = wire.decode_ingest_response(scored).results
    check_views(scored, first.labels, first.scores, second.scores, third.labels, third.scores)
    assigned = wire.decode_assign_response(assign)
    check_views(assign, assigned.labels, assigned.distances, assigned.scores)


def test_decoding_takes_no_memory_that_grows_with_the_array() -> None:
    contents = wire.encode_ingest_request(BATCH)

    assert peak_of(lambda: wire.decode_ingest_request(contents)) < 10_000


def check_views(contents: bytes, *tensors: wire.Tensor | None) -> None:
    whole = np.frombuffer(contents, np.uint8)
    for tensor in tensors:
        assert tensor is not None
        array = wire.array_of(tensor)
        assert array.nbytes > 1000
        assert np.shares_memory(whole, array)
        assert not array.flags.writeable


def peak_of(work: Callable[[], Any]) -> int:
    """Return the peak of additional bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
