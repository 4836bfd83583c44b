"""A gRPC server in this process that fails on cue, for faults that a real one can't be brought to make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Never, Self

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from shoal.v1 import clustering_pb2, errors_pb2, sessions_pb2

Script = Callable[[Any, grpc.ServicerContext], Any]


class FakeServer(grpc.GenericRpcHandler):
    """Each call of a method runs its next script; the last one repeats."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._scripts: dict[str, list[Script]] = {}
        self._server = grpc.server(ThreadPoolExecutor(16), handlers=[self], options=[("grpc.so_reuseport", 0)])
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def plays(self, method: str, *scripts: Script) -> None:
        self._scripts[method] = list(scripts)

    def count(self, method: str) -> int:
        return sum(called == method for called, _ in self.calls)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        method = _METHODS[handler_call_details.method]
        kind = f"{_WAYS[method.client_streaming]}_{_WAYS[method.server_streaming]}_rpc_method_handler"
        make: Callable[..., grpc.RpcMethodHandler[Any, Any]] = getattr(grpc, kind)
        return make(
            partial(self._play, method.name),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )

    def _play(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls.append((method, request))
        scripts = self._scripts[method]
        return (scripts.pop(0) if len(scripts) > 1 else scripts[0])(request, context)


_WAYS = {False: "unary", True: "stream"}
_METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in (clustering_pb2.DESCRIPTOR, sessions_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
}


def unavailable(_request: object, context: grpc.ServicerContext) -> Never:
    context.abort(grpc.StatusCode.UNAVAILABLE, "out for lunch")
    raise AssertionError


def starting(_request: object, context: grpc.ServicerContext) -> Never:
    """Refuse as a server does that isn't ready, and ask for a while."""
    retry = errors_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(50)
    _fail(context, grpc.StatusCode.UNAVAILABLE, "SERVER_STARTING", retry)


def short_of_memory(_request: object, context: grpc.ServicerContext) -> Never:
    """End the call as a server does that is at its memory limit."""
    retry = errors_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(50)
    _fail(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "MEMORY_LIMIT_REACHED", retry)


def answers(answer: Any) -> Script:
    return lambda _request, _context: answer


def streams(*answers: Any, then: Script | None = None) -> Script:
    def play(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from answers
        if then is not None:
            then(request, context)

    return play


def described(uid: str = "uid-1") -> Script:
    return answers(sessions_pb2.Session(name="fake", uid=uid))


def gone(_request: object, context: grpc.ServicerContext) -> Never:
    """Refuse as a server does that has no such session."""
    _fail(context, grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")


def _fail(context: grpc.ServicerContext, code: grpc.StatusCode, reason: str, *more: Message) -> Never:
    status = errors_pb2.Status(code=code.value[0], message="it failed; create it first")
    for detail in (errors_pb2.ErrorInfo(reason=reason, domain="shoal"), *more):
        name = detail.DESCRIPTOR.name
        status.details.add(type_url=f"type.googleapis.com/google.rpc.{name}", value=detail.SerializeToString())
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, "it failed")
    raise AssertionError


class Ingesting:
    """Scripts Ingest: how it opens, how many batches it answers, whether it has forgotten old ones, and how it ends."""

    def __init__(
        self,
        *,
        batches: int | None,
        uid: str = "uid-1",
        epoch: int = 7,
        last_sequence: int = 0,
        forgets: bool = False,
        then: Script | None = None,
    ) -> None:
        self._batches = batches
        self._opened = clustering_pb2.IngestOpened(session_uid=uid, epoch=epoch, last_sequence=last_sequence)
        self._last_sequence = last_sequence
        self._forgets = forgets
        self._then = then
        self.opening: clustering_pb2.IngestOpen | None = None
        self.received: list[int] = []

    def __call__(self, requests: Any, context: grpc.ServicerContext) -> Iterator[clustering_pb2.IngestResponse]:
        self.opening = next(requests).open
        if self._batches is not None and self._batches < 0:
            context.abort(grpc.StatusCode.UNAVAILABLE, "before the opening is answered")
        yield clustering_pb2.IngestResponse(opened=self._opened)
        for sequence in self._sequences(requests):
            if self._batches is not None and len(self.received) == self._batches:
                break
            self.received.append(sequence)
            duplicate = sequence <= self._last_sequence
            if duplicate and self._forgets:
                result = clustering_pb2.BatchResult(sequence=sequence, duplicate=True, forgotten=True)
            else:
                result = clustering_pb2.BatchResult(
                    sequence=sequence, version=sequence, accepted=1, duplicate=duplicate
                )
            yield clustering_pb2.IngestResponse(results=[result])
        if self._then is not None:
            self._then(requests, context)

    @staticmethod
    def _sequences(requests: Any) -> Iterator[int]:
        for request in requests:
            for batch in request.batches:
                yield batch.sequence
