"""The codec and the generated classes read the same from any bytes, or both refuse them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from shoal import wire
from shoal.v1 import clustering_pb2, tensor_pb2
from shoal.wire.fields import field as before
from shoal.wire.parsing import MAX_AXES
from tests.wire.arbitrary import UNHURRIED, corrupted, encodings, messages


@dataclass
class Kind:
    generated: type[Any]
    decode: Callable[[bytes], Any]
    read: Callable[[Any], Any]  # what a generated message says, as the codec says it

    def __str__(self) -> str:
        return self.generated.__name__


def tensor(message: tensor_pb2.Tensor) -> wire.Tensor:
    return wire.Tensor(message.dtype, tuple(message.shape), message.data)


def labels_of(message: Any, field: str = "labels") -> wire.Tensor | None:
    return tensor(getattr(message, field)) if message.HasField(field) else None


def batch(message: clustering_pb2.Batch) -> wire.Batch:
    event_time = message.event_time if message.HasField("event_time") else None
    return wire.Batch(
        tensor(message.points),
        labels_of(message, "sample_weight"),
        message.sequence,
        event_time,
        message.return_labels,
        message.return_scores,
    )


def ingest_request(message: clustering_pb2.IngestRequest) -> wire.IngestRequest:
    opening = message.open if message.HasField("open") else None
    return wire.IngestRequest(opening, [batch(each) for each in message.batches], message.acknowledged)


def ingest_response(message: clustering_pb2.IngestResponse) -> wire.IngestResponse:
    opened = message.opened if message.HasField("opened") else None
    return wire.IngestResponse(opened, [batch_result(each) for each in message.results])


def batch_result(message: clustering_pb2.BatchResult) -> wire.BatchResult:
    return wire.BatchResult(message, labels_of(message), labels_of(message, "scores"))


def assign_response(message: clustering_pb2.AssignResponse) -> wire.AssignResponse:
    return wire.AssignResponse(
        message, labels_of(message), labels_of(message, "distances"), labels_of(message, "scores")
    )


KINDS = [
    Kind(clustering_pb2.IngestRequest, wire.decode_ingest_request, ingest_request),
    Kind(
        clustering_pb2.PushRequest,
        wire.decode_push_request,
        lambda message: wire.PushRequest(message.session, batch(message.batch), message.producer),
    ),
    Kind(
        clustering_pb2.AssignRequest,
        wire.decode_assign_request,
        lambda message: wire.AssignRequest(
            message.session, tensor(message.points), message.return_distances, message.return_scores
        ),
    ),
    Kind(clustering_pb2.IngestResponse, wire.decode_ingest_response, ingest_response),
    Kind(clustering_pb2.BatchResult, wire.decode_batch_result, batch_result),
    Kind(clustering_pb2.AssignResponse, wire.decode_assign_response, assign_response),
]
OF_EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=str)


@OF_EACH_KIND
@UNHURRIED
@given(data=st.data())
def test_codec_and_generated_classes_read_the_same_from_a_message(kind: Kind, data: st.DataObject) -> None:
    contents = data.draw(messages(kind.generated)).SerializeToString()

    assert plain(kind.decode(contents)) == plain(kind.read(kind.generated.FromString(contents)))


@OF_EACH_KIND
@UNHURRIED
@given(data=st.data())
def test_codec_and_generated_classes_accept_and_refuse_the_same_bytes(kind: Kind, data: st.DataObject) -> None:
    contents = data.draw(encodings(kind.generated) | st.binary(max_size=40))

    check(kind, contents)


def tensor_bytes(*fields: dict[str, Any]) -> bytes:
    """Return a tensor with fields in this order."""
    return b"".join(tensor_pb2.Tensor(**each).SerializeToString() for each in fields)


ORDINARY = tensor_bytes({"dtype": 2}, {"shape": [1, 1]}, {"data": b"\x18\x01\x18\x02"})  # the contents could be fields
TWO_CONTENTS = ORDINARY + tensor_bytes({"data": b"1234"})
TYPE_LAST = ORDINARY + tensor_bytes({"dtype": 5})
POINTS, WEIGHT = (before(number, len(ORDINARY)) + ORDINARY for number in (1, 2))
SEQUENCE = b"\x18\x07"


def batches(*bodies: bytes, cut: int = 0) -> bytes:
    """Return a request of batches with these bytes, each said to be shorter than it is."""
    return b"".join(before(2, len(body) - cut) + body for body in bodies)


CRAFTED = {
    "points that are longer than their batch": batches(POINTS, cut=4),
    "points like the ones before that are longer than their batch": batches(POINTS) + batches(POINTS, cut=4),
    "weights that are longer than their batch": batches(POINTS + WEIGHT, cut=4),
    "points twice": batches(POINTS + POINTS),
    "points after the sequence too": batches(POINTS + SEQUENCE + POINTS),
    "weights after the sequence": batches(POINTS + SEQUENCE + WEIGHT),
    "weights twice": batches(POINTS + WEIGHT + WEIGHT),
    "points to assign twice": WEIGHT + WEIGHT,
    "a batch to push twice": batches(POINTS, SEQUENCE),
    "contents twice": batches(before(1, len(TWO_CONTENTS)) + TWO_CONTENTS),
    "the type last": batches(before(1, len(TYPE_LAST)) + TYPE_LAST),
    "a batch after a later release's field": batches(POINTS) + b"\xfa\x3f\x03new" + batches(POINTS),
    "a batch that ends after the message": batches(POINTS)[:-2],
    "a length with more bytes than it needs": b"\x12" + bytes([len(POINTS) | 0x80, 0]) + POINTS,
    "a length without end": b"\x12\xff\xff\xff\xff\xff\xff" + POINTS,
    "a number without end": batches(POINTS + b"\x18" + b"\xff" * 100),
    "a tag without end": b"\xff" * 100,
    "a group": batches(POINTS + b"\x7b\x08\x01\x12\x02ab\x7b\x7c\x7c" + SEQUENCE),
    "a group that is another one at its end": batches(POINTS + b"\x7b\x08\x01\x74"),
    "the end of a group that has no beginning": batches(POINTS + b"\x7c"),
    "a field 0": batches(POINTS) + b"\x02\x01a",
    "a wire type that there is not": batches(POINTS) + b"\x0f",
}


@OF_EACH_KIND
@pytest.mark.parametrize("contents", CRAFTED.values(), ids=CRAFTED)
def test_codec_and_generated_classes_read_the_same_from_handmade_bytes(kind: Kind, contents: bytes) -> None:
    check(kind, contents)


LABELS = st.none() | st.sampled_from([1, 31, 1024, 1500]).map(lambda n: wire.tensor_of(np.arange(n, dtype=np.int32)))
SCORES = st.none() | st.sampled_from([1, 700]).map(lambda n: wire.tensor_of(np.linspace(0.1, 1, n)))
RESULTS = st.builds(wire.BatchResult, messages(clustering_pb2.BatchResult), LABELS, SCORES)
ASSIGNMENTS = st.builds(wire.AssignResponse, messages(clustering_pb2.AssignResponse), LABELS, LABELS, SCORES)
RESPONSES = st.builds(wire.IngestResponse, st.none(), st.lists(RESULTS, max_size=3))
BY_THE_SERVER = {
    "IngestResponse": RESPONSES.map(wire.encode_ingest_response),
    "BatchResult": RESULTS.map(wire.encode_batch_result),
    "AssignResponse": ASSIGNMENTS.map(wire.encode_assign_response),
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if str(kind) in BY_THE_SERVER], ids=str)
@UNHURRIED
@given(data=st.data())
def test_codec_and_generated_classes_accept_and_refuse_the_same_responses(kind: Kind, data: st.DataObject) -> None:
    encoded = BY_THE_SERVER[str(kind)]

    check(kind, data.draw(encoded | corrupted(encoded)))


def check(kind: Kind, contents: bytes) -> None:
    """Fail unless both read the same in the bytes, or neither takes them."""
    try:
        message = kind.generated.FromString(contents)
    except DecodeError:
        with pytest.raises(DecodeError):
            kind.decode(contents)
    else:
        assert plain(kind.decode(contents)) == plain(kind.read(message))


def plain(value: Any) -> Any:
    """Return what can be compared: NaN equals itself, and an array its bytes.

    Nobody reads the fields of a later release, nor more axes of a tensor than the one that is too many.
    """
    if isinstance(value, wire.Tensor):
        return [value.dtype, value.shape[: MAX_AXES + 1], bytes(value.data)]
    if isinstance(value, Message):
        rest = type(value)()
        rest.CopyFrom(value)
        rest.DiscardUnknownFields()
        for name in ("labels", "distances", "scores"):
            if name in rest.DESCRIPTOR.fields_by_name:
                rest.ClearField(name)
        return rest.SerializeToString(deterministic=True)
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return bytes(value) if isinstance(value, memoryview) else value
