"""A pipelined call without its I/O: what has been taken from the source and has no answer yet, and what may be sent.

The shells (sync: threads; aio: tasks) feed `take` from the source while there is room, send what `next_request` gives,
hand `receive` what comes back, and ask `lost` when the connection ends: then everything without an answer is sent
again. Nothing here waits, and nothing here is safe for threads: the shells see to that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from shoal._errors import InternalError, ShoalError, UnavailableError
from shoal._points import invalid
from shoal._retrying import StreamRetries

Result = TypeVar("Result")

# Gives a result to the caller, or raises what was wrong with the item.
Delivery = Callable[[], Result]

WINDOW_BYTES = 32 * 1024 * 1024
MESSAGE_BYTES = 1024 * 1024
_AXES_OF_ONE_BATCH = 2


class Item(NamedTuple):
    """What the source gave, as it was then: its owner may write in its arrays again."""

    request: bytes  # that carries this and nothing else
    size: int  # bytes of its arrays


class Dialogue(Protocol[Result]):
    """What is particular to a method: how its items become requests, and its responses results."""

    @property
    def method(self) -> str:
        """The name of the method."""
        ...

    @property
    def session(self) -> str:
        """The name of the session."""
        ...

    @property
    def most_in_message(self) -> int:
        """How many items a request may carry."""
        ...

    @property
    def ready(self) -> bool:
        """Whether items may be sent: the server has answered the opening of this connection."""
        ...

    def opening(self) -> bytes | None:
        """Begin a connection; return what is sent first."""

    def freeze(self, thing: Any) -> Item:
        """Check and copy what the source gave; it is given once, in order, and by one thread."""

    def request(self, items: list[Item]) -> bytes:
        """Return the request that carries the items."""

    def deliveries(self, response: Any) -> list[tuple[int | None, Delivery[Result]]]:
        """Return what a response brings, each with the number of its item, or None: that of the next."""


class Pipeline(Generic[Result]):
    """The state of one pipelined call over all its connections.

    Parameters
    ----------
    dialogue
        What is particular to the method.
    max_in_flight
        How many items may be without an answer.
    retries
        When to connect again.
    """

    def __init__(self, dialogue: Dialogue[Result], max_in_flight: int, retries: StreamRetries) -> None:
        self._dialogue = dialogue
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
        return self._dialogue.method

    @property
    def session(self) -> str:
        """The name of the session."""
        return self._dialogue.session

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
        """Whether everything is answered."""
        return self._ended and self._dialogue.ready and not self._pending

    def freeze(self, thing: Any) -> Item:
        """Check and copy what the source gave; touches nothing else that changes, so it needs no lock."""
        return self._dialogue.freeze(thing)

    def take(self, item: Item) -> None:
        """Add an item."""
        self._pending.append(item)
        self._bytes += item.size

    def end(self, error: BaseException | None = None) -> None:
        """Say that the source has no more, or failed."""
        self._ended = True
        self._source_error = error

    def connect(self) -> None:
        """Begin a connection, the first or another: what has no answer is to be sent on it."""
        self._begun = False
        self._sent = 0

    def next_request(self) -> bytes | None:
        """Return what may be sent now; None: nothing for the moment."""
        if not self._begun:
            self._begun = True
            opening = self._dialogue.opening()
            if opening is not None:
                return opening
        if not self._dialogue.ready or self._sent == len(self._pending):
            return None
        items = self._next_items()
        self._sent += len(items)
        return self._dialogue.request(items)

    def receive(self, response: Any) -> list[Delivery[Result]]:
        """Return what a response brings, in order; the items that it answers are done with."""
        self._retries.note_contact()
        numbered = self._dialogue.deliveries(response)
        for number, _ in numbered:
            self._finish_first(number)
        if numbered or not self._pending:
            self._retries.note_progress()
        return [delivery for _, delivery in numbered]

    def lost(self, failure: ShoalError | None, now: float) -> float:
        """Return the seconds to wait before connecting again; raise if that is no use.

        Parameters
        ----------
        failure
            Why the connection ended; None: the server ended it.
        now
            Seconds of any clock that only goes forward.
        """
        if self.done:
            return 0.0
        owed = bool(self._pending) or not self._dialogue.ready
        return self._retries.delay_after(failure or _ended_early(), now, owed=owed)

    def raise_source_error(self) -> None:
        """Raise what the source raised."""
        if self._source_error is not None:
            raise self._source_error

    def _next_items(self) -> list[Item]:
        items: list[Item] = []
        size = 0
        for item in islice(self._pending, self._sent, self._sent + self._dialogue.most_in_message):
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


def check_stream(batches: object, max_in_flight: int) -> None:
    """Raise InvalidArgumentError for one batch where many are wanted, or for a window without room."""
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
            f"batches is {batches!r}; a stream takes an iterable of (n, d) arrays, such as a list or a generator",
        )
    if max_in_flight < 1:
        raise invalid("MAX_IN_FLIGHT_INVALID", "max_in_flight", f"max_in_flight is {max_in_flight}; use 1 or more")


def _ended_early() -> ShoalError:
    return UnavailableError("the server ended the stream before it had answered everything", reason="STREAM_ENDED")
