"""shoal.v1.ClusteringService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.engines.contract import Assignment
from shoal_server.errors import DomainError, invalid
from shoal_server.rpc.batches import decode_batch, decode_producer, encode_answer
from shoal_server.rpc.errors import Context, to_status
from shoal_server.rpc.ingesting import IngestStream
from shoal_server.rpc.serving_state import ServingState
from shoal_server.rpc.tensor import decode_points
from shoal_server.rpc.watching import decode_options, encode_event, encode_whole
from shoal_server.sessions.config import Limits
from shoal_server.sessions.refusals import session_gone
from shoal_server.sessions.registry import Sessions
from shoal_server.sessions.session import Session


class ClusteringService:
    """Points in; centroids and labels out, on the wire."""

    def __init__(self, sessions: Sessions, limits: Limits, serving_state: ServingState) -> None:
        self._sessions = sessions
        self._limits = limits
        self._serving_state = serving_state

    async def Push(self, request: wire.PushRequest, _context: Context) -> wire.BatchResult:
        """Apply one batch and answer when it is applied."""
        session = self._sessions.get(request.session)
        producer = decode_producer(request.producer)
        batch = decode_batch(request.batch, self._limits.max_batch_bytes, producer)
        (receipt,) = await session.submit([batch], producer)
        if isinstance(receipt, DomainError):
            raise receipt
        return encode_answer(await receipt.result(), receipt, (request.batch.sequence, request.batch.return_labels))

    async def Ingest(
        self, requests: AsyncIterator[wire.IngestRequest], _context: Context
    ) -> AsyncIterator[wire.IngestResponse]:
        """Apply a stream of batches."""
        async for response in IngestStream(self._sessions, self._serving_state, self._limits.max_batch_bytes).run(
            requests
        ):
            yield response

    async def Assign(self, request: wire.AssignRequest, _context: Context) -> wire.AssignResponse:
        """Label points."""
        return await self._assign(self._sessions.get(request.session), request)

    async def AssignStream(
        self, requests: AsyncIterator[wire.AssignRequest], _context: Context
    ) -> AsyncIterator[wire.AssignResponse]:
        """Label points, request after request."""
        name = ""
        async for request in requests:
            name = request.session or name
            yield await self._assign_or_refuse(name, request)
            del request  # a stream that falls quiet must not hold its last message

    async def GetCentroids(self, request: clustering_pb2.GetCentroidsRequest, _context: Context) -> bytes:
        """Return the newest version, whole: a message that is encoded already."""
        session = self._sessions.get(request.session)
        return await encode_whole(session.read_snapshot(), session)

    async def GetRecentPoints(
        self, request: clustering_pb2.GetRecentPointsRequest, _context: Context
    ) -> clustering_pb2.RecentPoints:
        """Return a sample of what was applied lately."""
        session = self._sessions.get(request.session)
        if request.max_points < 0:
            raise invalid(
                "MAX_POINTS_NEGATIVE",
                "max_points",
                f"max_points is {request.max_points}; use a number from 1 up, or 0 for all that the server keeps",
            )
        version, points = session.recent_points(request.max_points)
        return clustering_pb2.RecentPoints(points=wire.tensor_message(points), version=version)

    async def WatchCentroids(
        self, request: clustering_pb2.WatchCentroidsRequest, _context: Context
    ) -> AsyncIterator[bytes]:
        """Follow the centroids: messages that are encoded already."""
        session = self._watched(request)
        options = decode_options(request, self._limits.progress_interval)
        with session.watch(options) as watch:
            async for event in watch.events():
                frame = await encode_event(event, session, delta=request.delta)
                del event  # it holds older versions
                watch.begin_write()
                yield frame
                del frame  # a watch that falls quiet must not hold its last message

    async def _assign(self, session: Session, request: wire.AssignRequest) -> wire.AssignResponse:
        points = decode_points(request.points, "points", self._limits.max_batch_bytes)
        version, assignment = await session.assign(points, return_distances=request.return_distances)
        return _encode_assignment(version, assignment)

    async def _assign_or_refuse(self, name: str, request: wire.AssignRequest) -> wire.AssignResponse:
        try:
            return await self._assign(self._sessions.get(name), request)
        except Exception as error:  # noqa: BLE001  (the answer of this request, and of no other)
            return wire.AssignResponse(clustering_pb2.AssignResponse(error=to_status(error)), None, None)

    def _watched(self, request: clustering_pb2.WatchCentroidsRequest) -> Session:
        session = self._sessions.get(request.session)
        if request.session_uid and request.session_uid != session.uid:
            raise session_gone(request.session)
        return session


def _encode_assignment(version: int, assignment: Assignment) -> wire.AssignResponse:
    distances = None if assignment.distances is None else wire.tensor_of(assignment.distances)
    return wire.AssignResponse(
        clustering_pb2.AssignResponse(version=version), wire.tensor_of(assignment.labels), distances
    )
