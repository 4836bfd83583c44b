"""Requests that carry points: encoded by the client, decoded by the server."""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from shoal.v1 import clustering_pb2
from shoal.wire.fields import LEFT_TO_GENERATED, Cutter, Unusual, field, message_of, number, span, tag_of
from shoal.wire.parsing import M, MessageTooLargeError, Parsed, Parser
from shoal.wire.tensors import Contents, Tensor

MAX_BATCHES = 4096
"""Maximum number of batches in a message."""

# Bytes besides the arrays that a request, or a batch of one, has at most as serializers write it.
_MAX_REST = 4096
_MAX_BATCH_REST = 64
_MAX_PARTS = 64  # of a request besides its batches, from there on it is parsed as a whole

_OPEN = tag_of(clustering_pb2.IngestRequest.OPEN_FIELD_NUMBER)
_BATCHES = tag_of(clustering_pb2.IngestRequest.BATCHES_FIELD_NUMBER)
_ACKNOWLEDGED = clustering_pb2.IngestRequest.ACKNOWLEDGED_FIELD_NUMBER << 3  # a number
_BATCH_POINTS = tag_of(clustering_pb2.Batch.POINTS_FIELD_NUMBER)
_BATCH_WEIGHT = tag_of(clustering_pb2.Batch.SAMPLE_WEIGHT_FIELD_NUMBER)
_BATCH_SEQUENCE = bytes([clustering_pb2.Batch.SEQUENCE_FIELD_NUMBER << 3])
_PUSH_SESSION = tag_of(clustering_pb2.PushRequest.SESSION_FIELD_NUMBER)
_PUSH_BATCH = tag_of(clustering_pb2.PushRequest.BATCH_FIELD_NUMBER)
_ASSIGN_SESSION = tag_of(clustering_pb2.AssignRequest.SESSION_FIELD_NUMBER)
_ASSIGN_POINTS = tag_of(clustering_pb2.AssignRequest.POINTS_FIELD_NUMBER)


class Batch(NamedTuple):
    """shoal.v1.Batch."""

    points: Tensor
    sample_weight: Tensor | None
    sequence: int
    event_time: Timestamp | None
    return_labels: bool
    return_scores: bool = False


class IngestRequest(NamedTuple):
    """shoal.v1.IngestRequest."""

    open: clustering_pb2.IngestOpen | None
    batches: list[Batch]
    acknowledged: int


class PushRequest(NamedTuple):
    """shoal.v1.PushRequest."""

    session: str
    batch: Batch
    producer: clustering_pb2.Producer


class AssignRequest(NamedTuple):
    """shoal.v1.AssignRequest."""

    session: str
    points: Tensor
    return_distances: bool
    return_scores: bool = False


def encode_ingest_request(batch: Batch, acknowledged: int = 0) -> bytes:
    """Return a request with one batch, whose arrays are copied once.

    Such requests put one after the other are one request with all the batches and the last `acknowledged`: so protobuf
    merges messages.
    """
    pieces = _batch_field(clustering_pb2.IngestRequest.BATCHES_FIELD_NUMBER, batch)
    if acknowledged:
        pieces.append(clustering_pb2.IngestRequest(acknowledged=acknowledged).SerializeToString())
    return b"".join(pieces)


def encode_push_request(session: str, batch: Batch, producer: clustering_pb2.Producer | None) -> bytes:
    """Return a request, whose arrays are copied once."""
    before = clustering_pb2.PushRequest(session=session).SerializeToString()
    after = clustering_pb2.PushRequest(producer=producer).SerializeToString()
    return b"".join([before, *_batch_field(clustering_pb2.PushRequest.BATCH_FIELD_NUMBER, batch), after])


def encode_assign_request(
    session: str, points: Tensor, *, return_distances: bool, return_scores: bool = False
) -> bytes:
    """Return a request, whose points are copied once."""
    before = clustering_pb2.AssignRequest(session=session).SerializeToString()
    after = clustering_pb2.AssignRequest(
        return_distances=return_distances, return_scores=return_scores
    ).SerializeToString()
    pieces, _ = message_of([(clustering_pb2.AssignRequest.POINTS_FIELD_NUMBER, points)], after)
    return b"".join([before, *pieces])


def decode_ingest_request(contents: bytes) -> IngestRequest:
    """Return a request whose arrays are views of its bytes.

    Raises
    ------
    google.protobuf.message.DecodeError
        If the bytes are no such message.
    MessageTooLargeError
        If it has more batches or other fields than are taken: TOO_MANY_BATCHES or MESSAGE_TOO_COMPLEX.
    """
    try:
        return _cut_ingest_request(contents)
    except LEFT_TO_GENERATED:
        parsed = Parser(contents).parse(clustering_pb2.IngestRequest)
        _refuse_many(len(parsed.message.batches))
        return _ingest_request(parsed.message, [_whole_batch(parsed, batch) for batch in parsed.message.batches])


def decode_push_request(contents: bytes) -> PushRequest:
    """Return a request whose arrays are views of its bytes; raises as decode_ingest_request does."""
    try:
        return _cut_push_request(contents)
    except LEFT_TO_GENERATED:
        parsed = Parser(contents).parse(clustering_pb2.PushRequest)
        message = parsed.message
        return PushRequest(message.session, _whole_batch(parsed, message.batch), message.producer)


def decode_assign_request(contents: bytes) -> AssignRequest:
    """Return a request whose points are a view of its bytes; raises as decode_ingest_request does."""
    try:
        return _cut_assign_request(contents)
    except LEFT_TO_GENERATED:
        parsed = Parser(contents).parse(clustering_pb2.AssignRequest)
        message = parsed.message
        return _assign_request(message, parsed.tensor(message.points))


def _batch_field(number: int, batch: Batch) -> list[Contents]:
    rest = clustering_pb2.Batch(
        sequence=batch.sequence,
        event_time=batch.event_time,
        return_labels=batch.return_labels,
        return_scores=batch.return_scores,
    ).SerializeToString()
    tensors = [(clustering_pb2.Batch.POINTS_FIELD_NUMBER, batch.points)]
    if batch.sample_weight is not None:
        tensors.append((clustering_pb2.Batch.SAMPLE_WEIGHT_FIELD_NUMBER, batch.sample_weight))
    pieces, length = message_of(tensors, rest)
    return [field(number, length), *pieces]


def _cut_ingest_request(contents: bytes) -> IngestRequest:
    cutter = Cutter(contents)
    unusual: Parser | None = None  # for batches that aren't laid out as usual
    batches: list[Batch] = []
    rest: list[bytes] = []
    place = 0
    while place < len(contents):
        start, tag = place, contents[place]
        if tag == _BATCHES:
            begin, place = span(contents, start)
            if len(batches) == MAX_BATCHES:
                _refuse_many(MAX_BATCHES + 1)
            try:
                batches.append(_cut_batch(cutter, begin, place))
            except LEFT_TO_GENERATED:
                if unusual is None:
                    _refuse_many(len(batches) + _count_batches(contents, start))  # these take longer
                    unusual = Parser(contents)
                parsed = unusual.parse(clustering_pb2.Batch, begin, place)
                batches.append(_whole_batch(parsed, parsed.message))
            continue
        if len(rest) == _MAX_PARTS:
            raise Unusual
        if tag == _OPEN:
            _, place = span(contents, start)
        elif tag == _ACKNOWLEDGED:
            _, place = number(contents, start)
        else:
            place = len(contents)
        rest.append(contents[start:place])
    message = _parse_rest(clustering_pb2.IngestRequest, b"".join(rest), _MAX_REST)
    if message.batches:
        raise Unusual
    return _ingest_request(message, batches)


def _cut_push_request(contents: bytes) -> PushRequest:
    place = _after_session(contents, _PUSH_SESSION, _PUSH_BATCH)
    start, end = span(contents, place)
    batch = _cut_batch(Cutter(contents), start, end)
    message = _parse_rest(clustering_pb2.PushRequest, contents[:place] + contents[end:], _MAX_REST)
    if message.HasField("batch"):
        raise Unusual
    return PushRequest(message.session, batch, message.producer)


def _cut_assign_request(contents: bytes) -> AssignRequest:
    place = _after_session(contents, _ASSIGN_SESSION, _ASSIGN_POINTS)
    points, end = Cutter(contents).tensor(place)
    message = _parse_rest(clustering_pb2.AssignRequest, contents[:place] + contents[end:], _MAX_REST)
    if message.HasField("points"):
        raise Unusual
    return _assign_request(message, points)


def _after_session(contents: bytes, session: int, expected: int) -> int:
    """Return the position of the field after a session's name, if there is one; raise Unusual for any other field."""
    place = span(contents, 0)[1] if contents[0] == session else 0
    if contents[place] != expected:
        raise Unusual
    return place


def _cut_batch(cutter: Cutter, start: int, end: int) -> Batch:
    """Return a batch laid out as usual: points, perhaps weights, and then the rest."""
    contents = cutter.contents
    if contents[start] != _BATCH_POINTS:
        raise Unusual
    points, place = cutter.tensor(start)
    weight = None
    if place < end and contents[place] == _BATCH_WEIGHT:
        weight, place = cutter.tensor(place)
    if place > end:
        raise Unusual
    if contents[place : place + 1] == _BATCH_SEQUENCE:
        # Most often there is nothing else. To make a generated message of it costs a tenth of a small batch.
        sequence, after = number(contents, place)
        if after == end:
            return Batch(points, weight, sequence, None, False)
    message = _parse_rest(clustering_pb2.Batch, contents[place:end], _MAX_BATCH_REST)
    if message.HasField("points") or message.HasField("sample_weight"):
        raise Unusual
    return _batch(message, points, weight)


def _parse_rest(kind: type[M], rest: bytes, most: int) -> M:
    """Return the rest of a message without its arrays; raise Unusual if it is larger than expected."""
    if len(rest) > most:
        raise Unusual
    return kind.FromString(rest)


def _count_batches(contents: bytes, place: int) -> int:
    """Return the number of consecutive batches from a position on, or one more than a message may have."""
    batches = 0
    while place < len(contents) and contents[place] == _BATCHES and batches <= MAX_BATCHES:
        _, place = span(contents, place)
        batches += 1
    return batches


def _refuse_many(batches: int) -> None:
    if batches > MAX_BATCHES:
        raise MessageTooLargeError(
            "TOO_MANY_BATCHES",
            f"the message has more than {MAX_BATCHES:,} batches; send them in several messages of the same stream",
        )


def _whole_batch(parsed: Parsed[Any], message: clustering_pb2.Batch) -> Batch:
    weight = parsed.tensor(message.sample_weight) if message.HasField("sample_weight") else None
    return _batch(message, parsed.tensor(message.points), weight)


def _batch(message: clustering_pb2.Batch, points: Tensor, weight: Tensor | None) -> Batch:
    event_time = message.event_time if message.HasField("event_time") else None
    return Batch(points, weight, message.sequence, event_time, message.return_labels, message.return_scores)


def _assign_request(message: clustering_pb2.AssignRequest, points: Tensor) -> AssignRequest:
    return AssignRequest(message.session, points, message.return_distances, message.return_scores)


def _ingest_request(message: clustering_pb2.IngestRequest, batches: list[Batch]) -> IngestRequest:
    return IngestRequest(message.open if message.HasField("open") else None, batches, message.acknowledged)
