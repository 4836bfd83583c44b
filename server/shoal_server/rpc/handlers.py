"""The methods of ClusteringService, each with what reads its requests and what writes its responses."""

from __future__ import annotations

import grpc

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.rpc.clustering import ClusteringService

CLUSTERING = clustering_pb2.DESCRIPTOR.services_by_name["ClusteringService"].full_name


def clustering_handlers(service: ClusteringService) -> grpc.GenericRpcHandler:
    """Return handlers like those that gRPC generates, but for what carries points or labels: they aren't copied."""
    return grpc.method_handlers_generic_handler(
        CLUSTERING,
        {
            "Push": grpc.unary_unary_rpc_method_handler(
                service.Push, wire.decode_push_request, wire.encode_batch_result
            ),
            "Ingest": grpc.stream_stream_rpc_method_handler(
                service.Ingest, wire.decode_ingest_request, wire.encode_ingest_response
            ),
            "Assign": grpc.unary_unary_rpc_method_handler(
                service.Assign, wire.decode_assign_request, wire.encode_assign_response
            ),
            "AssignStream": grpc.stream_stream_rpc_method_handler(
                service.AssignStream, wire.decode_assign_request, wire.encode_assign_response
            ),
            "GetCentroids": grpc.unary_unary_rpc_method_handler(
                service.GetCentroids,
                clustering_pb2.GetCentroidsRequest.FromString,
                None,
            ),
            "GetRecentPoints": grpc.unary_unary_rpc_method_handler(
                service.GetRecentPoints,
                clustering_pb2.GetRecentPointsRequest.FromString,
                clustering_pb2.RecentPoints.SerializeToString,
            ),
            "WatchCentroids": grpc.unary_stream_rpc_method_handler(
                service.WatchCentroids,
                clustering_pb2.WatchCentroidsRequest.FromString,
                None,
            ),
        },
    )
