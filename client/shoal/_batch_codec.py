"""Encodes batches, and decodes their results, labels and centroids."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import ArrayLike, NDArray

from shoal import wire
from shoal._errors import InternalError
from shoal._session_codec import decode_warming
from shoal._statuses import error_of_status
from shoal._types import Assignment, Batch, PushResult, RecentPoints, Snapshot
from shoal._validation import invalid, points_array, shown, weight_array
from shoal.v1 import clustering_pb2


def as_batch(X: ArrayLike | Batch, sample_weight: ArrayLike | None, event_time: datetime | None) -> Batch:
    """Return the arguments of `push` as one batch.

    Raises
    ------
    InvalidArgumentError
        If a batch comes with weights or a time beside its own.
    """
    if not isinstance(X, Batch):
        return Batch(X, sample_weight, event_time)
    if sample_weight is not None or event_time is not None:
        raise invalid("BATCH_INVALID", "X", "X is a shoal.Batch: give its sample_weight and event_time to the Batch")
    return X


def encode_batch(
    batch: ArrayLike | Batch, sequence: int, *, return_labels: bool, return_scores: bool = False
) -> wire.Batch:
    """Check a batch and encode it as views of the caller's arrays.

    Raises
    ------
    InvalidArgumentError
        If it isn't points (n, d), weights (n,) and a time with a zone.
    """
    if not isinstance(batch, Batch):
        return wire.Batch(wire.tensor_of(points_array(batch)), None, sequence, None, return_labels, return_scores)
    points = points_array(batch.points)
    weight = None if batch.sample_weight is None else weight_array(batch.sample_weight, len(points))
    return wire.Batch(
        wire.tensor_of(points),
        None if weight is None else wire.tensor_of(weight),
        sequence,
        _encode_event_time(batch.event_time),
        return_labels,
        return_scores,
    )


def size_of(batch: wire.Batch) -> int:
    """Return the bytes of points and weights."""
    weight = batch.sample_weight
    return int(batch.points.data.nbytes + (0 if weight is None else weight.data.nbytes))


def decode_result(result: wire.BatchResult, session: str, *, duplicate: bool) -> PushResult:
    """Return the outcome of a batch."""
    message, labels, scores = result
    return PushResult(
        sequence=message.sequence,
        version=message.version,
        accepted=message.accepted,
        dropped=message.dropped,
        inertia=message.inertia,
        labels=None if labels is None else wire.array_of(labels),
        durable=message.durable,
        duplicate=duplicate,
        forgotten=message.forgotten,
        warming=decode_warming(message.warming) if message.HasField("warming") else None,
        error=error_of_status(message.error, session) if message.HasField("error") else None,
        late=message.late,
        weight=message.weight if message.HasField("weight") else float(message.accepted),
        refined=message.refined,
        outliers=message.outliers,
        scores=None if scores is None else wire.array_of(scores),
    )


def decode_assignment(answer: wire.AssignResponse) -> Assignment:
    """Return the labels, and the distances and scores if requested."""
    if answer.labels is None:
        raise InternalError("the server assigned points and sent no labels", reason="ANSWER_UNEXPECTED")
    distances = None if answer.distances is None else wire.array_of(answer.distances)
    scores = None if answer.scores is None else wire.array_of(answer.scores)
    return Assignment(answer.message.version, wire.array_of(answer.labels), distances, scores)


def decode_snapshot(snapshot: clustering_pb2.Snapshot, ids: NDArray[np.int64] | None = None) -> Snapshot:
    """Return one version; ids (k,) are those of its clusters if it doesn't say."""
    centroids = wire.array_of(snapshot.centroids)
    if snapshot.HasField("ids"):
        ids = wire.array_of(snapshot.ids)
    elif ids is None:  # the server is older than ids
        ids = np.arange(len(centroids))
    return Snapshot(
        version=snapshot.version,
        centroids=centroids,
        weights=wire.array_of(snapshot.weights),
        inertia=snapshot.inertia if snapshot.batch_points else None,
        movement=wire.array_of(snapshot.movement),
        points_accepted=snapshot.points_accepted,
        session_uid=snapshot.session_uid,
        batch_points=snapshot.batch_points,
        ids=ids,
        refined=snapshot.refined,
        estimated_inertia_per_point=snapshot.estimated_inertia_per_point
        if snapshot.HasField("estimated_inertia_per_point")
        else None,
    )


def decode_recent_points(recent: clustering_pb2.RecentPoints) -> RecentPoints:
    """Return a sample of points."""
    return RecentPoints(wire.array_of(recent.points), recent.version)


def _encode_event_time(event_time: datetime | None) -> Timestamp | None:
    if event_time is None:
        return None
    if not isinstance(event_time, datetime):
        raise invalid(
            "EVENT_TIME_INVALID",
            "event_time",
            f"event_time is {shown(event_time)}; give a datetime with a time zone, such as "
            f"datetime.fromtimestamp(t, UTC)",
        )
    if event_time.tzinfo is None or event_time.utcoffset() is None:
        raise invalid(
            "EVENT_TIME_INVALID",
            "event_time",
            f"event_time {event_time} has no time zone; give it one, such as datetime.now(UTC) has",
        )
    message = Timestamp()
    try:
        message.FromDatetime(event_time)
    except (ValueError, OverflowError):  # at the edge of what a datetime can be, but for the zone
        raise invalid(
            "EVENT_TIME_INVALID", "event_time", f"event_time {event_time} isn't within the years 1 to 9999 in UTC"
        ) from None
    return message
