"""The methods that send points: calls and streams. All report a refusal in the same way."""

from __future__ import annotations

import queue
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar, Self

import grpc

from shoal.v1 import clustering_pb2
from tests.rpc.refusals import Refusal, as_google, status_of
from tests.rpc.wire import PATIENCE, Wire

BatchResult = clustering_pb2.BatchResult | clustering_pb2.AssignResponse


class Way:
    """Sends one batch after another to a session. Leaving the context ends the stream, which must end well."""

    updates: ClassVar[bool] = True  # a batch makes a version

    def __init__(self, wire: Wire, session: str) -> None:
        self.wire = wire
        self.session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the open stream, if any."""

    def accepted(self, message: clustering_pb2.Batch) -> Any:
        """Return the answer to a batch that must be accepted."""
        answer = self._send(message)
        assert not answer.HasField("error"), answer.error.message
        return answer

    def refused(self, message: clustering_pb2.Batch) -> Any:
        """Return the status of a batch that must be refused alone."""
        try:
            answer = self._send(message)
        except grpc.RpcError as error:
            return status_of(error)
        raise AssertionError(answer)

    def _send(self, message: clustering_pb2.Batch) -> BatchResult:
        raise NotImplementedError


class Push(Way):
    def _send(self, message: clustering_pb2.Batch) -> BatchResult:
        return self.wire.push(self.session, message)


class Assign(Way):
    updates = False

    def _send(self, message: clustering_pb2.Batch) -> BatchResult:
        return self.wire.assign(self.session, message.points)


class Stream:
    """A call of a bidirectional method whose requests are given one by one."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call = method(iter(self._requests.get, None), timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        if error is not None:
            self.call.cancel()

    def send(self, request: Any) -> None:
        self._requests.put(request)

    def receive(self) -> Any:
        return next(self.call)

    def results(self, count: int) -> list[clustering_pb2.BatchResult]:
        """Return the next results, however they are spread over messages."""
        results: list[clustering_pb2.BatchResult] = []
        while len(results) < count:
            results.extend(self.receive().results)
        return results

    def end(self) -> None:
        """Send no more."""
        self._requests.put(None)

    def rest(self) -> list[Any]:
        """End the stream, and return the answers to come."""
        self.end()
        return list(self.call)


class _Streaming(Way):
    stream: Stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.stream:
            if error is None:
                assert self.stream.rest() == []
                assert self.stream.call.code() is grpc.StatusCode.OK

    def refused(self, message: clustering_pb2.Batch) -> Any:
        answer = self._send(message)
        assert answer.HasField("error"), answer
        assert sorted(field.name for field, _ in answer.ListFields()) in (["error"], ["error", "sequence"])
        return as_google(answer.error)


class Ingest(_Streaming):
    """A stream of batches without a producer's name."""

    producer = ""

    def __init__(self, wire: Wire, session: str) -> None:
        super().__init__(wire, session)
        self.stream = Stream(wire.clustering.Ingest)
        self.stream.send(opening(session, self.producer))
        self.opened = self.stream.receive().opened
        self._sequence = self.opened.last_sequence

    def _send(self, message: clustering_pb2.Batch) -> BatchResult:
        self._sequence += 1
        numbered = clustering_pb2.Batch()
        numbered.CopyFrom(message)
        numbered.sequence = self._sequence
        self.stream.send(clustering_pb2.IngestRequest(batches=[numbered]))
        (result,) = self.stream.receive().results
        assert result.sequence == self._sequence
        return result  # type: ignore[no-any-return]  # a stream of either method


class NamedIngest(Ingest):
    """A stream of batches whose producer has a name: every batch, refused or not, uses up its sequence."""

    producer = "tester"


class AssignStream(_Streaming):
    updates = False

    def __init__(self, wire: Wire, session: str) -> None:
        super().__init__(wire, session)
        self.stream = Stream(wire.clustering.AssignStream)

    def _send(self, message: clustering_pb2.Batch) -> BatchResult:
        self.stream.send(clustering_pb2.AssignRequest(session=self.session, points=message.points))
        return self.stream.receive()  # type: ignore[no-any-return]  # a stream of either method


def opening(session: str, producer: str = "", epoch: int = 0) -> clustering_pb2.IngestRequest:
    """Return the first message of an Ingest stream."""
    named = clustering_pb2.Producer(id=producer, epoch=epoch) if producer else None
    return clustering_pb2.IngestRequest(open=clustering_pb2.IngestOpen(session=session, producer=named))


UPDATING: list[type[Way]] = [Push, Ingest, NamedIngest]
ASSIGNING: list[type[Way]] = [Assign, AssignStream]


def check_refusal(way: Way, bad: clustering_pb2.Batch, refusal: Refusal, good: clustering_pb2.Batch) -> None:
    """Fail unless the batch is refused as it must be, nothing of it stays, and a good one is taken after it."""
    way.accepted(good)
    session, snapshot = way.wire.describe(way.session), way.wire.centroids(way.session)

    status = way.refused(bad)

    refusal.check(status)
    assert way.wire.describe(way.session) == session
    assert way.wire.centroids(way.session) == snapshot
    assert way.accepted(good).version == session.version + way.updates


def as_duplicate(result: clustering_pb2.BatchResult) -> clustering_pb2.BatchResult:
    """Return the answer to a batch as it is given again."""
    again = clustering_pb2.BatchResult()
    again.CopyFrom(result)
    again.duplicate = True
    return again
