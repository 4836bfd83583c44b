"""Refusals as google.rpc.Status. What is not a DomainError is a bug: it is logged, and the caller learns only that."""

from __future__ import annotations

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from shoal import wire
from shoal.v1 import errors_pb2
from shoal_server.errors import DomainError, Kind, Refusal, internal

DETAILS_KEY = "grpc-status-details-bin"

log = structlog.get_logger()


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
