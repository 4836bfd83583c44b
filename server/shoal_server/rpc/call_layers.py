"""What surrounds every call of shoal.v1: errors → trace → authenticate → admit → the service's method.

Each layer is an interceptor with one concern. It wraps a method once, when that is first called, so that a layer costs
a call one coroutine and a message of a stream nothing.

A refusal becomes a google.rpc.Status. Any exception that is no DomainError is a bug: it is logged, and the caller
learns only that there is one.
"""

from __future__ import annotations

import asyncio
import os
import re
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, NamedTuple, Never, TypeAlias, cast

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from structlog.contextvars import bind_contextvars

from shoal import wire
from shoal.v1 import errors_pb2
from shoal_server.errors import DomainError, Kind, Reason, Refusal, internal, invalid, refused
from shoal_server.process import MemoryReturn
from shoal_server.rpc.serving_state import ServingState

DETAILS_KEY = "grpc-status-details-bin"
PREFIX = "/shoal.v1."
ANONYMOUS = "anonymous"
LARGE = 1024 * 1024  # bytes of a message that is worth a look at the memory once it has been refused

Context = grpc.aio.ServicerContext[Any, Any]
Encode: TypeAlias = "Callable[[Any], Awaitable[bytes]]"  # what a service answers with, as a message
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behavior = Callable[[Any, Context], Coroutine[Any, Any, Any]]

# The trace id of a W3C traceparent: version, trace id, parent id, flags.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

log = structlog.get_logger()


class CallContext(NamedTuple):
    """What a service's method knows of the call that it answers."""

    method: str  # such as /shoal.v1.ClusteringService/Push
    trace_id: str = ""
    principal: str = ANONYMOUS  # who calls


_current: ContextVar[CallContext] = ContextVar("current call")  # a call has a task of its own


class CallLayer(grpc.aio.ServerInterceptor):
    """Wraps the methods of shoal.v1; health and reflection answer for themselves."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    @abstractmethod
    def wrap(self, behavior: Behavior, method: str) -> Behavior:
        """Return a method with this layer around it."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the handler of a method, wrapped when it is asked for first."""
        method = handler_call_details.method
        if method not in self._handlers:
            handler = await continuation(handler_call_details)
            if handler is None or not method.startswith(PREFIX):
                return handler
            self._handlers[method] = _rebuilt(handler, self.wrap(_behavior_of(handler), method))
        return self._handlers[method]


class ErrorLayer(CallLayer):
    """Answers a failed call with its status, and ends a call whose client has gone."""

    def wrap(self, behavior: Behavior, method: str) -> Behavior:
        """Return a method whose exceptions become statuses."""

        async def answer(request: Any, context: Context) -> Any:
            _current.set(CallContext(method))
            try:
                return await behavior(request, context)
            except grpc.aio.InternalError:
                # gRPC couldn't write: the client has gone, and the word of it, which cancels this call, is on its way.
                raise asyncio.CancelledError from None
            except Exception as error:  # noqa: BLE001  (the caller learns nothing of a bug)
                status = error_status(error)
            del request  # gRPC holds this frame until the garbage collector comes
            return await abort(status, context)

        return answer


class TraceLayer(CallLayer):
    """Gives a call its trace id, the caller's own where it sends a W3C traceparent, and binds it to the log."""

    def wrap(self, behavior: Behavior, method: str) -> Behavior:
        """Return a method that is traced."""

        async def answer(request: Any, context: Context) -> Any:
            trace_id = _trace_id(context)
            bind_contextvars(method=method, trace_id=trace_id)
            _current.set(_current.get()._replace(trace_id=trace_id))
            return await behavior(request, context)

        return answer


class AuthenticationLayer(CallLayer):
    """Identifies the caller.

    Parameters
    ----------
    authenticate
        Returns the principal of a call by its metadata; raises a DomainError, UNAUTHENTICATED, for who has none.
    """

    def __init__(self, authenticate: Callable[[Context], str]) -> None:
        super().__init__()
        self._authenticate = authenticate

    def wrap(self, behavior: Behavior, method: str) -> Behavior:  # noqa: ARG002  (all methods alike)
        """Return a method that knows who calls."""

        async def answer(request: Any, context: Context) -> Any:
            _current.set(_current.get()._replace(principal=self._authenticate(context)))
            return await behavior(request, context)

        return answer


class AdmissionLayer(CallLayer):
    """Lets calls in while the server serves, and interrupts streams when it is about to stop.

    Parameters
    ----------
    serving_state
        Whether calls are let in.
    interruptible
        Methods, by full name, that wait for input or news that won't come once the server is about to stop.
    """

    def __init__(self, serving_state: ServingState, interruptible: AbstractSet[str]) -> None:
        super().__init__()
        self._serving_state = serving_state
        self._interruptible = interruptible

    def wrap(self, behavior: Behavior, method: str) -> Behavior:
        """Return a method that is refused unless the server serves."""
        state = self._serving_state

        async def answer(request: Any, context: Context) -> Any:
            with state.admit():
                return await behavior(request, context)

        async def answer_interruptibly(request: Any, context: Context) -> Any:
            with state.admit(), state.interruptible():
                return await behavior(request, context)

        return answer_interruptibly if method in self._interruptible else answer


def unary_behavior(
    method: Callable[[Any, CallContext], Awaitable[Any]], deserialize: Callable[[bytes], Any], encode: Encode
) -> Behavior:
    """Return what answers a unary call by a service's method; the request is parsed where its failure has an answer."""
    parse = _parser(deserialize)

    async def answer(request: bytes, _context: Context) -> bytes:
        return await encode(await method(parse(request), _current.get()))

    return answer


def server_stream_behavior(
    method: Callable[[Any, CallContext], AsyncIterator[Any]], deserialize: Callable[[bytes], Any], encode: Encode
) -> Behavior:
    """Return what answers a call that has one request and many responses."""
    parse = _parser(deserialize)

    async def answer(request: bytes, context: Context) -> None:
        await _write_all(method(parse(request), _current.get()), encode, context)

    return answer


def stream_behavior(
    method: Callable[[AsyncIterator[Any], CallContext], AsyncIterator[Any]],
    deserialize: Callable[[bytes], Any],
    encode: Encode,
) -> Behavior:
    """Return what answers a call that has many requests and many responses."""
    parse = _parser(deserialize)

    async def answer(_: object, context: Context) -> None:
        await _write_all(method(_requests(context, parse), _current.get()), encode, context)

    return answer


async def _write_all(responses: AsyncIterator[Any], encode: Encode, context: Context) -> None:
    async with aclosing(responses):  # type: ignore[type-var]  # services answer with generators
        async for response in responses:
            contents = await encode(response)
            del response
            await context.write(contents)
            del contents  # a stream that falls quiet must not hold its last answer


async def _requests(context: Context, parse: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    """Yield the requests of a stream. Those that gRPC passes hold the last one while they wait for the next."""
    while (contents := await context.read()) is not grpc.aio.EOF:
        request = parse(contents)
        del contents
        yield request
        del request


def _parser(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    memory = MemoryReturn()

    def parse(contents: bytes) -> Any:
        try:
            return deserialize(contents)
        except (DecodeError, wire.MessageTooLargeError) as error:
            if len(contents) > LARGE:
                memory.ask()
            raise _unreadable(error) from None

    return parse


def _unreadable(error: Exception) -> DomainError:
    if isinstance(error, wire.MessageTooLargeError):
        return refused(Reason[error.reason], str(error))
    return invalid(
        Reason.MESSAGE_MALFORMED, "", "the message's bytes are not what shoal.v1 says for this method; use its stubs"
    )


def error_status(error: Exception) -> errors_pb2.Status:
    """Return the status of a call that raised; a bug is logged."""
    if isinstance(error, DomainError):
        return to_status(error.refusal)
    log.error("bug", exc_info=error)
    return to_status(internal())


def to_status(refusal: Refusal) -> errors_pb2.Status:
    """Return a refusal as a google.rpc.Status with its details."""
    details: list[Message] = [_error_info(refusal)]
    if refusal.field:
        details.append(_bad_request(refusal))
    if refusal.kind in {Kind.NOT_FOUND, Kind.ALREADY_EXISTS} and refusal.session:
        details.append(
            errors_pb2.ResourceInfo(resource_type="session", resource_name=refusal.session, description=refusal.message)
        )
    if refusal.kind is Kind.FAILED_PRECONDITION:
        details.append(_precondition(refusal))
    if refusal.retry_after is not None:
        details.append(_retry_info(refusal.retry_after))
    code: int = grpc.StatusCode[refusal.kind.value].value[0]
    return errors_pb2.Status(code=code, message=refusal.message, details=[_pack(detail) for detail in details])


def _error_info(refusal: Refusal) -> errors_pb2.ErrorInfo:
    metadata = {"session": refusal.session} if refusal.session else {}
    return errors_pb2.ErrorInfo(reason=refusal.reason, domain="shoal", metadata=metadata)


def _bad_request(refusal: Refusal) -> errors_pb2.BadRequest:
    violation = errors_pb2.BadRequest.FieldViolation(
        field=refusal.field, description=refusal.message, reason=refusal.reason
    )
    return errors_pb2.BadRequest(field_violations=[violation])


def _precondition(refusal: Refusal) -> errors_pb2.PreconditionFailure:
    violation = errors_pb2.PreconditionFailure.Violation(
        type=refusal.reason, subject=refusal.session, description=refusal.message
    )
    return errors_pb2.PreconditionFailure(violations=[violation])


def _retry_info(seconds: float) -> errors_pb2.RetryInfo:
    return errors_pb2.RetryInfo(retry_delay=wire.duration_of(seconds))


def _pack(detail: Message) -> AnyMessage:
    return AnyMessage(
        type_url=f"type.googleapis.com/google.rpc.{detail.DESCRIPTOR.name}", value=detail.SerializeToString()
    )


async def abort(status: errors_pb2.Status, context: Context) -> Never:
    """End a call with a status."""
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    await context.abort(code, status.message, ((DETAILS_KEY, status.SerializeToString()),))
    raise AssertionError  # context.abort never returns


def refusing_handler(refusal: Refusal) -> Handler:
    """Return a handler that refuses its calls without reading them."""
    status = to_status(refusal)

    async def refuse(_: object, context: Context) -> Any:
        return await abort(status, context)

    # As a stream: then gRPC reads nothing by itself.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _trace_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent" and isinstance(value, str) and (given := _TRACEPARENT.fullmatch(value)):
            return given[1]
    return os.urandom(16).hex()


def _behavior_of(handler: Handler) -> Behavior:
    behavior: Any = handler.unary_unary or handler.unary_stream or handler.stream_stream
    return cast("Behavior", behavior)


def _rebuilt(handler: Handler, behavior: Behavior) -> Handler:
    """Return the handler with another behavior; of shoal.v1 none has many requests and one response."""
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(behavior, None, handler.response_serializer)
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(behavior, None, handler.response_serializer)
    return grpc.stream_stream_rpc_method_handler(behavior, None, handler.response_serializer)
