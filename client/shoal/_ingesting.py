"""Ingest without its I/O: batches carry a sequence, and the producer is known again after a broken connection."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any, Literal

from shoal._batches import FrozenBatch, decode_result, freeze_batch
from shoal._calls import check_producer
from shoal._errors import SessionReplacedError
from shoal._pipeline import Delivery, Pipeline, check_stream
from shoal._points import invalid
from shoal._retrying import StreamRetries
from shoal._types import PushResult
from shoal.v1 import clustering_pb2

OnError = Literal["raise", "return"]


def ingest_pipeline(
    session: str,
    batches: object,
    *,
    producer: str | None,
    first_sequence: int,
    return_labels: bool,
    max_in_flight: int,
    on_error: OnError,
    timeout: float,
) -> Pipeline[FrozenBatch, PushResult]:
    """Return the state of a new Ingest call; see shoal.Session.ingest.

    Raises
    ------
    InvalidArgumentError
        For arguments that can't be right.
    """
    check_producer(producer)
    check_stream(batches, max_in_flight)
    if first_sequence < 1:
        raise invalid("SEQUENCE_MISSING", "first_sequence", f"first_sequence is {first_sequence}; they count from 1")
    if on_error not in {"raise", "return"}:
        raise invalid("ON_ERROR_UNKNOWN", "on_error", f"on_error {on_error!r} is not known; use raise or return")
    dialogue = IngestDialogue(
        session,
        _named(producer),
        first_sequence=first_sequence,
        return_labels=return_labels,
        raise_errors=on_error == "raise",
    )
    return Pipeline(dialogue, max_in_flight, StreamRetries(timeout))


class IngestDialogue:
    """The Ingest method; see Dialogue."""

    method = "Ingest"
    most_in_message = 256

    def __init__(
        self,
        session: str,
        producer: clustering_pb2.Producer,
        *,
        first_sequence: int,
        return_labels: bool,
        raise_errors: bool,
    ) -> None:
        self.session = session
        self._producer = producer
        self._first_sequence = first_sequence
        self._return_labels = return_labels
        self._raise_errors = raise_errors
        self._session_uid = ""
        self._sent_earlier = 0  # the last sequence that an earlier call sent
        self._received = 0  # the last sequence that has been answered to this one
        self.ready = False

    def opening(self) -> clustering_pb2.IngestRequest:
        """See Dialogue."""
        # No batch goes out before the answer: then `_sent_earlier` surely doesn't count any of this call.
        self.ready = False
        opening = clustering_pb2.IngestOpen(session=self.session, producer=self._producer)
        return clustering_pb2.IngestRequest(open=opening, acknowledged=self._received)

    def freeze(self, thing: Any) -> FrozenBatch:
        """See Dialogue."""
        return freeze_batch(thing)

    def request(self, items: list[tuple[int, FrozenBatch]]) -> clustering_pb2.IngestRequest:
        """See Dialogue."""
        request = clustering_pb2.IngestRequest(acknowledged=self._received)
        for number, batch in items:
            sequence = self._first_sequence + number
            batch.write(request.batches.add(), sequence, return_labels=self._return_labels)
        return request

    def deliveries(self, response: clustering_pb2.IngestResponse) -> list[tuple[int | None, Delivery[PushResult]]]:
        """See Dialogue."""
        if response.HasField("opened"):
            self._note_opened(response.opened)
        for result in response.results:
            self._received = result.sequence
        return [(result.sequence - self._first_sequence, partial(self._deliver, result)) for result in response.results]

    def _note_opened(self, opened: clustering_pb2.IngestOpened) -> None:
        if not self._session_uid:
            self._session_uid = opened.session_uid
            self._sent_earlier = opened.last_sequence
        elif opened.session_uid != self._session_uid:
            raise _replaced(self.session)
        self._producer.epoch = opened.epoch
        self.ready = True

    def _deliver(self, result: clustering_pb2.BatchResult) -> PushResult:
        duplicate = result.duplicate and result.sequence <= self._sent_earlier
        delivered = decode_result(result, self.session, duplicate=duplicate)
        if delivered.error is not None and self._raise_errors:
            raise delivered.error
        return delivered


def _named(producer: str | None) -> clustering_pb2.Producer:
    if producer is not None:
        return clustering_pb2.Producer(id=producer)
    # A name of its own, so that what is sent again after a broken connection isn't counted again.
    return clustering_pb2.Producer(id=uuid.uuid4().hex, ephemeral=True)


def _replaced(session: str) -> SessionReplacedError:
    return SessionReplacedError(
        f"while the stream was broken, session {session!r} ended and another one got its name: what was pushed before "
        f"is not in it. Begin again from the first batch",
        reason="SESSION_REPLACED",
        session=session,
    )
