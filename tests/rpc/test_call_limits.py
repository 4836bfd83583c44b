"""Limits of concurrent calls, and of messages being received."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shoal.v1 import clustering_pb2
from shoal_server.budget import MIB, MemoryPlan
from shoal_server.rpc import receiving
from shoal_server.rpc.receive_slots import PATIENCE, RECEIVING_SECONDS
from tests.rpc.bad_points import GOOD
from tests.rpc.inprocess import InProcessServer
from tests.rpc.refusals import Refusal, detail, refused_call, status_of
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import PATIENCE as STUCK
from tests.rpc.wire import Wire, batch, plain

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
REFLECTION = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
PUSH = "/shoal.v1.ClusteringService/Push"
SIZES: dict[str, Any] = {"max_message_bytes": 16 * MIB, "max_batch_bytes": 16 * MIB}
MAX_CALLS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[InProcessServer]:
    least = MemoryPlan.minimum(SIZES["max_message_bytes"])
    with InProcessServer(memory_limit=least, max_concurrent_calls=MAX_CALLS, **SIZES) as server:
        server.rpc._receiver._limit = 1 << 40  # the process has more in it than a server
        yield server


@pytest.fixture
def client(server: InProcessServer) -> Iterator[Wire]:
    with Wire(server.target) as client:
        yield client
    until(lambda: not server.rpc._receive_layer._calls)


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        pass


def check_healthy(client: Wire) -> None:
    request = health_pb2.HealthCheckRequest()
    answer = health_pb2_grpc.HealthStub(client.channel).Check(request, timeout=STUCK)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_call_above_the_limit_is_refused_until_another_ends_but_health_checks_are_answered(
    client: Wire, server: InProcessServer, name: str
) -> None:
    client.create(name, plain(init=GOOD))
    streams = [client.clustering.Ingest(_blocked([opening(name)])) for _ in range(MAX_CALLS)]
    for stream in streams:
        next(stream)

    status = refused_call(lambda: client.describe(name))

    says = (f"answers {MAX_CALLS} calls already", "SHOAL_MAX_CONCURRENT_CALLS")
    Refusal("TOO_MANY_CALLS", says, code=EXHAUSTED).check(status)
    assert detail(status, error_details_pb2.RetryInfo).retry_delay.seconds >= 1
    check_healthy(client)
    streams[0].cancel()
    until(lambda: server.rpc._receive_layer._calls < MAX_CALLS)
    assert client.describe(name).name == name
    for stream in streams:
        stream.cancel()
    until(lambda: not server.rpc._receive_layer._calls)
    client.delete(name)


def test_the_place_of_a_message_that_never_arrives_goes_to_a_client_that_had_none(
    client: Wire, server: InProcessServer, name: str
) -> None:
    slots = server.rpc._receiver.slots
    push: Any = client.channel.stream_unary(PUSH)
    stalled = [*_stall(client, server), push.future(_blocked([]))]
    until(lambda: len(slots._waiting) == 1)
    with Wire(server.target) as other:
        check_healthy(other)
        waiting = other.clustering.Push.future(clustering_pb2.PushRequest(session=name), timeout=STUCK)
        until(lambda: len(slots._waiting) == 2)

        server.pass_time(RECEIVING_SECONDS)

        assert status_of(waiting.exception()).message.startswith("there is no session")  # it has been read
    for call in stalled:
        call.cancel()


def test_a_call_for_whose_message_no_place_becomes_free_is_refused(
    client: Wire, server: InProcessServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = server.rpc._receiver.slots
    monkeypatch.setattr(slots, "_end", lambda _task: None)  # as if messages came that take this long
    stalled = _stall(client, server)
    waiting = client.clustering.Push.future(clustering_pb2.PushRequest(session=name), timeout=STUCK)
    until(lambda: bool(slots._waiting))

    server.pass_time(PATIENCE)

    says = ("others are on their way", "SHOAL_MEMORY_LIMIT")
    Refusal("MEMORY_LIMIT_REACHED", says, code=EXHAUSTED).check(status_of(waiting.exception()))
    for call in stalled:
        call.cancel()


def test_a_message_that_never_arrives_loses_its_memory_to_a_waiting_one(
    client: Wire, server: InProcessServer, name: str
) -> None:
    stalled = _stall(client, server)
    server.pass_time(RECEIVING_SECONDS)

    waiting = client.clustering.Push.future(clustering_pb2.PushRequest(session=name), timeout=STUCK)
    until(lambda: bool(server.rpc._receiver.slots._waiting))
    server.pass_time(RECEIVING_SECONDS / 2)

    assert status_of(waiting.exception()).message.startswith("there is no session")  # it has been read
    says = ("didn't come within 10 seconds", "others wait for its place")
    slow = stalled[server.rpc._receiver.direct_places :]
    for call in slow:
        Refusal("MEMORY_LIMIT_REACHED", says, code=EXHAUSTED).check(status_of(call.exception()))
    for call in stalled:
        call.cancel()


def test_a_call_cancelled_while_it_waits_for_memory_reserves_none(
    client: Wire, server: InProcessServer, name: str
) -> None:
    slots = server.rpc._receiver.slots
    free = slots._free
    stalled = _stall(client, server)
    waiting = client.clustering.Push.future(clustering_pb2.PushRequest(session=name), timeout=STUCK)
    until(lambda: bool(slots._waiting))

    waiting.cancel()
    for call in stalled:
        call.cancel()

    until(lambda: slots._free == free)
    until(lambda: not slots._waiting)


def test_a_call_that_waited_for_memory_is_answered(client: Wire, server: InProcessServer, name: str) -> None:
    receiver = server.rpc._receiver
    push: Any = client.channel.stream_unary(PUSH)
    stalled = [push.future(_blocked([])) for _ in range(receiver.direct_places)]
    until(lambda: len(server.rpc._receive_layer._direct) == receiver.direct_places)

    client.create(name, plain(init=GOOD))
    assert client.push(name, batch(GOOD)).version == 1
    watch = client.clustering.WatchCentroids(clustering_pb2.WatchCentroidsRequest(session=name), timeout=STUCK)
    assert next(watch).update.snapshot.version == 1
    Refusal("SESSION_EXISTS", (name,), code=grpc.StatusCode.ALREADY_EXISTS, session=name).check(
        refused_call(lambda: client.create(name, plain(init=GOOD)))
    )

    watch.cancel()
    for call in stalled:
        call.cancel()
    until(lambda: not server.rpc._receive_layer._calls)
    client.delete(name)


def test_a_stream_ends_with_memory_limit_reached_when_memory_is_short_for_its_next_message(
    client: Wire, server: InProcessServer, name: str
) -> None:
    client.create(name, plain(init=GOOD))
    with Stream(client.clustering.Ingest) as stream:
        stream.send(opening(name, "p"))
        stream.receive()
        stream.send(clustering_pb2.IngestRequest(batches=[batch(GOOD, sequence=1)]))
        assert stream.receive().results[0].version == 1
        until(lambda: bool(server.rpc._receiver._reading))

        server.run(_stop_reading(server))

        says = ("at its memory limit", "call again")
        Refusal("MEMORY_LIMIT_REACHED", says, code=EXHAUSTED).check(refused_call(stream.receive))
    client.delete(name)


@pytest.mark.parametrize("method", ["grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch", REFLECTION])
@pytest.mark.parametrize(
    ("contents", "says"),
    [(b"\x0a\x80", "is malformed"), (b"\x0a\xff\xff\x03" + bytes(65535), "has 65,539 bytes; use at most 65,536")],
)
def test_malformed_and_large_messages_to_the_services_of_grpc_are_refused(
    client: Wire, method: str, contents: bytes, says: str
) -> None:
    call: Any = client.channel.stream_stream(f"/{method}")

    status = refused_call(lambda: list(call(iter([contents]), timeout=STUCK)))

    Refusal("MESSAGE_MALFORMED", (says,)).check(status)
    check_healthy(client)


def test_health_checks_whose_messages_never_arrive_end_when_memory_is_short(
    client: Wire, server: InProcessServer
) -> None:
    check: Any = client.channel.stream_unary("/grpc.health.v1.Health/Check")
    stalled = check.future(_blocked([]), timeout=STUCK)
    until(lambda: bool(server.rpc._receiver._reading))

    server.run(_stop_reading(server))

    assert status_of(stalled.exception()).details
    assert stalled.exception().code() is EXHAUSTED
    check_healthy(client)


def test_health_checks_have_a_limit_of_their_own(
    client: Wire, server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "MAX_HEALTH_CHECKS", 1)
    check: Any = client.channel.stream_unary("/grpc.health.v1.Health/Check")
    stalled = check.future(_blocked([]), timeout=STUCK)
    until(lambda: bool(server.rpc._receive_layer._checks))

    with pytest.raises(grpc.RpcError) as refused:
        check_healthy(client)

    assert refused.value.code() is EXHAUSTED
    stalled.cancel()
    until(lambda: not server.rpc._receive_layer._checks)
    check_healthy(client)


def _stall(client: Wire, server: InProcessServer) -> list[Any]:
    """Make calls whose messages never arrive, until the server reads no more; return those that gRPC reads first."""
    receiver = server.rpc._receiver
    push: Any = client.channel.stream_unary(PUSH)
    stalled: list[Any] = []
    while receiver.slots._free:
        calls = server.rpc._receive_layer._calls
        stalled.append(push.future(_blocked([])))
        until(partial(_has_more_calls, server, calls))
        until(lambda: len(receiver.slots._holders) + len(server.rpc._receive_layer._direct) == len(stalled))
    return stalled


def _has_more_calls(server: InProcessServer, calls: int) -> bool:
    return server.rpc._receive_layer._calls > calls


async def _stop_reading(server: InProcessServer) -> None:
    server.rpc._receiver.stop_reading()


def _blocked(requests: list[Any]) -> Iterator[Any]:
    """Yield requests, and then nothing for as long as the call goes on."""
    yield from requests
    threading.Event().wait(STUCK)
