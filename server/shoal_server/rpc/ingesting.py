"""One Ingest stream: a task reads and submits, the call itself answers, in order and several in a message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.errors import DomainError, invalid
from shoal_server.rpc.batches import Asked, decode_batch, decode_producer, encode_answer, encode_refusal
from shoal_server.rpc.serving_state import ServingState
from shoal_server.sessions.jobs import Receipt
from shoal_server.sessions.producers import Producer
from shoal_server.sessions.registry import Sessions

# Answers that may wait for a producer that doesn't read them; when so many wait, its batches aren't taken either. No
# message carries more.
MAX_UNANSWERED = 1024
# Batches of a message that are taken at once, however many it has: as many as the official client puts in one.
MAX_BATCHES_TAKEN = 256
# Labels that share a message: a message that has so many already carries no further answer.
SHARED_LABEL_BYTES = 1024 * 1024
# After these the stream can't go on: whatever came next would be refused for the same reason.
FATAL = {"PRODUCER_FENCED", "SESSION_NOT_FOUND", "SERVER_DRAINING"}

Requests = AsyncIterator[wire.IngestRequest]


class _Pending(NamedTuple):
    """Batches of one message that have been taken together, or one that was refused at once."""

    batches: list[Asked]
    receipt: Receipt | DomainError

    @property
    def done(self) -> bool:
        return isinstance(self.receipt, DomainError) or self.receipt.completion.done()

    async def wait(self) -> None:
        if isinstance(self.receipt, Receipt):
            await self.receipt.completion.wait()

    def results(self) -> Iterator[wire.BatchResult | DomainError]:
        """Yield the answers once they are there; a refusal where the stream ends, to be resumed with that batch."""
        if isinstance(self.receipt, DomainError):
            sequence, _ = self.batches[0]
            yield encode_refusal(self.receipt, sequence)
            return
        for asked, answer in zip(self.batches, self.receipt.answers(), strict=True):
            if isinstance(answer, DomainError) and answer.reason == "SERVER_DRAINING":
                yield answer.again()
                return
            yield encode_answer(answer, self.receipt, asked)


class IngestStream:
    """The batches of one producer and their answers."""

    def __init__(self, sessions: Sessions, serving_state: ServingState, max_batch_bytes: int) -> None:
        self._sessions = sessions
        self._serving_state = serving_state
        self._max_batch_bytes = max_batch_bytes
        self._pending: deque[_Pending] = deque()
        self._unanswered = 0  # batches
        self._room = asyncio.Event()
        self._news = asyncio.Event()
        self._all_read = False
        self._ended_by: Exception | None = None

    async def run(self, requests: Requests) -> AsyncIterator[wire.IngestResponse]:
        """Answer the stream: first what the server knows of the producer, then each batch."""
        first, opening = await self._read_first(requests)
        self._session = self._sessions.get(opening.session)
        with self._session.stream():
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
        with self._serving_state.interruptible():
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
            with self._serving_state.interruptible():
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
        for start in range(0, len(request.batches), MAX_BATCHES_TAKEN):
            if start:
                await asyncio.sleep(0)  # other streams have their turn
            await self._submit(request.batches[start : start + MAX_BATCHES_TAKEN])

    async def _submit(self, batches: list[wire.Batch]) -> None:
        # First a place for the answers: nothing may come between batches that have been taken and their answers.
        await self._have_room(len(batches))
        message = [decode_batch(batch, self._max_batch_bytes, self._producer) for batch in batches]
        asked = [(batch.sequence, batch.return_labels) for batch in batches]
        for receipt in await self._session.submit(message, self._producer):
            if isinstance(receipt, DomainError) and receipt.reason in FATAL:
                raise receipt
            count = receipt.count if isinstance(receipt, Receipt) else 1
            self._pending.append(_Pending(asked[:count], receipt))
            self._unanswered += count
            del asked[:count]
            self._news.set()

    async def _have_room(self, batches: int) -> None:
        while self._unanswered and self._unanswered + batches > MAX_UNANSWERED:
            self._room.clear()
            await self._room.wait()

    async def _results(self) -> AsyncIterator[list[wire.BatchResult]]:
        """Wait for the next answers, and give with them those that are ready too."""
        while await self._has_pending():
            await self._pending[0].wait()
            results: list[wire.BatchResult] = []
            label_bytes = 0
            for result in self._ready_results():
                if isinstance(result, DomainError):
                    if results:
                        yield results
                    raise result
                results.append(result)
                label_bytes += _label_bytes(result)
                if label_bytes >= SHARED_LABEL_BYTES:
                    yield results
                    results, label_bytes = [], 0
            if results:
                yield results

    def _ready_results(self) -> Iterator[wire.BatchResult | DomainError]:
        while self._pending and self._pending[0].done:
            pending = self._pending.popleft()
            self._unanswered -= len(pending.batches)
            self._room.set()
            yield from pending.results()

    async def _has_pending(self) -> bool:
        while not self._pending and not self._all_read:
            self._news.clear()
            await self._news.wait()
        return bool(self._pending)


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
