"""Batches on the wire to batches inside, and their outcomes back."""

from __future__ import annotations

from functools import lru_cache

from xxhash import xxh3_64_intdigest

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.clustering.state import PointBatch
from shoal_server.errors import DomainError, Reason, Refusal, invalid
from shoal_server.rpc.config import encode_warming
from shoal_server.rpc.statuses import to_status
from shoal_server.rpc.tensor import decode_points, decode_vector, too_large
from shoal_server.sessions.jobs import Answer, PendingBatch, Receipt
from shoal_server.sessions.producers import Producer

MAX_PRODUCER_ID_LENGTH = 128

Asked = tuple[int, bool]
"""What an answer needs of its batch: the sequence, and whether labels are wanted."""


def decode_batch(message: wire.Batch, max_bytes: int, producer: Producer | None) -> PendingBatch:
    """Return a batch whose points are a view of the message's bytes, or why it can't be read; see rpc.tensor."""
    fingerprint = _fingerprint(message) if producer else 0
    batch: PointBatch | Refusal
    size = 0
    try:
        points = decode_points(message.points, "points", max_bytes)
        weight = None
        size = points.nbytes
        if message.sample_weight is not None:
            weight = decode_vector(message.sample_weight, "sample_weight", max_bytes)
            size += weight.nbytes
        if size > max_bytes:
            raise too_large("points", "points with sample_weight", size, max_bytes)
        batch = PointBatch(points, weight, _event_time(message), message.return_labels)
    except DomainError as error:
        batch = error.refusal
    return PendingBatch(batch, size, message.sequence, fingerprint)


def decode_producer(message: clustering_pb2.Producer) -> Producer | None:
    """Return who pushes; None if they give no name.

    Raises
    ------
    DomainError
        PRODUCER_INVALID.
    """
    if len(message.id) > MAX_PRODUCER_ID_LENGTH:
        raise invalid(
            Reason.PRODUCER_INVALID,
            "producer.id",
            f"producer.id has {len(message.id)} characters; use at most {MAX_PRODUCER_ID_LENGTH}",
        )
    if message.epoch < 0:
        raise invalid(Reason.PRODUCER_INVALID, "producer.epoch", f"producer.epoch is {message.epoch}; use 0 or more")
    return Producer(message.id, message.epoch, message.ephemeral) if message.id else None


def encode_answer(answer: Answer, receipt: Receipt, asked: Asked) -> wire.BatchResult:
    """Return what became of a batch.

    Parameters
    ----------
    answer
        What it is told.
    submitted
        How it was taken, or had been before.
    asked
        For what.
    """
    sequence, return_labels = asked
    if isinstance(answer, Refusal):
        return encode_refusal(answer, sequence)
    # Of a batch that had been taken before, labels may not be there any more.
    labels_lost = receipt.duplicate and return_labels and answer.labels is None and answer.warming is None
    message = clustering_pb2.BatchResult(
        sequence=sequence, version=answer.version, accepted=answer.accepted, inertia=answer.inertia
    )
    if answer.dropped or receipt.duplicate:  # seldom: each field costs as much as a row of the batch
        message.dropped = answer.dropped
        message.duplicate = receipt.duplicate
        message.forgotten = receipt.forgotten or labels_lost
    if answer.warming:
        message.warming.CopyFrom(encode_warming(answer.warming))
    return wire.BatchResult(message, None if answer.labels is None else wire.tensor_of(answer.labels))


def encode_refusal(refusal: Refusal, sequence: int) -> wire.BatchResult:
    """Return why a batch was refused, as an answer in a stream that goes on."""
    return wire.BatchResult(clustering_pb2.BatchResult(sequence=sequence, error=to_status(refusal)), None)


def _event_time(message: wire.Batch) -> float | None:
    if message.event_time is None:
        return None
    return float(message.event_time.seconds + message.event_time.nanos / 1e9)


def _fingerprint(message: wire.Batch) -> int:
    """Return a hash of what is applied: the same batch has it again, whatever its place in a message."""
    points, weight, _, time, _ = message
    digest = xxh3_64_intdigest(points.data, _kind(points.dtype, points.shape))
    if weight is not None:
        digest = xxh3_64_intdigest(weight.data, digest ^ _kind(weight.dtype, weight.shape))
    if time is not None:
        digest = xxh3_64_intdigest(f"{time.seconds}.{time.nanos}".encode(), digest)
    return digest


@lru_cache
def _kind(dtype: int, shape: tuple[int, ...]) -> int:
    return xxh3_64_intdigest(f"{dtype}{shape}".encode())
