"""The methods of a service, each with what reads its requests and what writes its responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from shoal import wire
from shoal_server.rpc.call_layers import server_stream_behavior, stream_behavior, unary_behavior


class Codec(NamedTuple):
    """How the messages of a method are read and written; None: what the method gives are a message's bytes."""

    deserialize: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes] | None


# These carry points or labels without a copy.
CODECS: Mapping[str, Codec] = {
    "Push": Codec(wire.decode_push_request, wire.encode_batch_result),
    "Ingest": Codec(wire.decode_ingest_request, wire.encode_ingest_response),
    "Assign": Codec(wire.decode_assign_request, wire.encode_assign_response),
    "AssignStream": Codec(wire.decode_assign_request, wire.encode_assign_response),
}
# These get their arrays beside the message.
WITH_ARRAYS = {"CreateSession", "Compare"}
# Once for all watchers and readers; a session with given centroids on a thread.
ENCODED = {"GetCentroids", "WatchCentroids", "CreateSession", "GetSession", "UpdateSession"}


def service_handlers(descriptor: ServiceDescriptor, service: object) -> grpc.GenericRpcHandler:
    """Return the handlers of a service, for the methods of its descriptor."""
    return grpc.method_handlers_generic_handler(
        descriptor.full_name,
        {method.name: _handler(method, getattr(service, method.name)) for method in descriptor.methods},
    )


def _handler(method: MethodDescriptor, behavior: Any) -> grpc.RpcMethodHandler[Any, Any]:
    deserialize, serialize = CODECS.get(method.name) or _generated(method)
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(stream_behavior(behavior, deserialize), None, serialize)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(server_stream_behavior(behavior, deserialize), None, serialize)
    return grpc.unary_unary_rpc_method_handler(unary_behavior(behavior, deserialize), None, serialize)


def _generated(method: MethodDescriptor) -> Codec:
    parse: Callable[[bytes], wire.Parsed[Any]] = wire.parser(GetMessageClass(method.input_type))
    response: Any = GetMessageClass(method.output_type)
    return Codec(
        parse if method.name in WITH_ARRAYS else lambda contents: parse(contents).message,
        None if method.name in ENCODED else response.SerializeToString,
    )
