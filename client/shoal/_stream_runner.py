"""Runs streams with threads. The decisions are in `_pipeline` and `_watch`, which do no I/O."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic

import grpc

from shoal._connection import Connection
from shoal._errors import ShoalError
from shoal._pipeline import Delivery, Item, Pipeline, Result
from shoal._retries import ResumableStream
from shoal._watch import Item as WatchedItem
from shoal._watch import Watch

_SOURCE_SECONDS = 2.0  # that an exchange waits for its source when it ends


def run_pipeline(
    connection: Connection, pipeline: Pipeline[Result], source: Iterable[Any]
) -> Generator[Result, None, None]:
    """Send the batches of the source, and yield the results in order."""
    with _Exchange(pipeline, source) as exchange:
        while not exchange.done:
            with _stream(connection, pipeline.method, exchange.connect()) as responses:
                while (response := _next(connection, responses, exchange)) is not None:
                    for deliver in exchange.receive(response):
                        yield deliver()
        pipeline.finish()


def run_watch(connection: Connection, watch: Watch[WatchedItem]) -> Generator[WatchedItem, None, None]:
    """Yield what is watched until the session is gone."""
    watch.open(connection.call(watch.opening()))
    while not watch.ended:
        with _stream(connection, "WatchCentroids", watch.connect()) as responses:
            while (response := _next(connection, responses, watch)) is not None:
                yield from watch.receive(response)


@contextmanager
def _stream(connection: Connection, method: str, requests: Any) -> Iterator[Any]:
    call = connection.open(method, requests)
    try:
        yield call
    finally:
        call.cancel()


def _next(connection: Connection, responses: Iterator[Any], stream: ResumableStream) -> Any:
    """Return the next response; None when the connection has ended, after the wait before the next one."""
    failure = None
    try:
        response = next(responses, None)
    except grpc.RpcError as failed:
        response = None
        failure = connection.error(failed, stream.session)
    if response is None:
        time.sleep(stream.reconnect_delay(failure, time.monotonic()))
    return response


class _Exchange(Generic[Result]):
    """A pipeline between three threads: the caller's, the one that reads the source, and gRPC's, which sends.

    The source has a thread of its own so that its slowness holds up no result. The exchange waits for that thread when
    it ends: a thread that is reading a file while Python exits aborts the process. If the source takes too long, the
    thread ends by itself, with the source's next item.
    """

    def __init__(self, pipeline: Pipeline[Result], source: Iterable[Any]) -> None:
        self._pipeline = pipeline
        self._changed = threading.Condition()
        self._connections = 0
        self._closed = False
        name = f"shoal reads the source of {pipeline.method}"
        self._reader = threading.Thread(target=self._read, args=(source,), name=name, daemon=True)

    def __enter__(self) -> _Exchange[Result]:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._reader:  # which may collect an exchange that nobody holds
            self._reader.join(_SOURCE_SECONDS)

    @property
    def session(self) -> str:
        """The name of the session."""
        return self._pipeline.session

    @property
    def done(self) -> bool:
        """Whether everything is answered."""
        with self._changed:
            return self._pipeline.done

    def connect(self) -> Iterator[bytes]:
        """Begin a connection and return its requests."""
        with self._changed:
            self._pipeline.connect()
            self._connections += 1
            self._changed.notify_all()
            return self._requests(self._connections)

    def receive(self, response: Any) -> list[Delivery[Result]]:
        """See Pipeline."""
        with self._changed:
            deliveries = self._pipeline.receive(response)
            self._changed.notify_all()
            return deliveries

    def reconnect_delay(self, failure: ShoalError | None, now: float) -> float:
        """See Pipeline."""
        with self._changed:
            return self._pipeline.reconnect_delay(failure, now)

    def _requests(self, connection: int) -> Iterator[bytes]:
        while (request := self._next_request(connection)) is not None:
            yield request

    def _next_request(self, connection: int) -> bytes | None:
        with self._changed:
            while not self._closed and connection == self._connections:
                request = self._pipeline.next_request()
                if request is not None or self._pipeline.all_sent:
                    return request
                self._changed.wait()
        return None

    def _read(self, source: Iterable[Any]) -> None:
        error: BaseException | None = None
        try:
            self._take_all(source)
        except BaseException as raised:  # noqa: BLE001  (the caller gets it)
            error = raised
        with self._changed:
            self._pipeline.end(error)
            self._changed.notify_all()

    def _take_all(self, source: Iterable[Any]) -> None:
        if not self._has_room():
            return
        for thing in source:
            if not self._take(self._pipeline.encode_item(thing)):
                return

    def _take(self, item: Item) -> bool:
        """Add an item and wait for room for another one; False when the exchange has ended."""
        with self._changed:
            self._pipeline.take(item)
            self._changed.notify_all()
            return self._has_room()

    def _has_room(self) -> bool:
        with self._changed:
            while not self._closed and not self._pipeline.has_room:
                self._changed.wait()
            return not self._closed
