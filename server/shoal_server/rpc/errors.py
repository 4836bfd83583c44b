"""Domain errors as google.rpc.Status, and the one interceptor that answers with them.

Handlers let errors pass; nothing else in this room catches them. What is not a DomainError is a bug: it is logged,
and the caller learns only that it was one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from contextlib import aclosing, nullcontext
from typing import Any, Never

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message

from shoal.v1 import errors_pb2
from shoal_server.errors import DomainError, Kind, internal, invalid
from shoal_server.rpc.serving_state import ServingState

DETAILS_KEY = "grpc-status-details-bin"
OURS = "/shoal.v1."

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]


def to_status(error: Exception) -> errors_pb2.Status:
    """Return an error as a google.rpc.Status with its details."""
    if not isinstance(error, DomainError):
        return _internal(error)
    details: list[Message] = [_error_info(error)]
    if error.violations:
        details.append(_bad_request(error))
    if error.kind in {Kind.NOT_FOUND, Kind.ALREADY_EXISTS} and error.session:
        details.append(
            errors_pb2.ResourceInfo(resource_type="session", resource_name=error.session, description=error.message)
        )
    if error.kind is Kind.FAILED_PRECONDITION:
        details.append(_precondition(error))
    if error.retry_after is not None:
        details.append(_retry_info(error.retry_after))
    code: int = grpc.StatusCode[error.kind.value].value[0]
    return errors_pb2.Status(code=code, message=error.message, details=[_pack(detail) for detail in details])


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Answers a failed call with its status, and closes the stream of a call that was given up.

    Parameters
    ----------
    gate
        Says whether calls are let in, and interrupts streams when the server is about to stop.
    finishing
        Streaming methods, by full name, that are not to be interrupted: they come to an end by themselves.
    """

    def __init__(self, serving_state: ServingState, finishing: AbstractSet[str]) -> None:
        self._serving_state = serving_state
        self._finishing = finishing

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handlers of shoal.v1; health and reflection answer for themselves."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(OURS):
            return handler
        parse, serialize = _parser(handler.request_deserializer), handler.response_serializer
        # A single request is parsed where its failure has an answer, below.
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, parse), None, serialize)
        if handler.unary_stream:
            behavior = self._stream(handler.unary_stream, lambda request, _: parse(request), method)
            return grpc.unary_stream_rpc_method_handler(behavior, None, serialize)
        behavior = self._stream(handler.stream_stream, lambda _, context: _requests(context), method)
        return grpc.stream_stream_rpc_method_handler(behavior, parse, serialize)

    def _unary(self, behavior: Any, parse: Callable[[Any], Any]) -> Any:
        async def answer(request: Any, context: Context) -> Any:
            try:
                with self._serving_state.admit():
                    return await behavior(parse(request), context)
            except Exception as error:  # noqa: BLE001  (a bug must not tell its story to the caller)
                status = to_status(error)
            del request  # gRPC holds this frame until the garbage collector comes
            return await _abort(status, context)

        return answer

    def _stream(self, behavior: Any, said: Callable[[Any, Context], Any], method: str) -> Any:
        finishes = method in self._finishing

        async def answer(request: Any, context: Context) -> None:
            try:
                with self._serving_state.admit(), nullcontext() if finishes else self._serving_state.interruptible():
                    async with aclosing(behavior(said(request, context), context)) as answers:
                        async for response in answers:
                            await context.write(response)
                            del response  # a stream that falls quiet must not hold its last answer
            except grpc.aio.InternalError:
                # gRPC couldn't write: the client has gone, and the word of it, which cancels this call, is on its way.
                raise asyncio.CancelledError from None
            except Exception as error:  # noqa: BLE001  (a bug must not tell its story to the caller)
                status = to_status(error)
            else:
                return
            await _abort(status, context)

        return answer


def _parser(deserialize: Any) -> Callable[[bytes], Any]:
    def parse(contents: bytes) -> Any:
        try:
            return deserialize(contents)
        except DecodeError:
            raise invalid(
                "MESSAGE_MALFORMED", "", "the message's bytes are not what shoal.v1 says for this method; use its stubs"
            ) from None

    return parse


async def _requests(context: Context) -> AsyncIterator[Any]:
    """Yield the requests of a stream. Those that gRPC passes hold the last one while they wait for the next."""
    while (request := await context.read()) is not grpc.aio.EOF:
        yield request
        del request


async def _abort(status: errors_pb2.Status, context: Context) -> Never:
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    await context.abort(code, status.message, ((DETAILS_KEY, status.SerializeToString()),))
    raise AssertionError  # context.abort never returns


def _internal(bug: Exception) -> errors_pb2.Status:
    log.error("bug", exc_info=bug)
    return to_status(internal())


def _error_info(error: DomainError) -> errors_pb2.ErrorInfo:
    metadata = {"session": error.session} if error.session else {}
    return errors_pb2.ErrorInfo(reason=error.reason, domain="shoal", metadata=metadata)


def _bad_request(error: DomainError) -> errors_pb2.BadRequest:
    violations = [
        errors_pb2.BadRequest.FieldViolation(
            field=violation.field, description=violation.description, reason=error.reason
        )
        for violation in error.violations
    ]
    return errors_pb2.BadRequest(field_violations=violations)


def _precondition(error: DomainError) -> errors_pb2.PreconditionFailure:
    violation = errors_pb2.PreconditionFailure.Violation(
        type=error.reason, subject=error.session, description=error.message
    )
    return errors_pb2.PreconditionFailure(violations=[violation])


def _retry_info(seconds: float) -> errors_pb2.RetryInfo:
    retry = errors_pb2.RetryInfo()
    retry.retry_delay.FromNanoseconds(int(seconds * 1e9))
    return retry


def _pack(detail: Message) -> AnyMessage:
    return AnyMessage(
        type_url=f"type.googleapis.com/google.rpc.{detail.DESCRIPTOR.name}", value=detail.SerializeToString()
    )
