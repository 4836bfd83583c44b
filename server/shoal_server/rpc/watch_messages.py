"""What a watcher asks for, and what watchers and readers are sent."""

from __future__ import annotations

import math

import numpy as np

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.clustering.state import Snapshot, moved_rows
from shoal_server.errors import DomainError, Reason, internal, invalid
from shoal_server.rpc.config import decode_duration, encode_warming
from shoal_server.rpc.events import encode_events, encoded_size
from shoal_server.sessions.port import (
    NewEvents,
    Progress,
    SentVersion,
    SessionSnapshot,
    Update,
    WatchEvent,
    WatchOptions,
)
from shoal_server.shared_results import SharedResults

END_REASONS = {
    "deleted": clustering_pb2.WATCH_END_REASON_DELETED,
    "expired": clustering_pb2.WATCH_END_REASON_EXPIRED,
}
MIN_PROGRESS_INTERVAL = 1.0  # seconds
# Of how many older versions the frames that lead from there are kept with a version: of the first that are asked for.
# Watchers that keep up come first, from the version before; slow ones may come from as many versions as they are many.
SHARED_BASES = 2


def decode_options(request: clustering_pb2.WatchCentroidsRequest, default_progress: float) -> WatchOptions:
    """Return what a watcher wants to see.

    Raises
    ------
    DomainError
        DURATION_NEGATIVE, PROGRESS_INTERVAL_INVALID, MIN_SHIFT_INVALID or EVENT_MISSING.
    """
    if request.events_only and not request.HasField("after_event"):
        raise invalid(
            Reason.EVENT_MISSING,
            "after_event",
            "events_only needs an after_event; use 0 for all that the session keeps, or the newest event's number",
        )
    if not 0 <= request.min_shift < math.inf:
        raise invalid(
            Reason.MIN_SHIFT_INVALID, "min_shift", f"min_shift is {request.min_shift}; use a number from 0 up"
        )
    return WatchOptions(
        after_version=request.after_version if request.HasField("after_version") else None,
        min_interval=decode_duration(request.min_interval, "min_interval"),
        min_shift=request.min_shift,
        delta=request.delta,
        progress_interval=_progress_interval(request, default_progress),
        after_event=request.after_event if request.HasField("after_event") else None,
        events_only=request.events_only,
    )


class FrameEncoder:
    """Encodes versions as the bytes of messages, each once for all who get it."""

    def __init__(self, shared: SharedResults) -> None:
        self._shared = shared

    async def encode_whole(self, newest: SessionSnapshot) -> bytes:
        """Return a version, whole."""
        snapshot, uid = newest.snapshot, newest.session_uid
        return await self._shared.get(
            snapshot, snapshot.centroids.nbytes, "whole", lambda: _encode_snapshot(snapshot, uid).SerializeToString()
        )

    async def encode_event(self, event: WatchEvent, session_uid: str) -> bytes:
        """Return an event of a watch."""
        if isinstance(event, NewEvents):
            return await self._shared.make(encoded_size(event.events), lambda: _encode_events(event))
        if isinstance(event, Update):
            return await self._encode_update(event.snapshot, event.base, session_uid)
        if isinstance(event, Progress):
            progress = clustering_pb2.WatchProgress(version=event.version, session_uid=session_uid)
            if event.warming:
                progress.warming.CopyFrom(encode_warming(event.warming))
            return clustering_pb2.WatchCentroidsResponse(progress=progress).SerializeToString()
        if event.reason == "failed":
            raise DomainError(internal())
        end = clustering_pb2.WatchEnd(reason=END_REASONS[event.reason], version=event.version)
        return clustering_pb2.WatchCentroidsResponse(end=end).SerializeToString()

    async def _encode_update(self, snapshot: Snapshot, base: SentVersion | None, session_uid: str) -> bytes:
        """Return an update, encoded once for all who come from the same version, as long as these are few."""

        def encode() -> bytes:
            return _encode_update(snapshot, base, session_uid)

        size = snapshot.centroids.nbytes
        if base is None:
            return await self._shared.get(snapshot, size, "frame", encode)
        bases: set[int] = self._shared.of(snapshot).setdefault("shared bases", set())
        if len(bases) < SHARED_BASES:
            bases.add(base.version)
        if base.version in bases:
            return await self._shared.get(snapshot, size, ("frame", base.version), encode)
        return await self._shared.make(size, encode)


def _encode_events(new: NewEvents) -> bytes:
    events = clustering_pb2.WatchEvents(events=encode_events(new.events))
    return clustering_pb2.WatchCentroidsResponse(events=events).SerializeToString()


def _encode_update(snapshot: Snapshot, base: SentVersion | None, session_uid: str) -> bytes:
    if base is None:
        update = clustering_pb2.CentroidUpdate(snapshot=_encode_snapshot(snapshot, session_uid))
    else:
        rows = moved_rows(base.centroids, snapshot.centroids)
        update = clustering_pb2.CentroidUpdate(
            snapshot=_without_centroids(snapshot, session_uid),
            rows=wire.tensor_message(rows),
            base_version=base.version,
        )
        update.snapshot.centroids.CopyFrom(wire.tensor_message(snapshot.centroids[rows]))
        if base.ids is None or not np.array_equal(base.ids, snapshot.ids):
            update.snapshot.ids.CopyFrom(wire.tensor_message(snapshot.ids))
    return clustering_pb2.WatchCentroidsResponse(update=update).SerializeToString()


def _encode_snapshot(snapshot: Snapshot, session_uid: str) -> clustering_pb2.Snapshot:
    message = _without_centroids(snapshot, session_uid)
    message.centroids.CopyFrom(wire.tensor_message(snapshot.centroids))
    message.ids.CopyFrom(wire.tensor_message(snapshot.ids))
    return message


def _without_centroids(snapshot: Snapshot, session_uid: str) -> clustering_pb2.Snapshot:
    return clustering_pb2.Snapshot(
        version=snapshot.version,
        weights=wire.tensor_message(snapshot.weights),
        inertia=snapshot.inertia,
        movement=wire.tensor_message(snapshot.movement),
        points_accepted=snapshot.points_accepted,
        session_uid=session_uid,
        batch_points=snapshot.batch_points,
        refined=snapshot.refined,
        estimated_inertia_per_point=snapshot.estimated_inertia_per_point,
    )


def _progress_interval(request: clustering_pb2.WatchCentroidsRequest, default: float) -> float:
    if not request.HasField("progress_interval"):
        return default
    seconds = decode_duration(request.progress_interval, "progress_interval")
    if seconds < MIN_PROGRESS_INTERVAL:
        raise invalid(
            Reason.PROGRESS_INTERVAL_INVALID,
            "progress_interval",
            f"progress_interval is {seconds} s; use at least {MIN_PROGRESS_INTERVAL} s, or leave it out",
        )
    return seconds
