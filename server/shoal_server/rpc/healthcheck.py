"""Asks a server whether it serves: `python -m shoal_server.rpc.healthcheck [HOST:PORT]` ends with 0 or 1.

For the health check of a container, whose image has no other tool that speaks gRPC.
"""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shoal_server.process import service_links

TIMEOUT = 2.0  # seconds


def is_serving(target: str, timeout: float = TIMEOUT) -> bool:
    """Return whether the server at HOST:PORT says within `timeout` seconds that it serves; no proxy is asked."""
    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    port = "50051" if service_links(os.environ) else os.environ.get("SHOAL_PORT") or "50051"
    here = f"127.0.0.1:{port}"
    sys.exit(0 if is_serving(sys.argv[1] if len(sys.argv) > 1 else here) else 1)
