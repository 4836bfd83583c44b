"""One Ingest stream: a task reads and submits, the call itself answers, in order and several in a message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.clustering.state import BatchResult
from shoal_server.errors import Reason, invalid
from shoal_server.rpc.batches import decode_batch, decode_producer, encode_result, in_own_memory
from shoal_server.rpc.serving_state import ServingState
from shoal_server.sessions.port import IngestPort, SessionPort

# Batches of a message that are taken at once, however many it has: as many as the official client puts in one.
MAX_BATCHES_TAKEN = 256
# Labels that share a message: a message that has so many already carries no further answer.
SHARED_LABEL_BYTES = 1024 * 1024

Requests = AsyncIterator[wire.IngestRequest]


class IngestCall:
    """The messages of one stream and their answers."""

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
        except Exception as error:  # noqa: BLE001  (told to the producer after the answers to what it sent before)
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
    """Yield the results in few messages, none with many labels."""
    encoded: list[wire.BatchResult] = []
    label_bytes = 0
    for result in results:
        encoded.append(encode_result(result))
        label_bytes += 0 if result.labels is None else result.labels.nbytes
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
