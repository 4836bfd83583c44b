"""shoal.v1.ClusteringService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.budget import MemoryBudget
from shoal_server.engines.contract import Assignment
from shoal_server.errors import Reason, invalid
from shoal_server.rpc.batches import decode_batch, decode_producer, encode_result, in_own_memory
from shoal_server.rpc.call_layers import CallContext
from shoal_server.rpc.ingest import IngestCall
from shoal_server.rpc.receiving import PATIENCE, message_is_queued
from shoal_server.rpc.serving_state import ServingState
from shoal_server.rpc.statuses import error_status
from shoal_server.rpc.tensor import decode_points
from shoal_server.rpc.watching import FrameEncoder, decode_options
from shoal_server.sessions.config import Limits
from shoal_server.sessions.port import SessionPort
from shoal_server.shared_results import SharedResults

_LABEL_BYTES, _DISTANCE_BYTES = 4, 8  # of a row
_FORMS = 2  # as they are computed, and as a message


class ClusteringService:
    """Points in; centroids and labels out, on the wire."""

    def __init__(
        self,
        sessions: SessionPort,
        limits: Limits,
        serving_state: ServingState,
        shared: SharedResults,
        budget: MemoryBudget,
    ) -> None:
        self._sessions = sessions
        self._limits = limits
        self._serving_state = serving_state
        self._budget = budget
        self._frames = FrameEncoder(shared)

    async def Push(self, request: wire.PushRequest, _call: CallContext) -> wire.BatchResult:
        """Apply one batch and answer when it is applied."""
        producer = decode_producer(request.producer)
        batch = decode_batch(request.batch, self._limits.max_batch_bytes, is_sequenced=producer is not None)
        (batch,) = in_own_memory([batch], [request.batch])
        message_is_queued()
        return encode_result(await self._sessions.push(request.session, batch, producer))

    async def Ingest(
        self, requests: AsyncIterator[wire.IngestRequest], _call: CallContext
    ) -> AsyncIterator[wire.IngestResponse]:
        """Apply a stream of batches."""
        call = IngestCall(self._sessions, self._serving_state, self._limits.max_batch_bytes)
        async with aclosing(call.run(requests)) as responses:
            async for response in responses:
                yield response

    async def Assign(self, request: wire.AssignRequest, _call: CallContext) -> wire.AssignResponse:
        """Label points."""
        return await self._assign(request.session, request)

    async def AssignStream(
        self, requests: AsyncIterator[wire.AssignRequest], _call: CallContext
    ) -> AsyncIterator[wire.AssignResponse]:
        """Label points, request after request."""
        name = ""
        async for request in requests:
            name = request.session or name
            yield await self._assign_or_refuse(name, request)
            del request  # a stream that falls quiet must not hold its last message

    async def GetCentroids(self, request: clustering_pb2.GetCentroidsRequest, _call: CallContext) -> bytes:
        """Return the newest version, whole: a message that is encoded already."""
        return await self._frames.encode_whole(await self._sessions.snapshot(request.session))

    async def GetRecentPoints(
        self, request: clustering_pb2.GetRecentPointsRequest, _call: CallContext
    ) -> clustering_pb2.RecentPoints:
        """Return a sample of what was applied lately."""
        if request.max_points < 0:
            raise invalid(
                Reason.MAX_POINTS_NEGATIVE,
                "max_points",
                f"max_points is {request.max_points}; use a number from 1 up, or 0 for all that the server keeps",
            )
        recent = await self._sessions.recent_points(request.session, request.max_points)
        return clustering_pb2.RecentPoints(points=wire.tensor_message(recent.points), version=recent.version)

    async def WatchCentroids(
        self, request: clustering_pb2.WatchCentroidsRequest, _call: CallContext
    ) -> AsyncIterator[bytes]:
        """Follow the centroids: messages that are encoded already."""
        options = decode_options(request, self._limits.progress_interval)
        async with self._sessions.watch(request.session, request.session_uid, options) as watch:
            async for event in watch.events():
                frame = await self._frames.encode_event(event, watch.session_uid, delta=request.delta)
                del event  # it holds older versions
                watch.begin_write()
                yield frame
                del frame  # a watch that falls quiet must not hold its last message

    async def _assign(self, name: str, request: wire.AssignRequest) -> wire.AssignResponse:
        points = decode_points(request.points, "points", self._limits.max_batch_bytes)
        row_bytes = _LABEL_BYTES + (_DISTANCE_BYTES if request.return_distances else 0)
        answer = await self._budget.reserve_when_free(_FORMS * row_bytes * len(points), "the labels", PATIENCE)
        try:
            assigned = await self._sessions.assign(name, points, return_distances=request.return_distances)
            return _encode_assignment(assigned.version, assigned.assignment)
        finally:
            answer.release()

    async def _assign_or_refuse(self, name: str, request: wire.AssignRequest) -> wire.AssignResponse:
        try:
            return await self._assign(name, request)
        except Exception as error:  # noqa: BLE001  (the answer of this request, and of no other)
            return wire.AssignResponse(clustering_pb2.AssignResponse(error=error_status(error)), None, None)


def _encode_assignment(version: int, assignment: Assignment) -> wire.AssignResponse:
    distances = None if assignment.distances is None else wire.tensor_of(assignment.distances)
    return wire.AssignResponse(
        clustering_pb2.AssignResponse(version=version), wire.tensor_of(assignment.labels), distances
    )
