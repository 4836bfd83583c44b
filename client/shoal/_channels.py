"""Shared by the sync and the asyncio client: channel options and the methods of the services."""

from __future__ import annotations

import re
from ipaddress import ip_address
from numbers import Real
from typing import Any

from shoal import wire
from shoal._errors import ClientClosedError
from shoal._validation import invalid, shown, text
from shoal.v1 import clustering_pb2, clustering_pb2_grpc, compare_pb2_grpc, sessions_pb2_grpc

DEFAULT_TARGET = "localhost:50051"
DEFAULT_TIMEOUT = 30.0  # seconds
MAX_TIMEOUT = 1_000_000_000  # seconds: gRPC counts the nanoseconds since 1970 until a deadline in 63 bits

_SCHEME = re.compile(r"(?:dns|unix|unix-abstract|ipv4|ipv6|vsock|xds):")
_HOST_AND_PORT = re.compile(r"(?:[^\s:/\[\]]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    # How large a message may be is the server's to say.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A server that vanished without a word is found dead within 40 seconds, on a quiet stream too.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),  # else the answer to the ping has a minute
    ("grpc.http2.max_pings_without_data", 0),
    # While gRPC waits to connect again, calls fail at once. It waits no longer than the attempts of one call take
    # (`_retries`), so that a server that is back is found.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # in truth how long one attempt to connect may take
    # Each client has a connection of its own, and closing it ends it.
    ("grpc.use_local_subchannel_pool", 1),
)


def channel_options(target: str) -> tuple[tuple[str, int], ...]:
    """Return the options of a channel to a target. A server of this machine is reached without a proxy.

    gRPC honours http_proxy for every target that no_proxy doesn't name, loopback addresses too.
    """
    return (*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)) if _is_local(target) else CHANNEL_OPTIONS


_CLUSTERING = clustering_pb2.DESCRIPTOR.services_by_name["ClusteringService"].full_name


def methods_of(channel: Any) -> dict[str, Any]:
    """Return the methods of all services of shoal.v1 by name, for a channel of either kind.

    Those that carry arrays take their requests encoded, and give responses of `shoal.wire`.
    """
    stubs = (
        sessions_pb2_grpc.SessionServiceStub(channel),
        clustering_pb2_grpc.ClusteringServiceStub(channel),
        compare_pb2_grpc.CompareServiceStub(channel),
    )
    methods = {name: method for stub in stubs for name, method in vars(stub).items()}
    for kind, name, decode in (
        (channel.unary_unary, "Push", wire.decode_batch_result),
        (channel.stream_stream, "Ingest", wire.decode_ingest_response),
        (channel.unary_unary, "Assign", wire.decode_assign_response),
        (channel.stream_stream, "AssignStream", wire.decode_assign_response),
    ):
        methods[name] = kind(f"/{_CLUSTERING}/{name}", response_deserializer=decode)
    return methods


def checked_target(target: str) -> str:
    """Return the target if it is valid.

    Raises
    ------
    InvalidArgumentError
        If it isn't HOST:PORT, nor a gRPC address with a scheme, such as unix:/run/shoal.sock.
    """
    if isinstance(target, str) and _SCHEME.match(target):
        return text("target", target, f"use HOST:PORT, such as {DEFAULT_TARGET}")
    match = _HOST_AND_PORT.fullmatch(target) if isinstance(target, str) else None
    if match is None or not 0 < int(match["port"]) <= _MAX_PORT:
        raise invalid("TARGET_INVALID", "target", f"target is {shown(target)}; use HOST:PORT, such as {DEFAULT_TARGET}")
    return text("target", target, f"use HOST:PORT, such as {DEFAULT_TARGET}")


def checked_timeout(timeout: float) -> float:
    """Return the timeout of a call in seconds if gRPC can wait so long.

    Raises
    ------
    InvalidArgumentError
        If it can't, or it isn't a number.
    """
    if not isinstance(timeout, Real) or not 0 < timeout <= MAX_TIMEOUT:
        raise invalid(
            "TIMEOUT_INVALID",
            "timeout",
            f"timeout is {shown(timeout)}; give seconds above 0, at most {MAX_TIMEOUT:,}",
        )
    return float(timeout)


def closed_error(target: str) -> ClientClosedError:
    """Return the error for a client that is used after it was closed."""
    message = f"this client of {target} has been closed; make another one with connect"
    return ClientClosedError(message, reason="CLIENT_CLOSED")


def _is_local(target: str) -> bool:
    """Return whether a target is on this machine, by its name or address."""
    address = _SCHEME.sub("", target).rpartition("/")[2]
    host = address.rpartition(":")[0].strip("[]").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return ip.is_loopback or ip.is_unspecified
