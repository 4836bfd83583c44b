"""What a session's summary tells: other numbers of clusters, and descriptions of clusters. No protobuf, no gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Clustering:
    """The fit of a number of clusters to the summary of a session."""

    n_clusters: int
    centroids: NDArray[np.float64]
    """Shape (n_clusters, d)."""
    weights: NDArray[np.float64]
    """Shape (n_clusters,): the number of points of each cluster, after forgetting."""
    estimated_inertia: float
    """The inertia of all points of the stream with these centroids, estimated from the summary."""
    standard_error: float
    """Of the estimate."""
    silhouette: float | None
    """The mean silhouette of a sample of at most 2,000 points of the summary, from -1 to 1: how much nearer points are
    to their own cluster than to the nearest other one. None for one cluster, and for more than half as many as sampled
    points."""
    single_cloud_silhouette: float | None
    """The silhouette of a single cloud of the same extent, cut into as many clusters: any points have as much. None
    unless several numbers of clusters were asked for."""


@dataclass(frozen=True)
class Suggestion:
    """Which number of clusters fits best."""

    n_clusters: int | None
    """None if no number stands out. If 1 was among the numbers, it is 1 then."""
    reason: str
    """One sentence."""


@dataclass(frozen=True, eq=False)
class Reclustering:
    """The fits of several numbers of clusters to the summary of a session, and which of them fits best.

    Iterating yields the clusterings in ascending order of their numbers.
    """

    version: int
    """The session's newest version at the time."""
    summary_points: int
    """The number of points of the summary."""
    weight: float
    """The number of points of the stream that these stand for, after forgetting."""
    clusterings: tuple[Clustering, ...]
    """In ascending order of the number of clusters."""
    suggestion: Suggestion

    @property
    def suggested(self) -> int | None:
        """The number of clusters that fits best; None if none stands out."""
        return self.suggestion.n_clusters

    @property
    def reason(self) -> str:
        """Why it is suggested, or why none is."""
        return self.suggestion.reason

    def __len__(self) -> int:
        return len(self.clusterings)

    def __iter__(self) -> Iterator[Clustering]:
        return iter(self.clusterings)


@dataclass(frozen=True, eq=False)
class ClusterDescription:
    """What a cluster is like, by the summary of the stream. Points count with their weight, after forgetting."""

    label: int
    """Its label in this version."""
    id: int
    """Identifies the cluster as long as it lives, across versions."""
    weight: float
    """The number of points nearest to its centroid."""
    share: float
    """Of the weight of all clusters, 0 to 1."""
    summary_points: int
    """The points of the summary that stand for them; the fewer, the less certain is the rest."""
    radius: float
    """The root mean square distance of the points to the centroid."""
    mean: NDArray[np.float64]
    """Shape (d,): the mean of each column; the centroid if there are no points."""
    variance: NDArray[np.float64]
    """Shape (d,): the variance of each column."""
    nearest: int | None
    """The label of the other cluster whose centroid is nearest; None if there is no other."""
    nearest_distance: float | None
    """The distance between the two centroids."""
    typical_points: NDArray[np.float64]
    """Shape (m, d): the points of the summary nearest to the centroid, the nearest first. They are rows of the stream
    as long as it is shorter than the summary. Later they are moved a little, so that the summary's totals are exact,
    and with more than 4 columns they are means of similar rows."""


@dataclass(frozen=True, eq=False)
class ClusterReport:
    """What the clusters of a version are like. Iterating yields them in the order of their labels."""

    version: int
    session_uid: str
    clusters: tuple[ClusterDescription, ...]

    def __len__(self) -> int:
        return len(self.clusters)

    def __iter__(self) -> Iterator[ClusterDescription]:
        return iter(self.clusters)

    def __getitem__(self, label: int) -> ClusterDescription:
        return self.clusters[label]
