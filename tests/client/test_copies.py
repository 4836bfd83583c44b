"""How often the client copies an array: counted, since copies of large batches cost more than all else here."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from shoal import PushResult, _calls, wire
from shoal._assign_stream import assign_pipeline
from shoal._ingest_stream import ingest_pipeline
from shoal._pipeline import Pipeline
from shoal.v1 import clustering_pb2

LARGE = np.ones((16_384, 16), np.float32)  # 1 MiB
SMALL = np.ones((1_024, 16), np.float32)  # 64 KiB


def open_pipeline() -> Pipeline[PushResult]:
    pipeline = ingest_pipeline(
        "s",
        [],
        producer="p",
        first_sequence=1,
        return_labels=True,
        max_in_flight=100,
        on_error="raise",
        timeout=1.0,
    )
    pipeline.connect()
    pipeline.next_request()
    pipeline.receive(wire.IngestResponse(clustering_pb2.IngestOpened(session_uid="uid"), []))
    return pipeline


def results(*sequences: int) -> wire.IngestResponse:
    messages = [clustering_pb2.BatchResult(sequence=sequence) for sequence in sequences]
    return wire.IngestResponse(None, [wire.BatchResult(message, None) for message in messages])


def parsed(request: bytes | None) -> clustering_pb2.IngestRequest:
    assert request is not None
    return clustering_pb2.IngestRequest.FromString(request)


def test_a_pushed_array_is_copied_once() -> None:
    def push() -> object:
        return _calls.push("s", LARGE, return_labels=False, producer=None, sequence=None)

    assert copies(push, LARGE.nbytes) == 1


def test_an_assigned_array_is_copied_once() -> None:
    assert copies(lambda: _calls.assign("s", LARGE, return_distances=True), LARGE.nbytes) == 1


def test_a_streamed_array_to_assign_is_copied_once() -> None:
    pipeline = assign_pipeline("s", [], return_distances=False, max_in_flight=1, timeout=1.0)
    pipeline.connect()
    pipeline.next_request()

    assert copies(lambda: sent(pipeline, LARGE), LARGE.nbytes) == 1


def test_a_large_ingested_batch_is_copied_once() -> None:
    pipeline = open_pipeline()

    assert copies(lambda: sent(pipeline, LARGE), LARGE.nbytes) == 1


def test_small_ingested_batches_are_copied_once_each_and_once_into_their_message() -> None:
    pipeline = open_pipeline()

    assert copies(lambda: sent(pipeline, *[SMALL] * 16), 16 * SMALL.nbytes) == 2


def test_array_may_be_overwritten_as_soon_as_it_is_encoded() -> None:
    for shape in (LARGE.shape, SMALL.shape):
        pipeline = open_pipeline()
        points = np.ones(shape, np.float32)
        pipeline.take(pipeline.encode_item(points))

        points[:] = 2

        (batch,) = parsed(pipeline.next_request()).batches
        assert (wire.array_of(batch.points) == 1).all()


def test_large_batch_acknowledges_what_was_received_when_it_was_encoded() -> None:
    pipeline = open_pipeline()
    sent(pipeline, LARGE)
    pipeline.receive(results(1))

    request = parsed(sent(pipeline, LARGE))

    assert ([batch.sequence for batch in request.batches], request.acknowledged) == ([2], 1)


def test_message_of_mixed_batches_acknowledges_what_has_been_received_by_now() -> None:
    pipeline = open_pipeline()
    sent(pipeline, SMALL)
    large = np.ones((9_000, 16), np.float32)
    for points in (SMALL, large):
        pipeline.take(pipeline.encode_item(points))
    pipeline.receive(results(1))

    request = parsed(pipeline.next_request())

    assert ([batch.sequence for batch in request.batches], request.acknowledged) == ([2, 3], 1)


def sent(pipeline: Pipeline[Any], *arrays: Any) -> bytes | None:
    for array in arrays:
        pipeline.take(pipeline.encode_item(array))
    return pipeline.next_request()


def copies(work: Callable[[], object], size: int) -> int:
    """Return how many times `size` bytes were there at once, at most, beyond those before."""
    tracemalloc.start()
    try:
        work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak % size < 0.05 * size, peak / size
    return peak // size
