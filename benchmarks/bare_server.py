"""The upper bound of a gRPC service in Python: a server that only receives, reads and acknowledges.

It has the options of Shoal's server and the generated classes of the same messages. It prints its port, and ends when
its standard input does.

    python -m benchmarks.bare_server
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import empty_pb2

from shoal.v1 import clustering_pb2
from shoal_server.process import default_memory_limit
from shoal_server.rpc.server import channel_options

SERVICE = "shoal.benchmarks.Bare"
_MAX_MESSAGE_BYTES = 64 * 2**20  # as Shoal's


async def acknowledge(requests: AsyncIterator[Any], _: Any) -> AsyncIterator[clustering_pb2.IngestResponse]:
    """Answer each message with a result for each batch, after reading the bytes of its points once."""
    async for request in requests:
        yield clustering_pb2.IngestResponse(results=[_result(batch) for batch in request.batches])


async def nothing(_: empty_pb2.Empty, __: Any) -> empty_pb2.Empty:
    """Answer an empty message with an empty message."""
    return empty_pb2.Empty()


def _result(batch: clustering_pb2.Batch) -> clustering_pb2.BatchResult:
    rows = batch.points.shape[0] if len(batch.points.data) else 0
    return clustering_pb2.BatchResult(sequence=batch.sequence, accepted=rows)


async def serve() -> None:
    """Serve until standard input ends."""
    server = grpc.aio.server(options=channel_options(_MAX_MESSAGE_BYTES, default_memory_limit()))
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Acknowledge": grpc.stream_stream_rpc_method_handler(
            acknowledge, clustering_pb2.IngestRequest.FromString, clustering_pb2.IngestResponse.SerializeToString
        ),
        "Nothing": grpc.unary_unary_rpc_method_handler(
            nothing, empty_pb2.Empty.FromString, empty_pb2.Empty.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve())
