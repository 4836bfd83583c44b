"""Ingest without its I/O: batches carry a sequence, by which the server recognises them after a broken connection."""

from __future__ import annotations

import uuid
import warnings
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from shoal import wire
from shoal._batch_codec import decode_result, encode_batch, size_of
from shoal._calls import check_producer
from shoal._errors import InvalidArgumentError, SessionNotFoundError, SessionReplacedError, ShoalError
from shoal._pipeline import MESSAGE_BYTES, Delivery, Item, Pipeline, check_stream
from shoal._retries import StreamRetries
from shoal._session_codec import enum_number
from shoal._statuses import gone_meanwhile
from shoal._types import PushResult
from shoal._validation import flag, integer, invalid
from shoal.v1 import clustering_pb2

OnError = Literal["raise", "return"]
_ON_ERROR = {"raise": 0, "return": 1}
_MAX_FIRST_SEQUENCE = 2**62  # there is room for as many behind it

# Sent in place of a batch that can't be: the server refuses it, and its sequence counts as that of any refused batch.
_NO_POINTS = wire.tensor_of(np.empty((0, 0)))

# Bytes of a batch that has no room beside another one like it: it is sent as it was frozen, not copied once more.
LARGE_BATCH = MESSAGE_BYTES // 2 + 1


def ingest_pipeline(
    session: str,
    batches: object,
    *,
    producer: str | None,
    first_sequence: int,
    return_labels: bool,
    return_scores: bool = False,
    max_in_flight: int,
    on_error: OnError,
    timeout: float,
) -> Pipeline[PushResult]:
    """Return the state of a new Ingest call; see shoal.Session.ingest.

    Raises
    ------
    InvalidArgumentError
        If an argument is invalid.
    """
    check_producer(producer)
    window = check_stream(batches, max_in_flight)
    first = integer("first_sequence", first_sequence, (-_MAX_FIRST_SEQUENCE, _MAX_FIRST_SEQUENCE))
    if first < 1:
        raise invalid("SEQUENCE_MISSING", "first_sequence", f"first_sequence is {first}; use 1 or more")
    enum_number("on_error", on_error, _ON_ERROR)
    codec = IngestCodec(
        session,
        _named(producer),
        first_sequence=first,
        return_labels=flag("return_labels", return_labels),
        return_scores=flag("return_scores", return_scores),
        raise_errors=on_error == "raise",
    )
    return Pipeline(codec, window, StreamRetries(timeout))


class IngestCodec:
    """The Ingest method; see StreamCodec."""

    method = "Ingest"
    max_items_per_message = 256

    def __init__(
        self,
        session: str,
        producer: clustering_pb2.Producer,
        *,
        first_sequence: int,
        return_labels: bool,
        return_scores: bool = False,
        raise_errors: bool,
    ) -> None:
        self.session = session
        self._producer = producer
        self._first_sequence = first_sequence
        self._return_labels = return_labels
        self._return_scores = return_scores
        self._raise_errors = raise_errors
        self._not_sent: dict[int, InvalidArgumentError] = {}  # by sequence: why a batch couldn't be encoded
        self._session_uid = ""
        self._encoded = 0  # how many batches the source has given
        self._sent_earlier = 0  # the last sequence that an earlier call sent
        self._received = 0  # the last sequence that has been answered to this one
        self._unverified = 0  # batches counted before, of which the server no longer knows whether they are the same
        self.ready = False

    def opening(self) -> bytes:
        """See StreamCodec."""
        # No batch goes out before the answer: then `_sent_earlier` surely doesn't count any of this call.
        self.ready = False
        opening = clustering_pb2.IngestOpen(session=self.session, producer=self._producer)
        return clustering_pb2.IngestRequest(open=opening, acknowledged=self._received).SerializeToString()

    def encode_item(self, thing: Any) -> Item:
        """See StreamCodec."""
        sequence = self._first_sequence + self._encoded
        try:
            batch = encode_batch(thing, sequence, return_labels=self._return_labels, return_scores=self._return_scores)
        except InvalidArgumentError as error:
            error.sequence = sequence
            if self._raise_errors:
                raise self._numbered(error) from error.__cause__
            self._not_sent[sequence] = error
            batch = wire.Batch(_NO_POINTS, None, sequence, None, False)
        self._encoded += 1
        size = size_of(batch)
        # What has been answered by now, and not when it is sent: the server holds a window more of its answers.
        acknowledged = self._received if size >= LARGE_BATCH else 0
        return Item(wire.encode_ingest_request(batch, acknowledged), size)

    def request(self, items: list[Item]) -> bytes:
        """See StreamCodec."""
        requests = [item.request for item in items]
        if self._received and items[0].size < LARGE_BATCH:
            requests.append(clustering_pb2.IngestRequest(acknowledged=self._received).SerializeToString())
        return b"".join(requests)

    def deliveries(self, response: wire.IngestResponse) -> list[tuple[int | None, Delivery[PushResult]]]:
        """See StreamCodec."""
        if response.opened is not None:
            self._note_opened(response.opened)
        deliveries: list[tuple[int | None, Delivery[PushResult]]] = []
        for result in response.results:
            self._received = result.message.sequence
            deliveries.append((self._received - self._first_sequence, partial(self._deliver, result)))
        return deliveries

    def explained(self, failure: ShoalError) -> ShoalError:
        """See StreamCodec."""
        if not self._session_uid:
            return failure
        return gone_meanwhile(failure, "ingest", "Create it and push everything again")

    def finish(self) -> None:
        """See StreamCodec."""
        if self._unverified and self._unverified == self._encoded:
            warnings.warn(
                f"nothing was added: producer {self._producer.id!r} has pushed {self._sent_earlier} batches before, "
                f"and the server may no longer know whether these are the same. If they are new, use another producer",
                stacklevel=4,  # where the results are read
            )

    def _note_opened(self, opened: clustering_pb2.IngestOpened) -> None:
        if not self._session_uid:
            self._session_uid = opened.session_uid
            self._sent_earlier = opened.last_sequence
        elif opened.session_uid != self._session_uid:
            raise _replaced(self.session)
        self._producer.epoch = opened.epoch
        self.ready = True

    def _deliver(self, result: wire.BatchResult) -> PushResult:
        duplicate = result.message.duplicate and result.message.sequence <= self._sent_earlier
        delivered = decode_result(result, self.session, duplicate=duplicate)
        if duplicate and delivered.unverified:
            self._unverified += 1
        if delivered.error is not None:
            error = self.explained(delivered.error)
            error.sequence = delivered.sequence
            if self._raise_errors:
                raise error if isinstance(error, SessionNotFoundError) else self._numbered(error)
            delivered = replace(delivered, error=error)
        if self._not_sent and (not_sent := self._not_sent.pop(delivered.sequence, None)):
            return replace(delivered, error=not_sent)
        return delivered

    def _numbered(self, error: ShoalError) -> ShoalError:
        """Return the error of a batch with the place of the batch in this ingest, from 1."""
        place = (error.sequence or 0) - self._first_sequence + 1
        return error.with_message(f"batch {place}: {error.message}")


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
