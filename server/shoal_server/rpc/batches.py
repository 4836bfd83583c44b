"""Batches on the wire to batches inside, and their outcomes back."""

from __future__ import annotations

from dataclasses import dataclass

import xxhash

from shoal.v1 import clustering_pb2
from shoal_server.clustering.state import Outcome, PointBatch
from shoal_server.errors import DomainError, invalid
from shoal_server.rpc.config import encode_warming
from shoal_server.rpc.errors import to_status
from shoal_server.rpc.tensor import decode_points, decode_vector, encode, too_large
from shoal_server.sessions.jobs import Submitted
from shoal_server.sessions.producers import Producer, Stamp
from shoal_server.sessions.session import Session

LONGEST_PRODUCER_ID = 128


@dataclass(frozen=True)
class DecodedBatch:
    """A batch and how much it holds."""

    batch: PointBatch
    size: int  # bytes


def decode_batch(message: clustering_pb2.Batch, max_bytes: int) -> DecodedBatch:
    """Return the points of a batch as a view of the message's bytes.

    Raises
    ------
    DomainError
        See rpc.tensor.
    """
    points = decode_points(message.points, "points", max_bytes)
    weight = None
    size = points.nbytes
    if message.HasField("sample_weight"):
        weight = decode_vector(message.sample_weight, "sample_weight", max_bytes)
        size += weight.nbytes
    if size > max_bytes:
        raise too_large("points", "points with sample_weight", size, max_bytes)
    return DecodedBatch(PointBatch(points, weight, _event_time(message), message.return_labels), size)


def decode_producer(message: clustering_pb2.Producer) -> Producer | None:
    """Return who pushes; None if they give no name.

    Raises
    ------
    DomainError
        PRODUCER_INVALID.
    """
    if len(message.id) > LONGEST_PRODUCER_ID:
        raise invalid(
            "PRODUCER_INVALID",
            "producer.id",
            f"producer.id has {len(message.id)} characters; use at most {LONGEST_PRODUCER_ID}",
        )
    if message.epoch < 0:
        raise invalid("PRODUCER_INVALID", "producer.epoch", f"producer.epoch is {message.epoch}; use 0 or more")
    return Producer(message.id, message.epoch, message.ephemeral) if message.id else None


async def submit(
    session: Session, message: clustering_pb2.Batch, producer: Producer | None, max_bytes: int
) -> Submitted:
    """Decode a batch and hand it to its session; see Session.submit."""
    stamp = Stamp(producer, message.sequence, _fingerprint(message)) if producer else None
    try:
        decoded = decode_batch(message, max_bytes)
    except DomainError as refusal:
        return session.refuse(refusal, stamp)
    return await session.submit(decoded.batch, decoded.size, stamp)


def encode_outcome(
    outcome: Outcome, submitted: Submitted, sequence: int, *, return_labels: bool
) -> clustering_pb2.BatchResult:
    """Return what became of a batch.

    Parameters
    ----------
    outcome
        The result of what was submitted.
    submitted
        The batch as it was taken, or had been before.
    sequence
        Of the batch.
    return_labels
        Whether labels are asked for: of a batch that had been taken before, they may not be there.
    """
    labels_lost = submitted.duplicate and return_labels and outcome.labels is None and outcome.warming is None
    result = clustering_pb2.BatchResult(
        sequence=sequence,
        version=outcome.version,
        accepted=outcome.accepted,
        dropped=outcome.dropped,
        inertia=outcome.inertia,
        duplicate=submitted.duplicate,
        forgotten=submitted.forgotten or labels_lost,
    )
    if outcome.labels is not None:
        result.labels.CopyFrom(encode(outcome.labels))
    if outcome.warming:
        result.warming.CopyFrom(encode_warming(outcome.warming))
    return result


def encode_refusal(error: Exception, sequence: int) -> clustering_pb2.BatchResult:
    """Return why a batch was refused, as an answer in a stream that goes on."""
    return clustering_pb2.BatchResult(sequence=sequence, error=to_status(error))


def _event_time(message: clustering_pb2.Batch) -> float | None:
    if not message.HasField("event_time"):
        return None
    return float(message.event_time.seconds + message.event_time.nanos / 1e9)


def _fingerprint(message: clustering_pb2.Batch) -> int:
    digest = xxhash.xxh3_64()
    for tensor in (message.points, message.sample_weight):
        digest.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(tensor.data)
    digest.update(f"{message.event_time.seconds}.{message.event_time.nanos}".encode())
    return int(digest.intdigest())
