"""The decoding of batches from the bytes of a message."""

from __future__ import annotations

import numpy as np
import pytest

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.rpc.batches import _fingerprint, decode_batch, in_own_memory
from tests.rpc.wire import batch

POINTS = np.arange(32, dtype=np.float32).reshape(8, 4)
WEIGHT = np.ones(8)


def decoded(message: clustering_pb2.Batch, before: bytes = b"") -> wire.Batch:
    contents = before + clustering_pb2.IngestRequest(batches=[message]).SerializeToString()
    return wire.decode_ingest_request(contents).batches[-1]


def test_decoded_points_are_a_view_of_the_messages_bytes() -> None:
    contents = clustering_pb2.IngestRequest(batches=[batch(POINTS), batch(POINTS + 1)]).SerializeToString()

    for received in wire.decode_ingest_request(contents).batches:
        decoded_batch = decode_batch(received, max_bytes=1000, is_sequenced=False)

        assert decoded_batch.refusal is None
        assert np.shares_memory(decoded_batch.points, np.frombuffer(contents, np.uint8))


def test_the_fingerprint_of_a_batch_ignores_its_sequence_and_other_batches() -> None:
    first = batch(POINTS, sample_weight=WEIGHT, event_time=5.0, sequence=3)
    again = batch(POINTS, sample_weight=WEIGHT, event_time=5.0, sequence=3_000, return_labels=True)
    other = clustering_pb2.IngestRequest(batches=[batch(POINTS)], acknowledged=2).SerializeToString()

    prints = {_fingerprint(decoded(first)), _fingerprint(decoded(again)), _fingerprint(decoded(first, before=other))}

    assert len(prints) == 1


def test_the_fingerprint_of_a_batch_does_not_depend_on_the_layout_of_the_message() -> None:
    message = batch(POINTS, sample_weight=WEIGHT)
    parts = [
        clustering_pb2.Batch(sequence=3),
        clustering_pb2.Batch(sample_weight=message.sample_weight),
        clustering_pb2.Batch(points=message.points),
    ]
    merged = b"".join(clustering_pb2.PushRequest(batch=part).SerializeToString() for part in parts)

    assert _fingerprint(wire.decode_push_request(merged).batch) == _fingerprint(decoded(message))


@pytest.mark.parametrize(
    "other",
    [
        batch(POINTS + 1),
        batch(POINTS.view(np.int32)),
        batch(POINTS.reshape(4, 8)),
        batch(POINTS, sample_weight=WEIGHT),
        batch(POINTS, sample_weight=WEIGHT + 1),
        batch(POINTS, event_time=5.0),
    ],
    ids=["values", "dtype", "shape", "weights", "other weights", "event time"],
)
def test_different_batches_have_different_fingerprints(other: clustering_pb2.Batch) -> None:
    assert _fingerprint(decoded(other)) != _fingerprint(decoded(batch(POINTS)))


def test_a_small_batch_in_a_large_message_is_copied_out_of_it() -> None:
    message = batch(POINTS)
    unknown = bytes(1 << 20)
    field = 100
    padding = bytes([(field << 3 | 2) & 0x7F | 0x80, field << 3 >> 7]) + b"\x80\x80\x40" + unknown
    contents = clustering_pb2.IngestRequest(batches=[message]).SerializeToString() + padding
    messages = wire.decode_ingest_request(contents).batches

    (own,) = in_own_memory([decode_batch(messages[0], max_bytes=1000, is_sequenced=False)], messages)

    np.testing.assert_array_equal(own.points, POINTS)
    assert not np.shares_memory(own.points, np.frombuffer(contents, np.uint8))


def test_batches_that_fill_their_message_stay_views_of_it() -> None:
    contents = clustering_pb2.IngestRequest(batches=[batch(np.resize(POINTS, (9000, 4)))] * 2).SerializeToString()
    messages = wire.decode_ingest_request(contents).batches
    batches = [decode_batch(message, max_bytes=1_000_000, is_sequenced=False) for message in messages]

    assert in_own_memory(batches, messages) is batches
