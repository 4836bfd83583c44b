"""Malformed messages, unknown methods, and messages of other releases."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.wire import PATIENCE, Wire, batch, config

METHODS: list[MethodDescriptor] = [
    method
    for service in (
        clustering_pb2.DESCRIPTOR.services_by_name["ClusteringService"],
        sessions_pb2.DESCRIPTOR.services_by_name["SessionService"],
    )
    for method in service.methods
]
MALFORMED = Refusal("MESSAGE_MALFORMED", ("not what shoal.v1 says", "use its stubs"))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_malformed_bytes_are_refused(wire: Wire, method: MethodDescriptor) -> None:
    status = refused_call(lambda: call_with(wire, method, b"\xff\xff\xff"))

    MALFORMED.check(status)


def test_a_name_that_is_not_unicode_is_refused(wire: Wire) -> None:
    (method,) = [method for method in METHODS if method.name == "GetSession"]

    status = refused_call(lambda: call_with(wire, method, b"\x0a\x02\xff\xfe"))

    MALFORMED.check(status)


def test_unknown_fields_of_a_later_release_are_ignored(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    request = clustering_pb2.PushRequest(session=name, batch=batch(GOOD)).SerializeToString()
    later = b"\xfa\x3f\x03new"  # field 1023

    (method,) = [method for method in METHODS if method.name == "Push"]

    answer = call_with(wire, method, request + later)

    assert clustering_pb2.BatchResult.FromString(answer).version == 1


def test_an_unknown_method_is_unimplemented(wire: Wire) -> None:
    channel: Any = wire.channel

    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/shoal.v1.ClusteringService/Guess")(b"", timeout=PATIENCE)

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def call_with(wire: Wire, method: MethodDescriptor, contents: bytes) -> Any:
    """Call a method with bytes instead of a message."""
    channel: Any = wire.channel
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        return list(channel.stream_stream(path)(iter([contents]), timeout=PATIENCE))
    if method.server_streaming:
        return list(channel.unary_stream(path)(contents, timeout=PATIENCE))
    return channel.unary_unary(path)(contents, timeout=PATIENCE)
