from __future__ import annotations

import pickle
import re
from collections.abc import Iterable

import grpc
import numpy as np
import pytest

import shoal
from shoal import _errors
from shoal._statuses import error_of_call, error_of_status
from shoal.v1 import errors_pb2
from tests.client.drivers import Driver
from tests.client.fake_server import FakeServer


class Failed:
    """A call that failed as gRPC tells it."""

    def __init__(self, code: grpc.StatusCode, details: str, *trailing: tuple[str, bytes]) -> None:
        self._code, self._details, self._trailing = code, details, trailing

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]]:
        return self._trailing


def status(code: grpc.StatusCode, reason: str, *fields: str) -> errors_pb2.Status:
    message = errors_pb2.Status(code=code.value[0], message="it went wrong")
    info = errors_pb2.ErrorInfo(reason=reason, domain="shoal", metadata={"session": "pixels"})
    message.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=info.SerializeToString())
    violations = [errors_pb2.BadRequest.FieldViolation(field=field, description="is wrong") for field in fields]
    request = errors_pb2.BadRequest(field_violations=violations)
    message.details.add(type_url="type.googleapis.com/google.rpc.BadRequest", value=request.SerializeToString())
    message.details.add(type_url="type.googleapis.com/google.rpc.Help", value=b"whatever it says")
    return message


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "SHAPE_INVALID", shoal.InvalidArgumentError),
        (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND", shoal.SessionNotFoundError),
        (grpc.StatusCode.ALREADY_EXISTS, "SESSION_EXISTS", shoal.SessionExistsError),
        (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_WARMING", shoal.SessionWarmingError),
        (grpc.StatusCode.FAILED_PRECONDITION, "SOMETHING_NEW", shoal.PreconditionError),
        (grpc.StatusCode.ABORTED, "ETAG_MISMATCH", shoal.StaleEtagError),
        (grpc.StatusCode.ABORTED, "PRODUCER_FENCED", shoal.ProducerFencedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE", shoal.LimitExceededError),
        (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING", shoal.UnavailableError),
        (grpc.StatusCode.INTERNAL, "INTERNAL", shoal.InternalError),
        (grpc.StatusCode.UNKNOWN, "SOMETHING_NEW", shoal.InternalError),
    ],
)
def test_each_status_raises_its_exception(code: grpc.StatusCode, reason: str, expected: type[shoal.ShoalError]) -> None:
    sent = status(code, reason, "points", "config.n_clusters")
    details = ("grpc-status-details-bin", sent.SerializeToString())

    of_batch = error_of_status(sent)
    of_call = error_of_call(Failed(code, "it went wrong", details), "host:1")

    for error in (of_batch, of_call):
        assert type(error) is expected
        assert (error.message, str(error), error.reason, error.session) == (
            "it went wrong",
            "it went wrong",
            reason,
            "pixels",
        )
        assert error.violations == (
            shoal.Violation("points", "is wrong"),
            shoal.Violation("config.n_clusters", "is wrong"),
        )


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        (grpc.StatusCode.UNAVAILABLE, shoal.UnavailableError, "is shoal-server running there"),
        (grpc.StatusCode.CANCELLED, shoal.UnavailableError, "shutting down"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, shoal.DeadlineExceededError, "longer timeout"),
        (grpc.StatusCode.UNIMPLEMENTED, shoal.UnsupportedError, "older than this client"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, shoal.LimitExceededError, "larger than max"),
        (grpc.StatusCode.INTERNAL, shoal.InternalError, "larger than max"),
    ],
)
def test_an_error_of_grpc_itself_names_the_target(
    code: grpc.StatusCode, expected: type[shoal.ShoalError], words: str
) -> None:
    error = error_of_call(Failed(code, "message larger than max"), "host:1", "pixels")

    assert type(error) is expected
    assert "host:1" in error.message
    assert words in error.message
    assert "message larger than max" in error.message
    assert (error.reason, error.session) == (code.name, "pixels")


@pytest.mark.parametrize(
    "said",
    [
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused",
        "errors resolving nowhere:1: [field:hostname lookup error:Domain name not found]",
    ],
)
def test_unreachable_server_has_the_reason_server_unreachable(said: str) -> None:
    error = error_of_call(Failed(grpc.StatusCode.UNAVAILABLE, said), "host:1")

    assert (type(error), error.reason) == (shoal.UnavailableError, "SERVER_UNREACHABLE")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv6:%5B::1%5D:1: Failed: Connection refused",
            "connection refused",
        ),
        (
            "errors resolving a:1: [field:hostname lookup error:address lookup failed for a:1: Domain name not found]",
            "its name can't be resolved",
        ),
        ("DNS resolution failed for a:1: C-ares status is not ARES_SUCCESS", "its name can't be resolved"),
        (
            "failed to connect to all addresses; last error: FAILED_PRECONDITION: unix:/a: No such file or directory",
            "there is no such socket",
        ),
        (
            "failed to connect to all addresses; last error: NEW: word",
            "failed to connect to all addresses; last error: NEW: word",
        ),
        ("a proxy says: connection refused", "a proxy says: connection refused"),
    ],
)
def test_the_cause_of_an_unreachable_server_is_told_in_plain_words(said: str, cause: str) -> None:
    error = error_of_call(Failed(grpc.StatusCode.UNAVAILABLE, said), "host:1")

    assert error.message == f"can't reach host:1 ({cause}): is shoal-server running there?"


def test_a_message_that_is_too_large_is_told_with_both_sizes(driver: Driver, fake: FakeServer) -> None:
    most = 4 * 1024 * 1024  # what a server of gRPC takes unless told otherwise

    with driver.connect(fake.target) as client, pytest.raises(shoal.LimitExceededError) as raised:
        client.session("a").push(np.zeros((1, most // 8)))

    size, limit = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+) bytes", raised.value.message))
    assert most < size < most + 100
    assert limit == most


def test_retry_after_is_set_when_the_server_sends_it() -> None:
    retry = errors_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    waiting = status(grpc.StatusCode.UNAVAILABLE, "SERVER_STARTING")
    waiting.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=retry.SerializeToString())

    assert error_of_status(waiting).retry_after == 1.5
    assert error_of_status(status(grpc.StatusCode.UNAVAILABLE, "SERVER_STARTING")).retry_after is None


def test_call_that_ended_under_a_write_is_unavailable() -> None:
    error = error_of_call(Failed(grpc.StatusCode.INTERNAL, "Internal error from Core"), "host:1")

    assert isinstance(error, shoal.UnavailableError)


def test_every_exception_is_public_in_the_tree_and_pickles() -> None:
    classes = {kind for kind in vars(_errors).values() if isinstance(kind, type) and issubclass(kind, shoal.ShoalError)}

    for kind in classes:
        error = kind("wrong", reason="R", violations=(shoal.Violation("f", "d"),), session="s")
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)

        assert getattr(shoal, kind.__name__) is kind
        assert kind.__name__ in (_errors.__doc__ or "")
        assert (type(copy), vars(copy), str(copy)) == (kind, vars(error), "wrong")


def test_invalid_argument_is_a_value_error_and_deadline_exceeded_a_timeout_error() -> None:
    assert issubclass(shoal.InvalidArgumentError, ValueError)
    assert issubclass(shoal.DeadlineExceededError, TimeoutError)
