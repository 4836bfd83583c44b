"""Batches on the wire to batches inside, and their outcomes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from xxhash import xxh3_64_intdigest

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.clustering.state import Batch, BatchResult
from shoal_server.errors import DomainError, Reason, invalid
from shoal_server.rpc.call_layers import to_status
from shoal_server.rpc.config import NANOS, encode_warming
from shoal_server.rpc.tensor import decode_points, decode_weights
from shoal_server.sessions.port import Producer

MAX_PRODUCER_ID_LENGTH = 128
# What a google.protobuf.Timestamp may hold: the years 1 to 9999.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_NO_POINTS = np.empty((0, 0))
# Times the bytes of its batches that a message may have, and bytes at which it doesn't matter.
_MAX_HELD, _SMALL_MESSAGE = 2, 64 * 1024


def decode_batch(message: wire.Batch, max_bytes: int, *, is_sequenced: bool) -> Batch:
    """Return a batch whose points are a view of the message's bytes, or which says why it can't be read.

    Parameters
    ----------
    message
        What came.
    max_bytes
        The most bytes of points and weights.
    is_sequenced
        Whether its producer has a name: then the batch gets a fingerprint, by which it is known again.
    """
    fingerprint = _fingerprint(message) if is_sequenced else 0
    try:
        points = decode_points(message.points, "points", max_bytes)
        weight = None
        size = points.nbytes
        if message.sample_weight is not None:
            weight = decode_weights(message.sample_weight, points.nbytes, max_bytes)
            size += weight.nbytes
        event_time = _event_time(message)
    except DomainError as error:
        return Batch(_NO_POINTS, sequence=message.sequence, fingerprint=fingerprint, refusal=error.refusal)
    return Batch(
        points,
        weight,
        event_time,
        message.return_labels,
        message.sequence,
        fingerprint,
        size,
        return_scores=message.return_scores,
    )


def in_own_memory(batches: Sequence[Batch], messages: Iterable[wire.Batch]) -> Sequence[Batch]:
    """Return batches whose points keep no message alive that is much larger than they are: then they are copied.

    A view holds all of the bytes that the message came in, and a queue counts only those of the points.
    """
    contents = [message.points.data for message in messages]
    sources = {id(data.obj): memoryview(data.obj).nbytes for data in contents if isinstance(data, memoryview)}
    if sum(sources.values()) <= _MAX_HELD * sum([batch.size for batch in batches]) + _SMALL_MESSAGE:
        return batches
    return [batch._replace(points=batch.points.copy()) for batch in batches]


def shared_bytes(batch: Batch, message: wire.Batch) -> int:
    """Return how many bytes of the message that it came in a batch's points hold: none where they are copies."""
    is_view = isinstance(message.points.data, memoryview) and batch.points.base is not None
    return batch.points.nbytes if is_view else 0


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


def encode_result(result: BatchResult) -> wire.BatchResult:
    """Return what became of a batch as its answer."""
    if result.refusal is not None:
        status = to_status(result.refusal)
        return wire.BatchResult(clustering_pb2.BatchResult(sequence=result.sequence, error=status), None)
    message = clustering_pb2.BatchResult(
        sequence=result.sequence, version=result.version, accepted=result.accepted, inertia=result.inertia
    )
    if result.dropped or result.duplicate:  # seldom: each field costs as much as a row of the batch
        message.dropped = result.dropped
        message.duplicate = result.duplicate
        message.forgotten = result.forgotten
    if result.late or result.weight is not None:
        message.late = result.late
        if result.weight is not None:
            message.weight = result.weight
    if result.refined:
        message.refined = True
    if result.outliers:
        message.outliers = result.outliers
    if result.warming:
        message.warming.CopyFrom(encode_warming(result.warming))
    return wire.BatchResult(
        message,
        None if result.labels is None else wire.tensor_of(result.labels),
        None if result.scores is None else wire.tensor_of(result.scores),
    )


def _event_time(message: wire.Batch) -> float | None:
    if message.event_time is None:
        return None
    seconds, nanos = message.event_time.seconds, message.event_time.nanos
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos < NANOS):
        raise invalid(
            Reason.EVENT_TIME_INVALID,
            "event_time",
            f"event_time has seconds {seconds} and nanos {nanos}; use a time of the years 1 to 9999, with nanos from 0 "
            f"to {NANOS - 1}",
        )
    return float(seconds + nanos / NANOS)


def _fingerprint(message: wire.Batch) -> int:
    """Return a hash of what is applied: the same batch has it again, whatever its place in a message."""
    points, weight, _, time, *_ = message
    digest = xxh3_64_intdigest(points.data, _kind(points.dtype, points.shape))
    if weight is not None:
        digest = xxh3_64_intdigest(weight.data, digest ^ _kind(weight.dtype, weight.shape))
    if time is not None:
        digest = xxh3_64_intdigest(f"{time.seconds}.{time.nanos}".encode(), digest)
    return digest


@lru_cache
def _kind(dtype: int, shape: tuple[int, ...]) -> int:
    return xxh3_64_intdigest(f"{dtype}{shape}".encode())
