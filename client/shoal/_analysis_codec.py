"""Encodes the requests of what a session's summary is asked, and decodes the responses. No I/O."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

import numpy as np

from shoal import wire
from shoal._analysis_types import ClusterDescription, Clustering, ClusterReport, Reclustering, Suggestion
from shoal._calls import Call
from shoal._errors import InternalError
from shoal._validation import INT32, UINT32, integer, invalid, shown
from shoal.v1 import clustering_pb2

NumbersOfClusters = SupportsIndex | Iterable[SupportsIndex] | None
Progress = Callable[[Clustering], None]
TYPICAL = (0, 1000)  # points of a cluster that the server returns

_MAX_NUMBERS = 256  # of clusters that the server takes at once


def encode_recluster(
    session: str, n_clusters: NumbersOfClusters, random_state: int | None
) -> clustering_pb2.ReclusterRequest:
    """Return the request for one number of clusters, or several; None: the server chooses them.

    Raises
    ------
    InvalidArgumentError
        If a value can't be sent.
    """
    request = clustering_pb2.ReclusterRequest(session=session, n_clusters=_numbers(n_clusters))
    if random_state is not None:
        request.random_state = integer("random_state", random_state, UINT32)
    return request


def describe_clusters(session: str, n_typical: int) -> Call[ClusterReport]:
    """Describe the clusters of the newest version."""
    request = clustering_pb2.DescribeClustersRequest(
        session=session, n_typical=integer("n_typical", n_typical, TYPICAL)
    )
    return Call("DescribeClusters", request, repeatable=True, decode=decode_report, session=session)


class ReclusterDecoder:
    """Decodes the responses of one call.

    Parameters
    ----------
    progress
        Called with each clustering as it comes; None: nothing is.

    Raises
    ------
    InvalidArgumentError
        If it can't be called.
    """

    def __init__(self, progress: Progress | None) -> None:
        if progress is not None and not callable(progress):
            raise invalid("PROGRESS_INVALID", "progress", f"progress is {shown(progress)}; give a function, or None")
        self._progress = progress
        self._start = clustering_pb2.ReclusterStart()
        self._clusterings: list[Clustering] = []
        self._suggestion = Suggestion(None, "")

    def receive(self, response: clustering_pb2.ReclusterResponse) -> None:
        """Take in a response."""
        match response.WhichOneof("event"):
            case "start":
                self._start = response.start
            case "clustering":
                clustering = _decode_clustering(response.clustering)
                self._clusterings.append(clustering)
                if self._progress is not None:
                    self._progress(clustering)
            case "suggestion":
                self._suggestion = Suggestion(response.suggestion.n_clusters or None, response.suggestion.reason)

    def only(self) -> Clustering:
        """Return the one clustering that was asked for."""
        if len(self._clusterings) != 1:
            raise _ended_early()
        return self._clusterings[0]

    def all(self) -> Reclustering:
        """Return all clusterings, and the suggestion."""
        start, found, suggestion = self._start, tuple(self._clusterings), self._suggestion
        if len(found) == 1:
            suggestion = Suggestion(found[0].n_clusters, "no other number was tried")
        if not found or len(found) != len(start.n_clusters) or not suggestion.reason:
            raise _ended_early()
        return Reclustering(start.version, start.summary_points, start.weight, found, suggestion)


def decode_report(report: clustering_pb2.ClusterReport) -> ClusterReport:
    """Return what the clusters of a version are like."""
    weights, ids, typical_labels = (wire.array_of(each) for each in (report.weights, report.ids, report.typical_labels))
    counts, radii, nearest = (wire.array_of(each) for each in (report.counts, report.radii, report.nearest))
    means, variances = wire.array_of(report.means), wire.array_of(report.variances)
    distances, typical = wire.array_of(report.nearest_distances), wire.array_of(report.typical_points)
    ends = np.searchsorted(typical_labels, np.arange(len(weights)), side="right")
    begins = np.concatenate([[0], ends])
    total = float(weights.sum())
    return ClusterReport(
        report.version,
        report.session_uid,
        tuple(
            ClusterDescription(
                label=label,
                id=int(ids[label]),
                weight=float(weights[label]),
                share=float(weights[label]) / total if total > 0 else 0.0,
                summary_points=int(counts[label]),
                radius=float(radii[label]),
                mean=means[label],
                variance=variances[label],
                nearest=None if nearest[label] < 0 else int(nearest[label]),
                nearest_distance=None if nearest[label] < 0 else float(distances[label]),
                typical_points=typical[begins[label] : ends[label]],
            )
            for label in range(len(weights))
        ),
    )


def _decode_clustering(clustering: clustering_pb2.Clustering) -> Clustering:
    return Clustering(
        n_clusters=clustering.n_clusters,
        centroids=wire.array_of(clustering.centroids),
        weights=wire.array_of(clustering.weights),
        estimated_inertia=clustering.estimated_inertia,
        standard_error=clustering.standard_error,
        silhouette=clustering.silhouette if clustering.HasField("silhouette") else None,
        single_cloud_silhouette=(
            clustering.single_cloud_silhouette if clustering.HasField("single_cloud_silhouette") else None
        ),
    )


def is_single(n_clusters: NumbersOfClusters) -> bool:
    """Return whether one number is asked for, and not a collection of them."""
    try:
        operator.index(n_clusters)  # type: ignore[arg-type]  # an array says that it can, and can't
    except TypeError:
        return False
    return True


def _ended_early() -> InternalError:
    return InternalError("the server ended its answer before the last clustering", reason="ANSWER_UNEXPECTED")


def _numbers(n_clusters: Any) -> list[int]:
    if n_clusters is None:
        return []
    if is_single(n_clusters):
        return [integer("n_clusters", n_clusters, INT32)]
    if isinstance(n_clusters, str) or not isinstance(n_clusters, Iterable):
        raise invalid(
            "N_CLUSTERS_INVALID",
            "n_clusters",
            f"n_clusters is {shown(n_clusters)}; give a number, or several: range(2, 21)",
        )
    numbers: list[int] = []
    for number in n_clusters:
        numbers.append(integer("n_clusters", number, INT32))
        if len(numbers) > _MAX_NUMBERS:
            raise invalid(
                "N_CLUSTERS_INVALID",
                "n_clusters",
                f"n_clusters has more than {_MAX_NUMBERS} numbers; give 1 to {_MAX_NUMBERS}",
            )
    if not numbers:
        raise invalid("N_CLUSTERS_INVALID", "n_clusters", "n_clusters is empty; give at least one number")
    return numbers
