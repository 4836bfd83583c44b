"""The state of a pipelined call, without any I/O."""

from __future__ import annotations

import numpy as np
import pytest

from shoal import InternalError, PushResult, UnavailableError, wire
from shoal._ingest_stream import IngestCodec
from shoal._pipeline import MESSAGE_BYTES, WINDOW_BYTES, Pipeline
from shoal._retries import StreamRetries
from shoal.v1 import clustering_pb2

MANY = 10_000
OPENED = wire.IngestResponse(clustering_pb2.IngestOpened(session_uid="uid", epoch=3), [])


def new_pipeline(max_in_flight: int = MANY) -> Pipeline[PushResult]:
    producer = clustering_pb2.Producer(id="p")
    codec = IngestCodec("s", producer, first_sequence=1, return_labels=False, raise_errors=True)
    return Pipeline(codec, max_in_flight, StreamRetries())


def opened_pipeline(max_in_flight: int = MANY) -> Pipeline[PushResult]:
    pipeline = new_pipeline(max_in_flight)
    pipeline.connect()
    pipeline.next_request()
    pipeline.receive(OPENED)
    return pipeline


def take(pipeline: Pipeline[PushResult], *sizes: int) -> None:
    for size in sizes:
        pipeline.take(pipeline.encode_item(np.zeros((size, 1), np.uint8)))


def next_sequences(pipeline: Pipeline[PushResult]) -> list[int] | None:
    request = pipeline.next_request()
    return None if request is None else [batch.sequence for batch in parsed(request).batches]


def parsed(request: bytes | None) -> clustering_pb2.IngestRequest:
    assert request is not None
    return clustering_pb2.IngestRequest.FromString(request)


def result(*sequences: int) -> wire.IngestResponse:
    results = [clustering_pb2.BatchResult(sequence=sequence) for sequence in sequences]
    return wire.IngestResponse(None, [wire.BatchResult(each, None) for each in results])


def test_no_batch_is_sent_before_the_opening_is_answered() -> None:
    pipeline = new_pipeline()
    take(pipeline, 1)
    pipeline.connect()

    assert next_sequences(pipeline) == []
    assert next_sequences(pipeline) is None
    pipeline.receive(OPENED)

    assert next_sequences(pipeline) == [1]


def test_pipeline_sends_waiting_batches_in_one_message() -> None:
    pipeline = opened_pipeline()
    take(pipeline, *[10] * 300)

    assert next_sequences(pipeline) == list(range(1, 257))
    assert next_sequences(pipeline) == list(range(257, 301))
    assert next_sequences(pipeline) is None


def test_message_holds_at_most_one_megabyte_or_one_batch() -> None:
    pipeline = opened_pipeline()
    half = MESSAGE_BYTES // 2
    take(pipeline, half, half, 1, 3 * MESSAGE_BYTES, 1)

    assert next_sequences(pipeline) == [1, 2]
    assert next_sequences(pipeline) == [3]
    assert next_sequences(pipeline) == [4]
    assert next_sequences(pipeline) == [5]


def test_pipeline_has_room_until_max_in_flight_batches_are_pending() -> None:
    pipeline = opened_pipeline(max_in_flight=2)
    take(pipeline, 1)
    assert pipeline.has_room
    take(pipeline, 1)
    assert not pipeline.has_room

    pipeline.next_request()
    pipeline.receive(result(1))

    assert pipeline.has_room


def test_pipeline_has_no_room_once_the_pending_bytes_fill_the_window() -> None:
    pipeline = opened_pipeline()

    take(pipeline, WINDOW_BYTES - 1)
    assert pipeline.has_room
    take(pipeline, 1)

    assert not pipeline.has_room


def test_unanswered_batches_are_sent_again_on_the_next_connection() -> None:
    pipeline = opened_pipeline()
    take(pipeline, *[1] * 5)
    pipeline.next_request()
    pipeline.receive(result(1, 2))

    pipeline.reconnect_delay(UnavailableError("cut"), now=0.0)
    pipeline.connect()
    opening = parsed(pipeline.next_request())
    take(pipeline, 1)

    assert (opening.open.producer.id, opening.open.producer.epoch) == ("p", 3)
    assert next_sequences(pipeline) is None
    pipeline.receive(OPENED)
    assert next_sequences(pipeline) == [3, 4, 5, 6]


def test_every_request_acknowledges_the_received_results() -> None:
    pipeline = opened_pipeline()
    take(pipeline, *[1] * 3)
    first = parsed(pipeline.next_request())
    pipeline.receive(result(1, 2))

    take(pipeline, 1)
    second = parsed(pipeline.next_request())
    pipeline.connect()
    opening = parsed(pipeline.next_request())

    assert [request.acknowledged for request in (first, second, opening)] == [0, 2, 2]


def test_a_quiet_stream_that_was_resumed_is_resumed_again_after_any_time() -> None:
    pipeline = opened_pipeline()

    for now in (0.0, 100.0, 105.0, 2000.0):
        assert pipeline.reconnect_delay(UnavailableError("cut"), now) <= 0.1
        pipeline.connect()
        pipeline.next_request()
        pipeline.receive(OPENED)


def test_pipeline_is_done_when_the_source_has_ended_and_everything_is_answered() -> None:
    pipeline = opened_pipeline()
    take(pipeline, 1)
    pipeline.next_request()
    pipeline.end()
    assert pipeline.all_sent
    assert not pipeline.done

    pipeline.receive(result(1))

    assert pipeline.done
    assert pipeline.reconnect_delay(UnavailableError("cut"), now=0.0) == 0.0


@pytest.mark.parametrize("sequence", [0, 2, 7])
def test_a_result_of_another_batch_is_a_bug(sequence: int) -> None:
    pipeline = opened_pipeline()
    take(pipeline, 1, 1)
    pipeline.next_request()

    with pytest.raises(InternalError):
        pipeline.receive(result(sequence))


def test_a_result_before_its_batch_is_a_bug() -> None:
    pipeline = opened_pipeline()
    take(pipeline, 1)

    with pytest.raises(InternalError):
        pipeline.receive(result(1))


def test_stream_fails_when_the_server_repeatedly_fails_on_the_same_batch() -> None:
    pipeline = opened_pipeline()
    take(pipeline, 1)
    attempts = 0

    def try_again(now: float) -> float:
        nonlocal attempts
        attempts += 1
        pipeline.connect()
        pipeline.next_request()
        pipeline.receive(OPENED)
        pipeline.next_request()
        return now + pipeline.reconnect_delay(UnavailableError("cut"), now)

    now = 0.0
    with pytest.raises(UnavailableError):  # noqa: PT012  (the loop is the point)
        while now < 3600.0:
            now = try_again(now)

    assert now <= 60.0
    assert attempts > 10
