"""Batches to the wire, and what became of them, labels and centroids back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from numpy.typing import ArrayLike

from shoal import _tensors
from shoal._configs import decode_warming
from shoal._points import invalid, points_array, weight_array
from shoal._statuses import error_of_status
from shoal._types import Assignment, Batch, PushResult, Snapshot
from shoal.v1 import clustering_pb2


@dataclass(frozen=True, eq=False)
class FrozenBatch:
    """A batch as it was when it was given."""

    points: _tensors.Frozen
    sample_weight: _tensors.Frozen | None
    event_time: datetime | None

    @property
    def size(self) -> int:
        """Bytes of points and weights."""
        return len(self.points.contents) + (len(self.sample_weight.contents) if self.sample_weight else 0)

    def write(self, message: clustering_pb2.Batch, sequence: int, *, return_labels: bool) -> None:
        """Put the batch into a message."""
        self.points.write(message.points)
        if self.sample_weight:
            self.sample_weight.write(message.sample_weight)
        if self.event_time:
            message.event_time.FromDatetime(self.event_time)
        message.sequence = sequence
        message.return_labels = return_labels


def as_batch(X: ArrayLike | Batch, sample_weight: ArrayLike | None, event_time: datetime | None) -> Batch:
    """Return what `push` is given as one batch.

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


def freeze_batch(batch: ArrayLike | Batch) -> FrozenBatch:
    """Check what the caller gives as a batch, and copy it.

    Raises
    ------
    InvalidArgumentError
        If it isn't points (n, d), weights (n,) and a time with a zone.
    """
    whole = batch if isinstance(batch, Batch) else Batch(batch)
    points = points_array(whole.points)
    weight = None if whole.sample_weight is None else weight_array(whole.sample_weight, len(points))
    return FrozenBatch(
        _tensors.freeze(points), None if weight is None else _tensors.freeze(weight), _checked(whole.event_time)
    )


def decode_result(result: clustering_pb2.BatchResult, session: str, *, duplicate: bool) -> PushResult:
    """Return what became of a batch."""
    return PushResult(
        sequence=result.sequence,
        version=result.version,
        accepted=result.accepted,
        dropped=result.dropped,
        inertia=result.inertia,
        labels=_tensors.decode(result.labels) if result.HasField("labels") else None,
        durable=result.durable,
        duplicate=duplicate,
        forgotten=result.forgotten,
        warming=decode_warming(result.warming) if result.HasField("warming") else None,
        error=error_of_status(result.error, session) if result.HasField("error") else None,
    )


def decode_assignment(answer: clustering_pb2.AssignResponse) -> Assignment:
    """Return labels, and distances if they were asked for."""
    distances = _tensors.decode(answer.distances) if answer.HasField("distances") else None
    return Assignment(answer.version, _tensors.decode(answer.labels), distances)


def decode_snapshot(snapshot: clustering_pb2.Snapshot) -> Snapshot:
    """Return one version."""
    return Snapshot(
        version=snapshot.version,
        centroids=_tensors.decode(snapshot.centroids),
        weights=_tensors.decode(snapshot.weights),
        inertia=snapshot.inertia,
        movement=_tensors.decode(snapshot.movement),
        points_accepted=snapshot.points_accepted,
        session_uid=snapshot.session_uid,
    )


def _checked(event_time: datetime | None) -> datetime | None:
    if event_time is not None and not isinstance(event_time, datetime):
        raise invalid(
            "EVENT_TIME_INVALID",
            "event_time",
            f"event_time is {event_time!r}; give a datetime with a time zone, such as datetime.fromtimestamp(t, UTC)",
        )
    if event_time is not None and event_time.tzinfo is None:
        raise invalid(
            "EVENT_TIME_INVALID",
            "event_time",
            f"event_time {event_time} has no time zone; give it one, such as datetime.now(UTC) has",
        )
    return event_time
