"""One Ingest stream: a task reads and submits, the call itself answers, in order and several in a message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.errors import DomainError, invalid
from shoal_server.rpc.batches import decode_producer, encode_outcome, encode_refusal, submit
from shoal_server.rpc.gate import Gate
from shoal_server.sessions.jobs import Submitted
from shoal_server.sessions.producers import Producer
from shoal_server.sessions.registry import Sessions

# Answers that may wait for a producer that doesn't read them; when so many wait, its batches aren't read either.
MOST_UNANSWERED = 256
# Labels that share a message: a message that has so many already carries no further answer.
SHARED_LABEL_BYTES = 1024 * 1024
# After these the stream can't go on: whatever came next would be refused for the same reason.
FATAL = {"PRODUCER_FENCED", "SESSION_NOT_FOUND", "SERVER_DRAINING"}

Requests = AsyncIterator[wire.IngestRequest]


@dataclass(frozen=True)
class _Pending:
    """A batch that has been read: taken, or refused at once."""

    sequence: int
    return_labels: bool
    submitted: Submitted | DomainError

    @property
    def done(self) -> bool:
        return isinstance(self.submitted, DomainError) or self.submitted.outcome.done()

    @property
    def given_up(self) -> bool:
        """Whether it was taken and not applied before the server stops: the stream ends here, to be resumed with it."""
        if isinstance(self.submitted, DomainError) or not self.submitted.outcome.done():
            return False
        refusal = self.submitted.outcome.exception()
        return isinstance(refusal, DomainError) and refusal.reason == "SERVER_DRAINING"


class IngestStream:
    """The batches of one producer and their answers."""

    def __init__(self, sessions: Sessions, gate: Gate, max_batch_bytes: int) -> None:
        self._sessions = sessions
        self._gate = gate
        self._max_batch_bytes = max_batch_bytes
        self._pending: deque[_Pending] = deque()
        self._room = asyncio.Semaphore(MOST_UNANSWERED)
        self._news = asyncio.Event()
        self._all_read = False
        self._ended_by: Exception | None = None

    async def run(self, requests: Requests) -> AsyncIterator[wire.IngestResponse]:
        """Answer the stream: first what the server knows of the producer, then each batch."""
        first, opening = await self._read_first(requests)
        self._session = self._sessions.get(opening.session)
        self._producer, opened = self._open(opening)
        try:
            yield wire.IngestResponse(opened, [])
            reading = self._read(first, requests)
            del first, opening  # as below
            async with _owned(reading):
                async for results in self._results():
                    yield wire.IngestResponse(None, results)
            if self._ended_by:
                raise self._ended_by
        finally:
            if self._producer:
                self._session.leave_producer(self._producer)

    async def _read_first(self, requests: Requests) -> tuple[wire.IngestRequest, clustering_pb2.IngestOpen]:
        with self._gate.interruptible():
            async for request in requests:
                if request.open is not None:
                    return request, request.open
                break
        raise invalid(
            "STREAM_NOT_OPENED", "open", "the first message of the stream has no open; begin with session and producer"
        )

    def _open(self, opening: clustering_pb2.IngestOpen) -> tuple[Producer | None, clustering_pb2.IngestOpened]:
        producer = decode_producer(opening.producer)
        opened = clustering_pb2.IngestOpened(session_uid=self._session.uid, max_batch_bytes=self._max_batch_bytes)
        if producer is None:
            return None, opened
        position = self._session.open_producer(producer)
        opened.epoch = position.epoch
        opened.last_sequence = position.last_sequence
        return replace(producer, epoch=position.epoch), opened

    async def _read(self, first: wire.IngestRequest, requests: Requests) -> None:
        try:
            with self._gate.interruptible():
                await self._submit_all(first)
                del first  # a stream that falls quiet must not hold its last message
                async for request in requests:
                    _refuse_second_open(request)
                    await self._submit_all(request)
                    del request
        except Exception as error:  # noqa: BLE001  (told to the producer after the answers to what it sent before)
            self._ended_by = error
        self._all_read = True
        self._news.set()

    async def _submit_all(self, request: wire.IngestRequest) -> None:
        if self._producer and request.acknowledged:
            self._session.acknowledge(self._producer, request.acknowledged)
        for batch in request.batches:
            # First a place for the answer: nothing may come between a batch that has been taken and its answer.
            await self._room.acquire()
            self._pending.append(_Pending(batch.sequence, batch.return_labels, await self._submit(batch)))
            self._news.set()

    async def _submit(self, batch: wire.Batch) -> Submitted | DomainError:
        try:
            return await submit(self._session, batch, self._producer, self._max_batch_bytes)
        except DomainError as refusal:
            if refusal.reason in FATAL:
                raise
            return refusal.again()

    async def _results(self) -> AsyncIterator[list[wire.BatchResult]]:
        """Wait for the next answer, and give with it those that are ready too."""
        while await self._has_pending():
            results = [await _result(self._take())]
            label_bytes = _label_bytes(results[0])
            while label_bytes < SHARED_LABEL_BYTES and self._has_ready():
                results.append(await _result(self._take()))
                label_bytes += _label_bytes(results[-1])
            yield results

    async def _has_pending(self) -> bool:
        while not self._pending and not self._all_read:
            self._news.clear()
            await self._news.wait()
        return bool(self._pending)

    def _has_ready(self) -> bool:
        return bool(self._pending) and self._pending[0].done and not self._pending[0].given_up

    def _take(self) -> _Pending:
        self._room.release()
        return self._pending.popleft()


async def _result(pending: _Pending) -> wire.BatchResult:
    if isinstance(pending.submitted, DomainError):
        return encode_refusal(pending.submitted, pending.sequence)
    try:
        outcome = await pending.submitted.result()
    except DomainError as refusal:
        if pending.given_up:
            raise
        return encode_refusal(refusal, pending.sequence)
    return encode_outcome(outcome, pending.submitted, pending.sequence, return_labels=pending.return_labels)


def _label_bytes(result: wire.BatchResult) -> int:
    return 0 if result.labels is None else memoryview(result.labels.data).nbytes


def _refuse_second_open(request: wire.IngestRequest) -> None:
    if request.open is not None:
        raise invalid("STREAM_OPENED_TWICE", "open", "open is for the first message of the stream only")


@asynccontextmanager
async def _owned(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a task beside the body, and end it with the body."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
