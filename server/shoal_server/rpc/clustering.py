"""shoal.v1.ClusteringService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.budget import MemoryBudget, Reservation
from shoal_server.clustering.state import BatchResult, array_bytes
from shoal_server.engines.contract import Assignment
from shoal_server.errors import Reason, invalid
from shoal_server.rpc import analysis
from shoal_server.rpc.batches import decode_batch, decode_producer, encode_result, in_own_memory, shared_bytes
from shoal_server.rpc.call_layers import CallContext, error_status
from shoal_server.rpc.receiving import PATIENCE, leave_to_queue
from shoal_server.rpc.serving_state import ServingState
from shoal_server.rpc.tensor import decode_points
from shoal_server.rpc.watch_messages import FrameEncoder, decode_options
from shoal_server.sessions.port import IngestPort, Limits, SessionPort
from shoal_server.shared_results import SharedResults

# Batches of a message that are taken at once, however many it has: as many as the official client puts in one.
MAX_BATCHES_TAKEN = 256
# Labels and scores that share a message: a message that has so many already carries no further answer.
SHARED_LABEL_BYTES = 1024 * 1024

Requests = AsyncIterator[wire.IngestRequest]

_LABEL_BYTES, _DISTANCE_BYTES, _SCORE_BYTES = 4, 8, 8  # of a row
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
        self._shared = shared
        self._frames = FrameEncoder(shared)

    async def Push(self, request: wire.PushRequest, _call: CallContext) -> wire.BatchResult:
        """Apply one batch and answer when it is applied."""
        producer = decode_producer(request.producer)
        batch = decode_batch(request.batch, self._limits.max_batch_bytes, is_sequenced=producer is not None)
        (batch,) = in_own_memory([batch], [request.batch])
        row_bytes = _LABEL_BYTES * batch.return_labels + _SCORE_BYTES * batch.return_scores
        answer = await self._reserve_answer(row_bytes * len(batch.points))
        leave_to_queue(shared_bytes(batch, request.batch))
        try:
            return encode_result(await self._sessions.push(request.session, batch, producer))
        finally:
            answer.release()

    async def Ingest(
        self, requests: AsyncIterator[wire.IngestRequest], _call: CallContext
    ) -> AsyncIterator[wire.IngestResponse]:
        """Apply a stream of batches."""
        call = _IngestCall(self._sessions, self._serving_state, self._limits.max_batch_bytes)
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

    async def Recluster(self, request: clustering_pb2.ReclusterRequest, _call: CallContext) -> AsyncIterator[bytes]:
        """Fit other numbers of clusters to a session's summary: messages that are encoded already."""
        async with aclosing(analysis.recluster(self._sessions, self._shared, request)) as responses:
            async for response in responses:
                yield response

    async def DescribeClusters(self, request: clustering_pb2.DescribeClustersRequest, _call: CallContext) -> bytes:
        """Describe the clusters of the newest version: a message that is encoded already."""
        return await analysis.describe_clusters(self._sessions, self._shared, request)

    async def WatchCentroids(
        self, request: clustering_pb2.WatchCentroidsRequest, _call: CallContext
    ) -> AsyncIterator[bytes]:
        """Follow the centroids: messages that are encoded already."""
        options = decode_options(request, self._limits.progress_interval)
        async with self._sessions.watch(request.session, request.session_uid, options) as watch:
            async for event in watch.events():
                frame = await self._frames.encode_event(event, watch.session_uid)
                del event  # it holds older versions
                watch.begin_write()
                yield frame
                del frame  # a watch that falls quiet must not hold its last message

    async def _assign(self, name: str, request: wire.AssignRequest) -> wire.AssignResponse:
        points = decode_points(request.points, "points", self._limits.max_batch_bytes)
        row_bytes = _LABEL_BYTES + _DISTANCE_BYTES * request.return_distances + _SCORE_BYTES * request.return_scores
        answer = await self._reserve_answer(row_bytes * len(points))
        try:
            assigned = await self._sessions.assign(
                name, points, return_distances=request.return_distances, return_scores=request.return_scores
            )
            return _encode_assignment(assigned.version, assigned.assignment)
        finally:
            answer.release()

    async def _reserve_answer(self, size: int) -> Reservation:
        """Wait until there is memory for labels, distances and scores of so many bytes, and reserve it."""
        if not size:
            return self._budget.open()
        return await self._budget.reserve_when_free(_FORMS * size, "the labels and scores", PATIENCE)

    async def _assign_or_refuse(self, name: str, request: wire.AssignRequest) -> wire.AssignResponse:
        try:
            return await self._assign(name, request)
        except Exception as error:  # noqa: BLE001  (the answer of this request, and of no other)
            return wire.AssignResponse(clustering_pb2.AssignResponse(error=error_status(error)), None, None)


def _encode_assignment(version: int, assignment: Assignment) -> wire.AssignResponse:
    distances = None if assignment.distances is None else wire.tensor_of(assignment.distances)
    scores = None if assignment.scores is None else wire.tensor_of(assignment.scores)
    return wire.AssignResponse(
        clustering_pb2.AssignResponse(version=version), wire.tensor_of(assignment.labels), distances, scores
    )


class _IngestCall:
    """One Ingest stream: a task reads and submits, the call itself answers, in order and several in a message."""

    def __init__(self, sessions: SessionPort, serving_state: ServingState, max_batch_bytes: int) -> None:
        self._sessions = sessions
        self._serving_state = serving_state
        self._max_batch_bytes = max_batch_bytes
        self._is_sequenced = False  # whether the producer has a name
        self._ended_by: Exception | None = None

    async def run(self, requests: Requests) -> AsyncGenerator[wire.IngestResponse, None]:
        """Answer the stream: first what the server knows of the producer, then each batch."""
        first, opening = await self._read_first(requests)
        producer = decode_producer(opening.producer)
        self._is_sequenced = producer is not None
        async with self._sessions.ingest(opening.session, producer) as stream:
            yield wire.IngestResponse(self._encode_opened(stream), [])
            reading = self._read(first, requests, stream)
            del first, opening  # a stream that falls quiet must not hold its first message
            async with _owned(reading):
                async for results in stream.results():
                    for response in _encode_results(results):
                        yield response
                    del results
        if self._ended_by:
            raise self._ended_by

    async def _read_first(self, requests: Requests) -> tuple[wire.IngestRequest, clustering_pb2.IngestOpen]:
        with self._serving_state.interruptible():
            async for request in requests:
                if request.open is not None:
                    return request, request.open
                break
        raise invalid(
            Reason.STREAM_NOT_OPENED,
            "open",
            "the first message of the stream has no open; begin with session and producer",
        )

    async def _read(self, first: wire.IngestRequest, requests: Requests, stream: IngestPort) -> None:
        try:
            with self._serving_state.interruptible():
                await self._submit(first, stream)
                del first  # a stream that falls quiet must not hold its last message
                async for request in requests:
                    _refuse_second_open(request)
                    await self._submit(request, stream)
                    del request
        except Exception as error:  # noqa: BLE001  (raised to the producer after the results of what it sent before)
            self._ended_by = error
        stream.finish()

    async def _submit(self, request: wire.IngestRequest, stream: IngestPort) -> None:
        acknowledged = request.acknowledged
        for start in range(0, max(len(request.batches), 1), MAX_BATCHES_TAKEN):
            if start:
                await asyncio.sleep(0)  # other streams have their turn
            messages = request.batches[start : start + MAX_BATCHES_TAKEN]
            batches = [
                decode_batch(message, self._max_batch_bytes, is_sequenced=self._is_sequenced) for message in messages
            ]
            await stream.submit(in_own_memory(batches, messages), acknowledged)

    def _encode_opened(self, stream: IngestPort) -> clustering_pb2.IngestOpened:
        opened = stream.opened
        return clustering_pb2.IngestOpened(
            session_uid=opened.session_uid,
            max_batch_bytes=self._max_batch_bytes,
            epoch=opened.epoch,
            last_sequence=opened.last_sequence,
        )


def _encode_results(results: Sequence[BatchResult]) -> Iterator[wire.IngestResponse]:
    """Yield the results in few messages, none with many labels or scores."""
    encoded: list[wire.BatchResult] = []
    label_bytes = 0
    for result in results:
        encoded.append(encode_result(result))
        label_bytes += array_bytes(result)
        if label_bytes >= SHARED_LABEL_BYTES:
            yield wire.IngestResponse(None, encoded)
            encoded, label_bytes = [], 0
    if encoded:
        yield wire.IngestResponse(None, encoded)


def _refuse_second_open(request: wire.IngestRequest) -> None:
    if request.open is not None:
        raise invalid(Reason.STREAM_OPENED_TWICE, "open", "open is for the first message of the stream only")


@asynccontextmanager
async def _owned(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a task beside the body, and end it with the body."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
