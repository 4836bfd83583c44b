"""The gRPC server: its services with their handlers, its limits and health."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from shoal import wire
from shoal.v1 import clustering_pb2, compare_pb2, sessions_pb2
from shoal_server.budget import MemoryBudget, MemoryPlan
from shoal_server.compare.service import Comparisons
from shoal_server.errors import StartError
from shoal_server.rpc.call_layers import (
    ANONYMOUS,
    AdmissionLayer,
    AuthenticationLayer,
    Encode,
    ErrorLayer,
    TraceLayer,
    server_stream_behavior,
    stream_behavior,
    unary_behavior,
)
from shoal_server.rpc.clustering import ClusteringService
from shoal_server.rpc.compare import CompareService
from shoal_server.rpc.receiving import ReceiveLayer, Receiver
from shoal_server.rpc.serving_state import ServingState
from shoal_server.rpc.sessions import SessionService
from shoal_server.sessions.port import Limits, SessionPort
from shoal_server.shared_results import SharedResults

SESSIONS = sessions_pb2.DESCRIPTOR.services_by_name["SessionService"]
CLUSTERING = clustering_pb2.DESCRIPTOR.services_by_name["ClusteringService"]
COMPARE = compare_pb2.DESCRIPTOR.services_by_name["CompareService"]
NAMES = [service.full_name for service in (SESSIONS, CLUSTERING, COMPARE)]
# Ingest isn't among them: it stops reading by itself, and answers what it has taken.
INTERRUPTIBLE = {
    f"/{CLUSTERING.full_name}/AssignStream",
    f"/{CLUSTERING.full_name}/Recluster",
    f"/{CLUSTERING.full_name}/WatchCentroids",
    f"/{COMPARE.full_name}/Compare",
}

# Bytes of an answer's arrays from which it is encoded on a thread: below, the way there costs more.
LARGE_ANSWER = 1024 * 1024
# Clients send keepalive pings to find a dead connection; without leave the server would take them for an attack.
MIN_PING_INTERVAL_MS = 5_000
# Of a message that nobody reads yet, which every call that waits may have here: gRPC's own guess has no bound. With 256
# KiB a message of that size takes a fifth longer than with 4 MiB.
MIN_LOOKAHEAD_BYTES, MAX_LOOKAHEAD_BYTES = 256 * 1024, 4 * 1024 * 1024
_LOOKAHEADS = 2048  # as many fit the memory limit
# Seconds for the last answers and statuses to get out. Watches of the health never end by themselves.
FAREWELL = 1.0


@dataclass(frozen=True)
class Services:
    """What the services work on, and what they allow."""

    sessions: SessionPort
    comparisons: Comparisons
    limits: Limits
    draw_random_state: Callable[[], int]
    shared: SharedResults


@dataclass(frozen=True)
class CallLimits:
    """What calls may take before a service sees them."""

    max_message_bytes: int  # gRPC itself refuses a larger one, and its stream with it
    max_concurrent_calls: int
    max_streams_per_connection: int  # further calls of a client wait
    memory: MemoryPlan


class RpcServer:
    """Listens as soon as it is started; its health says when it serves.

    Parameters
    ----------
    services
        What the services work on.
    call_limits
        What calls may take. A batch in a message that isn't too large, but over `limits.max_batch_bytes`, is refused
        with its own answer.
    budget
        Has the messages that have come.
    """

    def __init__(self, services: Services, call_limits: CallLimits, budget: MemoryBudget) -> None:
        sessions, limits = services.sessions, services.limits
        self._serving_state = ServingState()
        self._health = health.aio.HealthServicer()
        self._receiver = Receiver(budget, call_limits.memory, call_limits.max_message_bytes)
        self._receive_layer = ReceiveLayer(self._receiver, call_limits.max_concurrent_calls)
        layers = [
            self._receive_layer,
            ErrorLayer(),
            TraceLayer(),
            AuthenticationLayer(lambda _: ANONYMOUS),  # nobody is asked who they are yet
            AdmissionLayer(self._serving_state, INTERRUPTIBLE),
        ]
        options = [
            *channel_options(call_limits.max_message_bytes, call_limits.memory.limit),
            ("grpc.max_concurrent_streams", call_limits.max_streams_per_connection),
        ]
        self._server = grpc.aio.server(interceptors=layers, options=options)
        self._server.add_generic_rpc_handlers(
            [
                service_handlers(descriptor, service, services.shared)
                for descriptor, service in (
                    (SESSIONS, SessionService(sessions, limits, services.shared)),
                    (CLUSTERING, ClusteringService(sessions, limits, self._serving_state, services.shared, budget)),
                    (
                        COMPARE,
                        CompareService(
                            services.comparisons, limits.max_batch_bytes, services.draw_random_state, services.shared
                        ),
                    ),
                )
            ]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; calls are refused as long as the health is NOT_SERVING.

        Raises
        ------
        StartError
            The address can't be listened on.
        """
        try:
            bound = self._server.add_insecure_port(host_and_port(host, port))
        except RuntimeError:
            raise StartError(f"can't listen on {host_and_port(host, port)}: {await _why_not(host, port)}") from None
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        self._receiver.start()
        return bound

    def note_compiled(self, done: int, of: int) -> None:
        """Tell the callers that are refused before `serve` how many of the kernels' functions are compiled."""
        self._serving_state.note_compiled(done, of)

    async def serve(self) -> None:
        """Admit calls."""
        self._serving_state.open()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    async def drain(self, deadline: float) -> None:
        """Refuse new calls, and wait for the end of those in progress, until the deadline at most.

        The server still listens, so that health says NOT_SERVING and calls get a refusal that says why.

        Parameters
        ----------
        deadline
            In the seconds of the loop's clock.
        """
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._serving_state.drain()
        await self._serving_state.wait_until_empty(deadline)

    async def stop(self) -> None:
        """Wait up to FAREWELL seconds for the last answers to be sent, and end the calls that are left."""
        now = asyncio.get_running_loop().time
        end = now() + FAREWELL
        await self._serving_state.wait_until_empty(end)
        await self._server.stop(max(0.0, end - now()))
        await self._receiver.stop()

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", *NAMES):
            await self._health.set(service, status)


def host_and_port(host: str, port: int) -> str:
    """Return HOST:PORT, with brackets where the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Codec(NamedTuple):
    """How the messages of a method are read and written."""

    deserialize: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes] | None  # None: what the method gives are a message's bytes
    arrays: Callable[[Any], Iterable[wire.Tensor | None]] = lambda _: ()  # that an answer has beside its message


# These carry points, labels or scores without a copy.
CODECS: Mapping[str, Codec] = {
    "Push": Codec(wire.decode_push_request, wire.encode_batch_result, lambda result: result[1:]),
    "Ingest": Codec(
        wire.decode_ingest_request,
        wire.encode_ingest_response,
        lambda response: [array for result in response.results for array in result[1:]],
    ),
    "Assign": Codec(wire.decode_assign_request, wire.encode_assign_response, lambda response: response[1:]),
    "AssignStream": Codec(wire.decode_assign_request, wire.encode_assign_response, lambda response: response[1:]),
}
# These get their arrays beside the message.
WITH_ARRAYS = {"CreateSession", "Compare"}
# Once for all watchers and readers; a session with given centroids, many events, and a comparison's steps, on a thread.
ENCODED = {
    "GetCentroids",
    "WatchCentroids",
    "Recluster",
    "DescribeClusters",
    "CreateSession",
    "MergeSessions",
    "GetSession",
    "UpdateSession",
    "ListEvents",
    "Compare",
}


def service_handlers(descriptor: ServiceDescriptor, service: object, shared: SharedResults) -> grpc.GenericRpcHandler:
    """Return the handlers of a service, for the methods of its descriptor."""
    return grpc.method_handlers_generic_handler(
        descriptor.full_name,
        {method.name: _handler(method, getattr(service, method.name), shared) for method in descriptor.methods},
    )


def _handler(method: MethodDescriptor, behavior: Any, shared: SharedResults) -> grpc.RpcMethodHandler[Any, Any]:
    codec = CODECS.get(method.name) or _generated(method)
    deserialize, encode = codec.deserialize, _encoder(codec, shared)
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(stream_behavior(behavior, deserialize, encode))
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(server_stream_behavior(behavior, deserialize, encode))
    return grpc.unary_unary_rpc_method_handler(unary_behavior(behavior, deserialize, encode))


def _encoder(codec: Codec, shared: SharedResults) -> Encode:
    """Return what encodes a method's answers: those with large arrays on a thread."""
    _, serialize, arrays = codec

    async def keep(contents: bytes) -> bytes:
        return contents

    if serialize is None:
        return keep

    async def encode(response: Any) -> bytes:
        size = sum([memoryview(array.data).nbytes for array in arrays(response) if array is not None])
        if size < LARGE_ANSWER:
            return serialize(response)
        return await shared.make(size, lambda: serialize(response))

    return encode


def _generated(method: MethodDescriptor) -> Codec:
    parse: Callable[[bytes], wire.Parsed[Any]] = wire.parser(GetMessageClass(method.input_type))
    response: Any = GetMessageClass(method.output_type)
    return Codec(
        parse if method.name in WITH_ARRAYS else lambda contents: parse(contents).message,
        None if method.name in ENCODED else response.SerializeToString,
    )


async def _why_not(host: str, port: int) -> str:
    """Return why a host and port can't be listened on, and what would be right; gRPC only logs it."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return f"the host name {host!r} can't be resolved; use an address of this machine, or 0.0.0.0 for all of them"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
        except OSError as error:
            return _explained(error, port)
    return "gRPC refuses it; its own message is on standard error"


def _explained(error: OSError, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use; stop what listens there, or choose another port, or 0 for a free one"
        case errno.EADDRNOTAVAIL:
            return "the address isn't one of this machine; use one that is, or 0.0.0.0 for all of them"
        case errno.EACCES | errno.EPERM:
            return f"this user may not listen on port {port}; choose a port from 1024 up"
        case code:
            return os.strerror(code or 0)


def channel_options(max_message_bytes: int, memory_limit: int) -> list[tuple[str, int]]:
    """Return gRPC's options for a server with these limits, in bytes."""
    lookahead = max(MIN_LOOKAHEAD_BYTES, min(memory_limit // _LOOKAHEADS, MAX_LOOKAHEAD_BYTES))
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", lookahead),
        ("grpc.max_send_message_length", -1),  # an answer is as large as what was asked: labels outweigh uint8 points
        ("grpc.so_reuseport", 0),  # otherwise a second server would share the port, and clients reach either
        ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]
