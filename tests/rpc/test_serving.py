"""Health and reflection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.rpc.inprocess import InProcessServer
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.test_finding_sessions import CALLS
from tests.rpc.wire import PATIENCE, Wire, plain

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ["", "shoal.v1.ClusteringService", "shoal.v1.CompareService", "shoal.v1.SessionService"]


@pytest.fixture
def starting() -> Iterator[InProcessServer]:
    """A server that listens and still compiles its kernels."""
    with InProcessServer(serving=False) as server:
        yield server


def health_of(wire: Wire, service: str) -> Any:
    stub = health_pb2_grpc.HealthStub(wire.channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE).status


@pytest.mark.parametrize("method", CALLS)
def test_a_call_before_the_server_serves_is_unavailable(starting: InProcessServer, method: str) -> None:
    with Wire(starting.target) as wire:
        status = refused_call(lambda: CALLS[method](wire, "any"))

    says = ("the server is starting", "try again in a few seconds")
    Refusal("SERVER_STARTING", says, code=grpc.StatusCode.UNAVAILABLE).check(status)


@pytest.mark.parametrize("service", SERVICES)
def test_health_follows_the_life_of_the_server(starting: InProcessServer, service: str) -> None:
    with Wire(starting.target) as wire:
        watch: Any = health_pb2_grpc.HealthStub(wire.channel).Watch(
            health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE
        )
        assert next(watch).status == health_of(wire, service) == NOT_SERVING

        starting.run(starting.rpc.serve())
        assert next(watch).status == health_of(wire, service) == SERVING

        stopping = starting.begin(starting.stop(PATIENCE))
        assert next(watch).status == NOT_SERVING
        watch.cancel()
        stopping.result(PATIENCE)


def test_a_call_is_answered_once_the_server_serves(starting: InProcessServer, name: str) -> None:
    with Wire(starting.target) as wire:
        starting.run(starting.rpc.serve())

        assert wire.create(name, plain()).name == name


@pytest.mark.parametrize("service", SERVICES)
def test_a_real_server_serves(wire: Wire, service: str) -> None:
    assert health_of(wire, service) == SERVING


def test_an_unknown_service_has_no_health(wire: Wire) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        health_of(wire, "shoal.v1.NoService")

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services_and_gives_their_files(wire: Wire) -> None:
    listed, described = reflected(
        wire,
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="shoal.v1.ClusteringService"),
    )

    assert {service.name for service in listed.list_services_response.service} == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "shoal.v1.ClusteringService",
        "shoal.v1.CompareService",
        "shoal.v1.SessionService",
    }
    files = described.file_descriptor_response.file_descriptor_proto
    assert any(b"shoal/v1/clustering.proto" in file for file in files)


def reflected(wire: Wire, *requests: reflection_pb2.ServerReflectionRequest) -> list[Any]:
    stub = reflection_pb2_grpc.ServerReflectionStub(wire.channel)
    return list(stub.ServerReflectionInfo(iter(requests), timeout=PATIENCE))
