"""Responses that carry labels, distances and scores: encoded by the server, decoded by the client.

Their arrays go first, where they are found without a look at anything else.
"""

from __future__ import annotations

from typing import NamedTuple

from shoal.v1 import clustering_pb2
from shoal.wire.fields import LEFT_TO_GENERATED, Cutter, Unusual, field, message_of, span, tag_of
from shoal.wire.tensors import Contents, Tensor, tensor_in

# Bytes of labels that are worth the way to them: fewer are copied faster.
_MIN_LABELS = 4096

_RESULTS = tag_of(clustering_pb2.IngestResponse.RESULTS_FIELD_NUMBER)
_RESULT_LABELS = tag_of(clustering_pb2.BatchResult.LABELS_FIELD_NUMBER)
_RESULT_SCORES = field(clustering_pb2.BatchResult.SCORES_FIELD_NUMBER, 0)[:-1]  # two bytes
_ASSIGN_LABELS = tag_of(clustering_pb2.AssignResponse.LABELS_FIELD_NUMBER)
_ASSIGN_DISTANCES = tag_of(clustering_pb2.AssignResponse.DISTANCES_FIELD_NUMBER)
_ASSIGN_SCORES = tag_of(clustering_pb2.AssignResponse.SCORES_FIELD_NUMBER)


class BatchResult(NamedTuple):
    """shoal.v1.BatchResult."""

    message: clustering_pb2.BatchResult  # everything but the arrays
    labels: Tensor | None
    scores: Tensor | None = None


class IngestResponse(NamedTuple):
    """shoal.v1.IngestResponse."""

    opened: clustering_pb2.IngestOpened | None
    results: list[BatchResult]


class AssignResponse(NamedTuple):
    """shoal.v1.AssignResponse."""

    message: clustering_pb2.AssignResponse  # everything but the arrays
    labels: Tensor | None
    distances: Tensor | None
    scores: Tensor | None = None


def encode_batch_result(result: BatchResult) -> bytes:
    """Return a result, whose labels are copied once."""
    return b"".join(_result_pieces(result)[0])


def encode_ingest_response(response: IngestResponse) -> bytes:
    """Return a response, whose labels are copied once."""
    pieces: list[Contents] = []
    if response.opened is not None:
        pieces.append(clustering_pb2.IngestResponse(opened=response.opened).SerializeToString())
    for result in response.results:
        within, length = _result_pieces(result)
        pieces.append(field(clustering_pb2.IngestResponse.RESULTS_FIELD_NUMBER, length))
        pieces += within
    return b"".join(pieces)


def encode_assign_response(response: AssignResponse) -> bytes:
    """Return a response, whose arrays are copied once."""
    tensors = []
    if response.labels is not None:
        tensors.append((clustering_pb2.AssignResponse.LABELS_FIELD_NUMBER, response.labels))
    if response.distances is not None:
        tensors.append((clustering_pb2.AssignResponse.DISTANCES_FIELD_NUMBER, response.distances))
    if response.scores is not None:
        tensors.append((clustering_pb2.AssignResponse.SCORES_FIELD_NUMBER, response.scores))
    return b"".join(message_of(tensors, response.message.SerializeToString())[0])


def decode_batch_result(contents: bytes) -> BatchResult:
    """Return a result whose labels are a view of its bytes.

    Raises
    ------
    google.protobuf.message.DecodeError
        If the bytes are no such message.
    """
    try:
        return _cut_result(Cutter(contents), 0, len(contents))
    except LEFT_TO_GENERATED:
        return _whole_result(clustering_pb2.BatchResult.FromString(contents))


def decode_ingest_response(contents: bytes) -> IngestResponse:
    """Return a response whose labels are views of its bytes; raises as decode_batch_result does."""
    try:
        return IngestResponse(None, _cut_results(contents))
    except LEFT_TO_GENERATED:
        message = clustering_pb2.IngestResponse.FromString(contents)
        opened = message.opened if message.HasField("opened") else None
        return IngestResponse(opened, [_whole_result(result) for result in message.results])


def decode_assign_response(contents: bytes) -> AssignResponse:
    """Return a response whose arrays are views of its bytes; raises as decode_batch_result does."""
    try:
        return _cut_assign_response(contents)
    except LEFT_TO_GENERATED:
        message = clustering_pb2.AssignResponse.FromString(contents)
        labels = tensor_in(message.labels) if message.HasField("labels") else None
        distances = tensor_in(message.distances) if message.HasField("distances") else None
        scores = tensor_in(message.scores) if message.HasField("scores") else None
        return AssignResponse(message, labels, distances, scores)


def _result_pieces(result: BatchResult) -> tuple[list[Contents], int]:
    rest = result.message.SerializeToString()
    if result.labels is None and result.scores is None:
        return [rest], len(rest)
    tensors = []
    if result.labels is not None:
        tensors.append((clustering_pb2.BatchResult.LABELS_FIELD_NUMBER, result.labels))
    if result.scores is not None:
        tensors.append((clustering_pb2.BatchResult.SCORES_FIELD_NUMBER, result.scores))
    return message_of(tensors, rest)


def _cut_results(contents: bytes) -> list[BatchResult]:
    cutter = Cutter(contents)
    results: list[BatchResult] = []
    place = 0
    while place < len(contents):
        if contents[place] != _RESULTS:
            raise Unusual
        start, place = span(contents, place)
        results.append(_cut_result(cutter, start, place))
    return results


def _cut_result(cutter: Cutter, start: int, end: int) -> BatchResult:
    """Return a result that begins with many labels or scores: the generated class is faster with a small one."""
    if end - start < _MIN_LABELS:
        raise Unusual
    labels, scores, place = None, None, start
    if cutter.contents[place] == _RESULT_LABELS:
        labels, place = cutter.tensor(place)
    if place < end and cutter.contents.startswith(_RESULT_SCORES, place):
        scores, place = cutter.tensor(place + len(_RESULT_SCORES) - 1)
    if not start < place <= end:
        raise Unusual
    message = clustering_pb2.BatchResult.FromString(cutter.contents[place:end])
    if message.HasField("labels") or message.HasField("scores"):
        raise Unusual
    return BatchResult(message, labels, scores)


def _whole_result(message: clustering_pb2.BatchResult) -> BatchResult:
    labels = tensor_in(message.labels) if message.HasField("labels") else None
    return BatchResult(message, labels, tensor_in(message.scores) if message.HasField("scores") else None)


def _cut_assign_response(contents: bytes) -> AssignResponse:
    cutter = Cutter(contents)
    labels, distances, scores, place = None, None, None, 0
    if contents[place] == _ASSIGN_LABELS:
        labels, place = cutter.tensor(place)
    if place < len(contents) and contents[place] == _ASSIGN_DISTANCES:
        distances, place = cutter.tensor(place)
    if place < len(contents) and contents[place] == _ASSIGN_SCORES:
        scores, place = cutter.tensor(place)
    message = clustering_pb2.AssignResponse.FromString(contents[place:])
    if message.HasField("labels") or message.HasField("distances") or message.HasField("scores"):
        raise Unusual
    return AssignResponse(message, labels, distances, scores)
