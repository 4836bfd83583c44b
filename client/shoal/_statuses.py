"""Turns google.rpc.Status messages and gRPC's own errors into the exceptions of `_errors`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Protocol

import grpc
from google.protobuf.message import DecodeError

from shoal import wire
from shoal._errors import (
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    LimitExceededError,
    PermissionDeniedError,
    PreconditionError,
    ProducerFencedError,
    SessionExistsError,
    SessionNotFoundError,
    SessionReplacedError,
    SessionWarmingError,
    ShoalError,
    StaleEtagError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
    Violation,
)
from shoal.v1 import errors_pb2

UNREACHABLE = "SERVER_UNREACHABLE"  # the reason where there is no connection at all

_DETAILS_KEY = "grpc-status-details-bin"

_BY_REASON: dict[str, type[ShoalError]] = {
    "SESSION_REPLACED": SessionReplacedError,
    "SESSION_WARMING": SessionWarmingError,
    "ETAG_MISMATCH": StaleEtagError,
    "PRODUCER_FENCED": ProducerFencedError,
}
_BY_CODE: dict[grpc.StatusCode, type[ShoalError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: SessionNotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: SessionExistsError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.ABORTED: PreconditionError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitExceededError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.CANCELLED: UnavailableError,  # not by us, so by the server, which ends its calls when it stops
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNIMPLEMENTED: UnsupportedError,
}
# grpc.aio says so of a call that the server, or the network, ended while the client was writing; why is lost
# (grpc/grpc#36066). It is worth another attempt, which meets the reason again if it lasts.
_ENDED_WHILE_WRITING = "Internal error from Core"
# How gRPC begins to say so: nobody listens there, or the name isn't known.
_NOT_CONNECTED = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")
# What of gRPC's words tells why there is no connection, and how it is said here.
_CAUSES = {
    "connection refused": "connection refused",
    "resol": "its name can't be resolved",
    "name or service not known": "its name can't be resolved",
    "domain name not found": "its name can't be resolved",
    "no such file": "there is no such socket",
    "permission denied": "permission denied",
    "unreachable": "the network can't be reached",
    "no route to host": "there is no route to it",
    "timed out": "it doesn't answer",
    "timeout": "it doesn't answer",
}
_TOO_LARGE = re.compile(r"larger than max \((\d+) vs\. (\d+)\)")
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class FailedCall(Protocol):
    """The common part of gRPC's sync and async exceptions."""

    def code(self) -> grpc.StatusCode:
        """Return the status code."""

    def details(self) -> str | None:
        """Return the message."""

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """Return the trailing metadata of the server."""


def error_of_status(status: errors_pb2.Status, session: str = "") -> ShoalError:
    """Return the exception for a status that a Shoal server sent.

    Parameters
    ----------
    status
        Of a failed call, or of one batch in a stream that goes on.
    session
        The session that was asked for, where the status doesn't name one.
    """
    info, request, retry = errors_pb2.ErrorInfo(), errors_pb2.BadRequest(), errors_pb2.RetryInfo()
    for detail in status.details:
        for known in (info, request, retry):
            if detail.TypeName().rpartition(".")[2] == known.DESCRIPTOR.name:
                known.ParseFromString(detail.value)
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _error_class(code, info.reason)(
        status.message,
        reason=info.reason or code.name,
        violations=tuple(Violation(each.field, each.description) for each in request.field_violations),
        session=info.metadata.get("session", session),
        retry_after=wire.seconds_of(retry.retry_delay) if retry.HasField("retry_delay") else None,
    )


def error_of_call(failed: FailedCall, target: str, session: str = "") -> ShoalError:
    """Return the exception for a failed call, whether Shoal, gRPC or a proxy ended it."""
    status = _sent_status(failed)
    if status is not None:
        return error_of_status(status, session)
    code, said = _code_of(failed), failed.details() or ""
    explain = _EXPLAIN.get(code, _explain_other)
    reason = UNREACHABLE if said.startswith(_NOT_CONNECTED) else code.name
    return _error_class(code, "")(explain(target, said or code.name), reason=reason, session=session)


def gone_meanwhile(failure: ShoalError, began: str, advice: str) -> ShoalError:
    """Return the failure of a stream that had found its session; if the session is gone, it says so and why.

    Parameters
    ----------
    failure
        Any.
    began
        What the stream is: ingest, watch.
    advice
        What to do, as a sentence.
    """
    if not isinstance(failure, SessionNotFoundError):
        return failure
    return failure.with_message(
        f"session {failure.session!r} is gone since this {began} began: it was deleted, or the server restarted "
        f"(sessions are kept in memory). {advice}"
    )


def _code_of(failed: FailedCall) -> grpc.StatusCode:
    if failed.code() is grpc.StatusCode.INTERNAL and failed.details() == _ENDED_WHILE_WRITING:
        return grpc.StatusCode.CANCELLED
    return failed.code()


def _sent_status(failed: FailedCall) -> errors_pb2.Status | None:
    details = dict(failed.trailing_metadata() or ()).get(_DETAILS_KEY)
    if not isinstance(details, bytes):
        return None
    try:
        return errors_pb2.Status.FromString(details)
    except DecodeError:  # not a Shoal server's
        return None


def _error_class(code: grpc.StatusCode, reason: str) -> type[ShoalError]:
    return _BY_REASON.get(reason) or _BY_CODE.get(code, InternalError)


def _explain_unavailable(target: str, said: str) -> str:
    cause = said
    if said.startswith(_NOT_CONNECTED):
        cause = next((ours for theirs, ours in _CAUSES.items() if theirs in said.lower()), said)
    return f"can't reach {target} ({cause}): is shoal-server running there?"


def _explain_exhausted(target: str, said: str) -> str:
    sizes = _TOO_LARGE.search(said)
    if sizes is None:
        return _explain_other(target, said)
    size, most = (int(number) for number in sizes.groups())
    return f"the message has {size:,} bytes, and {target} takes at most {most:,} bytes in a message"


def _explain_lost(target: str, said: str) -> str:
    return f"{target} ended the call: is shoal-server shutting down? ({said})"


def _explain_late(target: str, said: str) -> str:
    return f"no answer from {target} in time: give shoal.connect a longer timeout if it has much to do ({said})"


def _explain_unknown(target: str, said: str) -> str:
    return f"{target} doesn't know this call: it is older than this client, or no shoal-server ({said})"


def _explain_other(target: str, said: str) -> str:
    return f"{target} says: {said}"


_EXPLAIN: dict[grpc.StatusCode, Callable[[str, str], str]] = {
    grpc.StatusCode.UNAVAILABLE: _explain_unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: _explain_exhausted,
    grpc.StatusCode.CANCELLED: _explain_lost,
    grpc.StatusCode.DEADLINE_EXCEEDED: _explain_late,
    grpc.StatusCode.UNIMPLEMENTED: _explain_unknown,
}
