"""A server that refuses a caller: every kind of call raises the exception for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Never

import grpc
import pytest

import shoal
from shoal.v1 import errors_pb2
from tests.client.drivers import Driver
from tests.client.fake_server import FakeServer, described

REFUSALS = [
    (grpc.StatusCode.UNAUTHENTICATED, shoal.UnauthenticatedError),
    (grpc.StatusCode.PERMISSION_DENIED, shoal.PermissionDeniedError),
]
UNARY = {"Push", "Assign", "GetCentroids"}
CALLS: dict[str, Callable[[shoal.Session], object]] = {
    "Push": lambda session: session.push([[1.0]]),
    "Assign": lambda session: session.assign([[1.0]]),
    "GetCentroids": lambda session: session.centroids(),
    "Ingest": lambda session: next(session.ingest([[[1.0]]])),
    "AssignStream": lambda session: next(session.assign_stream([[[1.0]]])),
    "WatchCentroids": lambda session: next(session.watch()),
}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize(("code", "expected"), REFUSALS)
def test_a_refused_caller_gets_the_exception_of_its_code(
    driver: Driver, fake: FakeServer, method: str, code: grpc.StatusCode, expected: type[shoal.ShoalError]
) -> None:
    fake.plays("GetSession", described())
    fake.plays(method, partial(_refuse, code, "TOKEN_INVALID"))

    with driver.connect(fake.target) as client, pytest.raises(expected) as raised:
        CALLS[method](client.session("pixels"))

    assert type(raised.value) is expected
    assert (raised.value.reason, raised.value.session) == ("TOKEN_INVALID", "pixels")
    assert raised.value.message == "no entry"
    if method in UNARY:  # a stream may lose the reason when it ends under a write, and meets it on a second attempt
        assert fake.count(method) == 1


@pytest.mark.parametrize(("code", "expected"), REFUSALS)
def test_a_refusal_by_a_proxy_gets_the_same_exception_and_names_the_target(
    driver: Driver, fake: FakeServer, code: grpc.StatusCode, expected: type[shoal.ShoalError]
) -> None:
    fake.plays("GetSession", lambda _, context: context.abort(code, "not here"))

    with driver.connect(fake.target) as client, pytest.raises(expected) as raised:
        client.session("pixels").describe()

    assert type(raised.value) is expected
    assert raised.value.reason == code.name
    assert fake.target in raised.value.message


def _refuse(code: grpc.StatusCode, reason: str, _request: object, context: grpc.ServicerContext) -> Never:
    """Refuse as a Shoal server does: with a status that has a reason."""
    status = errors_pb2.Status(code=code.value[0], message="no entry")
    info = errors_pb2.ErrorInfo(reason=reason, domain="shoal")
    status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=info.SerializeToString())
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, "no entry")
    raise AssertionError
