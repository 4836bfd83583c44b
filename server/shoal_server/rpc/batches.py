"""Batches on the wire to batches inside, and their outcomes back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import xxhash

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.clustering.state import Outcome, PointBatch
from shoal_server.errors import DomainError, invalid
from shoal_server.rpc.config import encode_warming
from shoal_server.rpc.errors import to_status
from shoal_server.rpc.tensor import decode_points, decode_vector, too_large
from shoal_server.sessions.jobs import Submitted
from shoal_server.sessions.producers import Producer, Stamp
from shoal_server.sessions.session import Session

LONGEST_PRODUCER_ID = 128


@dataclass(frozen=True)
class DecodedBatch:
    """A batch and how much it holds."""

    batch: PointBatch
    size: int  # bytes


def decode_batch(message: wire.Batch, max_bytes: int) -> DecodedBatch:
    """Return the points of a batch as a view of the message's bytes.

    Raises
    ------
    DomainError
        See rpc.tensor.
    """
    points = decode_points(message.points, "points", max_bytes)
    weight = None
    size = points.nbytes
    if message.sample_weight is not None:
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


async def submit(session: Session, message: wire.Batch, producer: Producer | None, max_bytes: int) -> Submitted:
    """Decode a batch and hand it to its session; see Session.submit."""
    stamp = Stamp(producer, message.sequence, _fingerprint(message)) if producer else None
    try:
        decoded = decode_batch(message, max_bytes)
    except DomainError as refusal:
        return session.refuse(refusal, stamp)
    return await session.submit(decoded.batch, decoded.size, stamp)


def encode_outcome(outcome: Outcome, submitted: Submitted, sequence: int, *, return_labels: bool) -> wire.BatchResult:
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
    message = clustering_pb2.BatchResult(
        sequence=sequence,
        version=outcome.version,
        accepted=outcome.accepted,
        dropped=outcome.dropped,
        inertia=outcome.inertia,
        duplicate=submitted.duplicate,
        forgotten=submitted.forgotten or labels_lost,
    )
    if outcome.warming:
        message.warming.CopyFrom(encode_warming(outcome.warming))
    return wire.BatchResult(message, None if outcome.labels is None else wire.tensor_of(outcome.labels))


def encode_refusal(error: Exception, sequence: int) -> wire.BatchResult:
    """Return why a batch was refused, as an answer in a stream that goes on."""
    return wire.BatchResult(clustering_pb2.BatchResult(sequence=sequence, error=to_status(error)), None)


def _event_time(message: wire.Batch) -> float | None:
    if message.event_time is None:
        return None
    return float(message.event_time.seconds + message.event_time.nanos / 1e9)


def _fingerprint(message: wire.Batch) -> int:
    """Return a hash of what is applied: the same batch has it again, whatever its place in a message."""
    digest = xxhash.xxh3_64(_kind(message.points.dtype, message.points.shape))
    digest.update(message.points.data)
    if message.sample_weight is not None:
        digest.update(_kind(message.sample_weight.dtype, message.sample_weight.shape))
        digest.update(message.sample_weight.data)
    if message.event_time is not None:
        digest.update(f"{message.event_time.seconds}.{message.event_time.nanos}".encode())
    return int(digest.intdigest())


@lru_cache
def _kind(dtype: int, shape: tuple[int, ...]) -> bytes:
    return f"{dtype}{shape}".encode()
