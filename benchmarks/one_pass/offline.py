"""The inertia of centroids, and that of the best offline fit of the same rows, which is kept in a file: it is slow.

A fit is k-means++ and Lloyd's algorithm on all rows, from ten starts (fewer where rows × k × d is large), and then
Lloyd's algorithm to the end in float64 from the best. With cosine it is spherical k-means from the same starts.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.cluster import KMeans, kmeans_plusplus

from benchmarks.datasets import Float32Array
from shoal import Metric

Float64Array = NDArray[np.float64]

VERSION = 1  # of the procedure: another one gives every fit another file
FOLDER = Path(__file__).parents[1] / ".reference"
MAX_STARTS, MIN_STARTS = 10, 2
_WORK = 1.2e9  # rows × k × d of all starts together
_START_ITERATIONS, _LAST_ITERATIONS = 100, 300
_CHUNK_ENTRIES = 4_000_000  # of a matrix of distances: 32 MB


@dataclass(frozen=True)
class OfflineFit:
    """The best of several fits of all rows."""

    inertia: float
    starts: int


def offline_fit(
    points: Float32Array,
    n_clusters: int,
    *,
    weights: Float64Array | None = None,
    metric: Metric = "euclidean",
    folder: Path = FOLDER,
) -> OfflineFit:
    """Return the best fit of the rows, from its file if it has been made before.

    Parameters
    ----------
    points
        Shape (n, d); of length 1 with cosine.
    n_clusters
        How many centroids.
    weights
        Shape (n,); None: each row counts 1. Not with cosine.
    metric
        As of a session.
    folder
        Where the files are.
    """
    path = folder / f"{_key(points, n_clusters, weights, metric)}.json"
    if path.exists():
        return OfflineFit(**json.loads(path.read_text()))
    starts = starts_for(points.shape, n_clusters)
    centroids = (
        _spherical(points, n_clusters, starts) if metric == "cosine" else _fit(points, n_clusters, weights, starts)
    )
    fit = OfflineFit(inertia(points, centroids, weights=weights, metric=metric), starts)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(fit)) + "\n")
    return fit


def starts_for(shape: tuple[int, ...], n_clusters: int) -> int:
    """Return how many starts rows of this shape (n, d) get: ten, or fewer where each costs much."""
    n, d = shape
    return int(np.clip(_WORK // (n * d * n_clusters), MIN_STARTS, MAX_STARTS))


def inertia(
    points: Float32Array,
    centroids: Float64Array,
    *,
    weights: Float64Array | None = None,
    metric: Metric = "euclidean",
) -> float:
    """Return the sum of weight times squared distance to the nearest centroid, computed in float64.

    Parameters
    ----------
    points
        Shape (n, d); of length 1 with cosine.
    centroids
        Shape (k, d). With cosine they are scaled to length 1 first: other libraries' aren't.
    weights
        Shape (n,); None: each row counts 1.
    metric
        As of a session.
    """
    placed = unit(centroids) if metric == "cosine" else np.asarray(centroids, np.float64)
    total = 0.0
    for begin, squares in _squared_distances(points, placed):
        total += float(squares.sum() if weights is None else weights[begin : begin + len(squares)] @ squares)
    return total


def unit(rows: NDArray[np.floating]) -> Float64Array:
    """Return rows scaled to length 1; rows of zeros stay."""
    wide = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled: Float64Array = wide / np.where(lengths > 0, lengths, 1.0)
    return scaled


def _squared_distances(points: Float32Array, centroids: Float64Array) -> Iterator[tuple[int, Float64Array]]:
    """Yield the first row of each chunk, and each row's squared distance to its nearest centroid."""
    origin = centroids.mean(axis=0)  # far from zero the expanded form would lose digits
    near = centroids - origin
    half_squares = (near**2).sum(axis=1) / 2
    step = max(1, _CHUNK_ENTRIES // max(centroids.shape))
    for begin in range(0, len(points), step):
        rows = points[begin : begin + step].astype(np.float64) - origin
        nearest = near[(half_squares - rows @ near.T).argmin(axis=1)]
        yield begin, ((rows - nearest) ** 2).sum(axis=1)


def _fit(points: Float32Array, n_clusters: int, weights: Float64Array | None, starts: int) -> Float64Array:
    origin = points.mean(axis=0, dtype=np.float64)
    rows = points - origin
    first = KMeans(n_clusters, n_init=starts, max_iter=_START_ITERATIONS, random_state=0)
    last = KMeans(n_clusters, n_init=1, max_iter=_LAST_ITERATIONS, tol=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than clusters are no mistake here
        best = first.fit(rows.astype(np.float32), sample_weight=weights).cluster_centers_
        fitted = last.set_params(init=best.astype(np.float64)).fit(rows, sample_weight=weights)
    centroids: Float64Array = fitted.cluster_centers_ + origin
    return centroids


def _spherical(points: Float32Array, n_clusters: int, starts: int) -> Float64Array:
    fits = [_spherical_fit(points, n_clusters, start) for start in range(starts)]
    return min(fits, key=lambda fit: inertia(points, fit, metric="cosine"))


def _spherical_fit(points: Float32Array, n_clusters: int, seed: int) -> Float64Array:
    """Return unit centroids (k, d) where spherical k-means ends; one without rows keeps its place."""
    n = len(points)
    rows = points.astype(np.float64)
    centroids = unit(kmeans_plusplus(rows, n_clusters, random_state=seed)[0])
    before = np.empty(0, np.intp)
    for _ in range(_LAST_ITERATIONS):
        labels = (rows @ centroids.T).argmax(axis=1)
        if np.array_equal(labels, before):
            break
        before = labels
        sums = csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, n_clusters)).T @ rows
        taken = np.bincount(labels, minlength=n_clusters) > 0
        centroids = np.where(taken[:, None], unit(sums), centroids)
    return centroids


def _key(points: Float32Array, n_clusters: int, weights: Float64Array | None, metric: Metric) -> str:
    told = json.dumps([VERSION, n_clusters, metric, points.shape, str(points.dtype), weights is not None])
    digest = hashlib.sha256(told.encode())
    digest.update(np.ascontiguousarray(points).tobytes())
    if weights is not None:
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()[:32]
