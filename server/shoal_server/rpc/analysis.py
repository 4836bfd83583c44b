"""What is asked of a session's summary, on the wire: Recluster and DescribeClusters of shoal.v1.ClusteringService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from shoal import wire
from shoal.v1 import clustering_pb2
from shoal_server.clustering.recluster import Clustering
from shoal_server.clustering.suggestion import Suggestion
from shoal_server.errors import Reason, invalid
from shoal_server.rpc.serving_state import this_task
from shoal_server.sessions.port import (
    ClusterReport,
    ReclusterEvent,
    ReclusterRequest,
    ReclusterStart,
    SessionPort,
)
from shoal_server.shared_results import SharedResults

MAX_NUMBERS = 256  # of clusters, in one request
DEFAULT_TYPICAL = 3
# Seconds after which a call ends whose answer isn't read: it holds memory for the answers to come.
READ_PATIENCE = 60.0


async def recluster(
    sessions: SessionPort, shared: SharedResults, request: clustering_pb2.ReclusterRequest
) -> AsyncGenerator[bytes, None]:
    """Yield the fits of other numbers of clusters: messages that are encoded already."""
    loop, task = asyncio.get_running_loop(), this_task()
    async with aclosing(sessions.recluster(request.session, _decode(request))) as events:
        async for event in events:
            message = await shared.make(_array_bytes(event), partial(_encode_event, event))
            impatient = loop.call_later(READ_PATIENCE, task.cancel)
            try:
                yield message
            finally:
                impatient.cancel()


async def describe_clusters(
    sessions: SessionPort, shared: SharedResults, request: clustering_pb2.DescribeClustersRequest
) -> bytes:
    """Return what clusters are like: a message that is encoded already."""
    n_typical = request.n_typical if request.HasField("n_typical") else DEFAULT_TYPICAL
    report = await sessions.describe_clusters(request.session, n_typical)
    clusters = report.clusters
    size = clusters.means.nbytes + clusters.variances.nbytes + clusters.typical_points.nbytes
    return await shared.make(size, partial(_encode_report, report))


def _decode(request: clustering_pb2.ReclusterRequest) -> ReclusterRequest:
    if len(request.n_clusters) > MAX_NUMBERS:
        raise invalid(
            Reason.N_CLUSTERS_INVALID,
            "n_clusters",
            f"n_clusters has {len(request.n_clusters):,} numbers; give 1 to {MAX_NUMBERS}",
        )
    numbers = sorted(set(request.n_clusters))
    if numbers and numbers[0] < 1:
        raise invalid(Reason.N_CLUSTERS_INVALID, "n_clusters", f"n_clusters has {numbers[0]}; use numbers from 1 up")
    return ReclusterRequest(numbers, request.random_state if request.HasField("random_state") else None)


def _array_bytes(event: ReclusterEvent) -> int:
    return event.centroids.nbytes if isinstance(event, Clustering) else 0


def _encode_event(event: ReclusterEvent) -> bytes:
    match event:
        case ReclusterStart():
            start = clustering_pb2.ReclusterStart(
                session_uid=event.session_uid,
                version=event.version,
                n_clusters=event.numbers,
                summary_points=event.n_points,
                weight=event.weight,
            )
            response = clustering_pb2.ReclusterResponse(start=start)
        case Clustering():
            response = clustering_pb2.ReclusterResponse(clustering=_encode_clustering(event))
        case Suggestion():
            suggestion = clustering_pb2.Suggestion(n_clusters=event.n_clusters or 0, reason=event.reason)
            response = clustering_pb2.ReclusterResponse(suggestion=suggestion)
    return response.SerializeToString()


def _encode_clustering(clustering: Clustering) -> clustering_pb2.Clustering:
    return clustering_pb2.Clustering(
        n_clusters=clustering.n_clusters,
        centroids=wire.tensor_message(clustering.centroids),
        weights=wire.tensor_message(clustering.weights),
        estimated_inertia=clustering.estimated_inertia,
        standard_error=clustering.standard_error,
        silhouette=clustering.silhouette,
        single_cloud_silhouette=clustering.single_cloud_silhouette,
    )


def _encode_report(report: ClusterReport) -> bytes:
    clusters = report.clusters
    return clustering_pb2.ClusterReport(
        session_uid=report.session_uid,
        version=report.version,
        weights=wire.tensor_message(clusters.weights),
        counts=wire.tensor_message(clusters.counts),
        radii=wire.tensor_message(clusters.radii),
        means=wire.tensor_message(clusters.means),
        variances=wire.tensor_message(clusters.variances),
        nearest=wire.tensor_message(clusters.nearest),
        nearest_distances=wire.tensor_message(clusters.nearest_distances),
        typical_points=wire.tensor_message(clusters.typical_points),
        typical_labels=wire.tensor_message(clusters.typical_labels),
        ids=wire.tensor_message(report.ids),
    ).SerializeToString()
