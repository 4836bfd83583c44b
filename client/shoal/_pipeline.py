"""A pipelined call without its I/O: the items that have no answer yet, and those that may be sent.

The runners (`_stream_runner`: threads; `aio._stream_runner`: tasks) call `take` for each item of the source while there
is room, send what `next_request` returns, pass each response to `receive`, and call `reconnect_delay` when the
connection ends: everything without an answer is then sent again. Nothing here waits, and nothing here is safe for
threads: the runners take care of both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from shoal._errors import InternalError, ShoalError, UnavailableError
from shoal._retries import StreamRetries
from shoal._validation import INT64, integer, invalid, shown

Result = TypeVar("Result")

# Returns a result, or raises the error of the item.
Delivery = Callable[[], Result]

WINDOW_BYTES = 32 * 1024 * 1024
MESSAGE_BYTES = 1024 * 1024
_AXES_OF_ONE_BATCH = 2


class Item(NamedTuple):
    """A batch of the source, encoded: its owner may reuse the arrays."""

    request: bytes  # a whole request that carries this item alone
    size: int  # bytes of the arrays


class StreamCodec(Protocol[Result]):
    """The part of a pipelined call that depends on the method: encodes its requests and decodes its responses."""

    @property
    def method(self) -> str:
        """The name of the method."""
        ...

    @property
    def session(self) -> str:
        """The name of the session."""
        ...

    @property
    def max_items_per_message(self) -> int:
        """The maximum number of items in a request."""
        ...

    @property
    def ready(self) -> bool:
        """Whether items may be sent: the server has answered the opening of this connection."""
        ...

    def opening(self) -> bytes | None:
        """Begin a connection and return its first message, if the method has one."""

    def encode_item(self, thing: Any) -> Item:
        """Check a batch and encode it; called once for each, in order, from one thread."""

    def request(self, items: list[Item]) -> bytes:
        """Return one request that carries the items."""

    def deliveries(self, response: Any) -> list[tuple[int | None, Delivery[Result]]]:
        """Return the results in a response, each with the number of its item; None means the next item."""

    def explained(self, failure: ShoalError) -> ShoalError:
        """Return the failure of a connection with what this call knows of its cause."""
        ...

    def finish(self) -> None:
        """Warn the caller, once all items are answered, if the answers together give reason to."""


class Pipeline(Generic[Result]):
    """The state of one pipelined call over all its connections.

    Parameters
    ----------
    codec
        Encodes and decodes the messages of the method.
    max_in_flight
        Maximum number of items without an answer.
    retries
        When to connect again.
    """

    def __init__(self, codec: StreamCodec[Result], max_in_flight: int, retries: StreamRetries) -> None:
        self._codec = codec
        self._max_in_flight = max_in_flight
        self._retries = retries
        self._pending: deque[Item] = deque()  # without an answer, in order
        self._first = 0  # the number of the first of them
        self._sent = 0  # how many of them have been sent on this connection
        self._bytes = 0
        self._begun = False  # the opening of this connection has been given out
        self._ended = False
        self._source_error: BaseException | None = None

    @property
    def method(self) -> str:
        """The name of the method."""
        return self._codec.method

    @property
    def session(self) -> str:
        """The name of the session."""
        return self._codec.session

    @property
    def has_room(self) -> bool:
        """Whether another item may be taken from the source."""
        return len(self._pending) < self._max_in_flight and self._bytes < WINDOW_BYTES

    @property
    def all_sent(self) -> bool:
        """Whether there is nothing more to send on this connection."""
        return self._ended and self._begun and self._sent == len(self._pending)

    @property
    def done(self) -> bool:
        """Whether all items are answered."""
        return self._ended and self._codec.ready and not self._pending

    def encode_item(self, thing: Any) -> Item:
        """Check a batch and encode it. Needs no lock: it changes nothing else of the pipeline."""
        return self._codec.encode_item(thing)

    def take(self, item: Item) -> None:
        """Add an item."""
        self._pending.append(item)
        self._bytes += item.size

    def end(self, error: BaseException | None = None) -> None:
        """Note that the source is exhausted, or has failed."""
        self._ended = True
        self._source_error = error

    def connect(self) -> None:
        """Begin a connection, the first or a later one; everything without an answer is sent on it."""
        self._begun = False
        self._sent = 0

    def next_request(self) -> bytes | None:
        """Return the next message to send, or None while there is nothing to send."""
        if not self._begun:
            self._begun = True
            opening = self._codec.opening()
            if opening is not None:
                return opening
        if not self._codec.ready or self._sent == len(self._pending):
            return None
        items = self._next_items()
        self._sent += len(items)
        return self._codec.request(items)

    def receive(self, response: Any) -> list[Delivery[Result]]:
        """Return the results in a response, in order, and forget the items that they answer."""
        self._retries.note_contact()
        numbered = self._codec.deliveries(response)
        for number, _ in numbered:
            self._finish_first(number)
        if numbered or not self._pending:
            self._retries.note_progress()
        return [delivery for _, delivery in numbered]

    def reconnect_delay(self, failure: ShoalError | None, now: float) -> float:
        """See ResumableStream."""
        if self.done:
            return 0.0
        owed = bool(self._pending) or not self._codec.ready
        failure = self._codec.explained(failure) if failure else _ended_early()
        return self._retries.delay_after(failure, now, owed=owed)

    def finish(self) -> None:
        """Once all items are answered, raise the exception of the source, if it raised one."""
        if self._source_error is not None:
            raise self._source_error
        self._codec.finish()

    def _next_items(self) -> list[Item]:
        items: list[Item] = []
        size = 0
        for item in islice(self._pending, self._sent, self._sent + self._codec.max_items_per_message):
            size += item.size
            if items and size > MESSAGE_BYTES:
                break
            items.append(item)
        return items

    def _finish_first(self, number: int | None) -> None:
        if not self._sent or (number is not None and number != self._first):
            message = f"the server answered number {number} of the stream where number {self._first} is next"
            raise InternalError(message, reason="ANSWER_UNEXPECTED")
        self._bytes -= self._pending.popleft().size
        self._sent -= 1
        self._first += 1


def check_stream(batches: object, max_in_flight: int) -> int:
    """Return max_in_flight.

    Raises
    ------
    InvalidArgumentError
        If it isn't a whole number from 1 up, or for a single array instead of many.
    """
    if isinstance(batches, np.ndarray) and batches.ndim <= _AXES_OF_ONE_BATCH:
        raise invalid(
            "SHAPE_INVALID",
            "batches",
            f"batches is one array of shape {batches.shape}; a stream takes an iterable of (n, d) arrays: give [X], "
            f"or cut it with numpy.array_split",
        )
    if not isinstance(batches, Iterable | AsyncIterable):
        raise invalid(
            "BATCHES_INVALID",
            "batches",
            f"batches is {shown(batches)}; a stream takes an iterable of (n, d) arrays, such as a list or a generator",
        )
    return integer("max_in_flight", max_in_flight, (1, INT64[1]))


def _ended_early() -> ShoalError:
    return UnavailableError("the server ended the stream before it had answered everything", reason="STREAM_ENDED")
