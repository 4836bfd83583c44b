"""Other numbers of clusters for a stream, fitted to its summary; nothing of the model changes.

Each is fitted, and its inertia on all rows estimated. Where several are asked for, a single cloud of the same extent is
cut into as many clusters too: what silhouette that has, any points have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import Reals, WeightedPoints
from shoal_server.clustering.estimate import Estimate, estimation, estimation_work
from shoal_server.clustering.refinement import expected_fit_work, fit_steps
from shoal_server.clustering.search import Pieces, Search, SearchKernels, run_steps
from shoal_server.clustering.silhouette import (
    SAMPLE_SIZE,
    Silhouette,
    SilhouetteSample,
    sample_bytes,
    silhouette,
    silhouette_sample,
    silhouette_work,
)
from shoal_server.clustering.suggestion import Candidate, Suggestion, suggest
from shoal_server.clustering.summarised import SummarisedRows
from shoal_server.engines.contract import Float64Array, RunTasks, to_sphere

N_STARTS = 1  # of each fit: 2 and 4 found the same inertia to four digits, on digits and three times 50 blobs
# Points of the single cloud, and values of them; and how many of them at least are to be in a cluster of it.
_CLOUD_POINTS, _CLOUD_VALUES, _CLOUD_CLUSTER = 1000, 1 << 21, 4
_MAX_AXES = 256  # principal axes of the cloud
# Of so many sampled points a cluster has at least two on average; with fewer a silhouette says nothing.
_MIN_SAMPLED = 2
_PIECE_VALUES = 1 << 18
_CLOUD_SEED, _FIT_SEED, _COPY_SEED = range(3)


@dataclass(frozen=True)
class Clustering:
    """One number of clusters, and how well they fit."""

    n_clusters: int
    centroids: Float64Array  # (k, d)
    weights: Float64Array  # (k,) of the rows of each cluster, forgotten as the session says
    estimated_inertia: float  # on all rows, weighted likewise
    standard_error: float  # of that
    silhouette: float | None  # None: there are one cluster, or too many for the sample
    single_cloud_silhouette: float | None  # None: it wasn't computed, since there is nothing to compare


class _Fitted(NamedTuple):
    """Centroids in the coordinates of the points that they were fitted to."""

    centroids: Float64Array
    weights: Float64Array
    estimate: Estimate
    silhouette: Silhouette | None


class Reclusterer:
    """Fits one number of clusters after another to a summary, and suggests one of them.

    Parameters
    ----------
    rows
        Of the summary.
    numbers
        Of clusters, ascending, each once.
    random_state
        Settles what is drawn; None: the model's own.
    kernels
        Compute.
    """

    def __init__(
        self, rows: SummarisedRows, numbers: Sequence[int], random_state: int | None, kernels: SearchKernels
    ) -> None:
        self._rows = rows
        self._numbers = numbers
        self._seed = rows.seed if random_state is None else random_state
        self._kernels = kernels
        self._sample: SilhouetteSample | None = None
        self._cloud: tuple[Reals, SilhouetteSample] | None = None
        self._candidates: list[Candidate] = []

    def fit(self, n_clusters: int, run: RunTasks) -> Clustering:
        """Return the fit of a number of clusters, in pieces; raises Halted if `run` does."""
        return run_steps(self._fit(n_clusters), run)

    def suggestion(self) -> Suggestion:
        """Return the best of the numbers that have been fitted."""
        return suggest(self._candidates)

    def _fit(self, k: int) -> Pieces[Clustering]:
        stands_for, frame = self._rows.points, self._rows.frame
        if self._sample is None:
            self._sample = yield from silhouette_sample(stands_for, cosine=frame.cosine)
        fitted = yield from self._fitted(k)
        cloud = (yield from self._single_cloud_silhouette(k)) if len(self._numbers) > 1 else None
        self._candidates.append(Candidate(k, fitted.estimate.inertia, fitted.silhouette, cloud or 0.0))
        return Clustering(
            k,
            fitted.centroids + frame.origin,
            fitted.weights,
            fitted.estimate.inertia,
            fitted.estimate.standard_error,
            None if fitted.silhouette is None else fitted.silhouette.mean,
            cloud,
        )

    def _fitted(self, k: int) -> Pieces[_Fitted]:
        stands_for, sample = self._rows.points, self._sample
        if sample is None:
            raise AssertionError("the sample is drawn first")
        search = self._search(stands_for.points, stands_for.weights, k)
        refined = yield from fit_steps(search, np.random.default_rng([self._seed, _FIT_SEED, k]), N_STARTS)
        yield from search.place(refined.centroids)
        estimate = yield from estimation(
            stands_for,
            refined.centroids,
            search,
            row_weights=self._rows.row_weights,
            fitted=True,
            seed=(self._seed, _COPY_SEED, k),
            kernels=self._kernels,
        )
        found = None
        if k * _MIN_SAMPLED <= len(sample.rows):
            labels, _ = search.nearest_two()
            found = yield from silhouette(sample, labels[0, sample.rows])
        return _Fitted(refined.centroids, refined.weights, estimate, found)

    def _single_cloud_silhouette(self, k: int) -> Pieces[float | None]:
        """Return the silhouette of a single cloud that is cut into k clusters; beyond what it has points for, fewer."""
        if self._cloud is None:
            points = yield from self._drawn_cloud()
            weights, nothing = np.ones(len(points)), np.zeros(len(points))
            cloud = WeightedPoints(points, weights, nothing)
            sample = yield from silhouette_sample(cloud, cosine=self._rows.frame.cosine)
            self._cloud = points, sample
        points, sample = self._cloud
        k = min(k, len(points) // _CLOUD_CLUSTER)
        if k == 1:
            return None
        search = self._search(points, np.ones(len(points)), k)
        refined = yield from fit_steps(search, np.random.default_rng([self._seed, _CLOUD_SEED, k]), N_STARTS)
        yield from search.place(refined.centroids)
        labels, _ = search.nearest_two()
        found = yield from silhouette(sample, labels[0, sample.rows])
        return None if found is None else found.mean

    def _drawn_cloud(self) -> Pieces[Reals]:
        """Return points, uniform in a box along the principal axes of the summary's, with the variances of these."""
        stands_for, frame = self._rows.points, self._rows.frame
        (m, d), total = stands_for.points.shape, float(stands_for.weights.sum())
        size = cloud_points(m, d)
        mean, axes, lengths = yield from _principal_axes(stands_for)
        inside = float(stands_for.scatter.sum()) / total / d  # of each column, within the points
        lengths = np.sqrt(3 * (lengths**2 + inside))
        random = np.random.default_rng([self._seed, _CLOUD_SEED])
        cloud = np.empty((size, d), stands_for.points.dtype)
        step = max(_PIECE_VALUES // d, 1)
        for start in range(0, size, step):
            part = random.uniform(-1, 1, (len(cloud[start : start + step]), len(lengths))) * lengths
            points = mean + part @ axes
            cloud[start : start + step] = to_sphere(points) if frame.cosine else points
            yield
        return cloud

    def _search(self, points: Reals, weights: Float64Array, k: int) -> Search:
        return Search(points, weights, k, cosine=self._rows.frame.cosine, kernels=self._kernels)


def cloud_points(m: int, d: int) -> int:
    """Return how many points the single cloud has beside m points of d columns."""
    return max(min(m, _CLOUD_POINTS, _CLOUD_VALUES // d), 2 * _CLOUD_CLUSTER)


def recluster_work(m: int, numbers: Sequence[int], d: int) -> int:
    """Return the most multiplications for numbers of clusters of m points of d columns."""
    cloud, work = cloud_points(m, d), SAMPLE_SIZE**2 * d
    for k in numbers:
        work += expected_fit_work(m, k, d, N_STARTS) + estimation_work(m, k, d) + silhouette_work(k, d)
        if len(numbers) > 1:
            small = max(min(k, cloud // _CLOUD_CLUSTER), 1)
            work += expected_fit_work(cloud, small, d, N_STARTS) + silhouette_work(small, d)
    return work


def recluster_bytes(m: int, k: int, d: int, precision_bytes: int) -> int:
    """Return how many bytes reclustering takes at most, with k the largest number of clusters."""
    points = m * (precision_bytes * d * 3 + 96)  # of the summary, packed twice: as they are, and as moved copies
    centroids = 6 * 8 * k * (d + 4)
    size = cloud_points(m, d)
    cloud = size * (precision_bytes * d * 2 + 96) + 8 * min(d, _MAX_AXES) * (d + _MAX_AXES)
    return 2 * points + centroids + cloud + sample_bytes(m, d) + sample_bytes(size, d)


def _principal_axes(stands_for: WeightedPoints) -> Pieces[tuple[Float64Array, Float64Array, Float64Array]]:
    """Return the mean (d,) of points, their principal axes (a, d), and the standard deviation along each, (a,).

    In many columns they are those of a sample of the points.
    """
    points, weights = stands_for.points, stands_for.weights
    d = points.shape[1]
    if d > _MAX_AXES:
        rows = np.linspace(0, len(points) - 1, min(_MAX_AXES, len(points))).astype(np.int64)
        points, weights = points[rows], weights[rows]
    total, step = float(weights.sum()), max(_PIECE_VALUES // d, 1)
    parts = [slice(start, start + step) for start in range(0, len(points), step)]
    mean = np.zeros(d)
    for part in parts:
        mean += weights[part] / total @ points[part].astype(np.float64)
        yield
    if d > _MAX_AXES:
        deviations = (points - mean) * np.sqrt(weights / total)[:, None]
        yield
        values, vectors = np.linalg.eigh(deviations @ deviations.T)
        lengths = np.sqrt(np.maximum(values, 0.0))
        some = lengths > lengths.max() * 1e-6
        yield
        return mean, (vectors[:, some] / lengths[some]).T @ deviations, lengths[some]
    covariance = np.zeros((d, d))
    for part in parts:
        deviations = points[part] - mean
        covariance += (deviations * (weights[part] / total)[:, None]).T @ deviations
        yield
    values, vectors = np.linalg.eigh(covariance)
    return mean, vectors.T, np.sqrt(np.maximum(values, 0.0))
