"""Checks of refusals, read with google's own messages, as any client may."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from shoal.v1 import errors_pb2

DETAILS_KEY = "grpc-status-details-bin"
# gRPC refuses a status whose metadata is above 8 KiB, and the message is in it once more by itself.
MAX_STATUS_LENGTH = 4096
CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Refusal:
    """The expected status: code, stable reason, parts of the message, the invalid field or the session."""

    reason: str
    says: tuple[str, ...]
    field: str = ""
    code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT
    session: str = ""

    def check(self, status: Any) -> None:
        """Fail unless the status is as it must be."""
        info = detail(status, error_details_pb2.ErrorInfo)
        assert CODES[status.code] is self.code, status.message
        assert (info.reason, info.domain) == (self.reason, "shoal"), status.message
        assert re.fullmatch("[A-Z][A-Z0-9_]+[A-Z0-9]", info.reason)  # what google.rpc.ErrorInfo asks for
        for piece in self.says:
            assert piece in status.message
        self._check_details(status)
        check_hides_internals(status)

    def _check_details(self, status: Any) -> None:
        if self.field:
            violations = detail(status, error_details_pb2.BadRequest).field_violations
            assert [(each.field, each.reason, each.description) for each in violations] == [
                (self.field, self.reason, status.message)
            ]
        if self.session:
            assert detail(status, error_details_pb2.ErrorInfo).metadata["session"] == self.session
        if self.session and self.code in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS}:
            resource = detail(status, error_details_pb2.ResourceInfo)
            assert (resource.resource_type, resource.resource_name) == ("session", self.session)
        if self.code is grpc.StatusCode.FAILED_PRECONDITION:
            (violation,) = detail(status, error_details_pb2.PreconditionFailure).violations
            assert (violation.type, violation.subject) == (self.reason, self.session)
        if self.code is grpc.StatusCode.UNAVAILABLE:
            assert detail(status, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() > 0


def no_session(name: str) -> Refusal:
    """Return the refusal for an unknown session."""
    says = ("there is no session", "create it first", "list the sessions")
    return Refusal("SESSION_NOT_FOUND", says, code=grpc.StatusCode.NOT_FOUND, session=name[:128])


def detail(status: Any, kind: Any) -> Any:
    """Return the only detail of a kind."""
    message = kind()
    (packed,) = [each for each in status.details if each.Is(message.DESCRIPTOR)]
    assert packed.Unpack(message)
    return message


def refused_call(call: Callable[[], Any]) -> Any:
    """Return the status of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return status_of(caught.value)


def status_of(error: Any) -> Any:
    """Return the rich status of a failed call; it must agree with gRPC's code and message."""
    trailing = dict(error.trailing_metadata() or ())
    assert DETAILS_KEY in trailing, error
    status = status_pb2.Status.FromString(trailing[DETAILS_KEY])
    assert CODES[status.code] is error.code()
    assert status.message == error.details()
    return status


def as_google(status: errors_pb2.Status) -> Any:
    """Return a status inside an answer as google's."""
    return status_pb2.Status.FromString(status.SerializeToString())


def check_hides_internals(status: Any) -> None:
    """Fail if a status has a trace or a path in it, or is too long to travel."""
    assert status.ByteSize() < MAX_STATUS_LENGTH
    for leak in (b"Traceback", b".py", b"File ", b"shoal_server", b"numpy", b"object at 0x"):
        assert leak not in status.SerializeToString()
