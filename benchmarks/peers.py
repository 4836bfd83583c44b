"""The same work by other libraries: assign a batch to the nearest centroids, and move these to the running means."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import vq
from scipy.sparse import csr_array
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from benchmarks.datasets import Float32Array

Labels = NDArray[np.int32]
Batch = Callable[[Float32Array], None]


class OneThread:
    """A context in which no library uses more than one thread."""

    def __enter__(self) -> None:
        # In this order, and out of it backwards: faiss may share its OpenMP with scikit-learn.
        self._faiss = faiss.omp_get_max_threads()
        self._limits = threadpool_limits(1)
        faiss.omp_set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        faiss.omp_set_num_threads(self._faiss)
        self._limits.restore_original_limits()


def partial_fit(centroids: Float32Array, *, compute_labels: bool) -> Batch:
    """Return scikit-learn's MiniBatchKMeans.partial_fit, started at centroids (k, d).

    Without reassignment, which costs it time and changes the mathematics. `compute_labels` is True unless a caller
    says otherwise, and assigns every batch twice.
    """
    model = MiniBatchKMeans(
        len(centroids), init=centroids.copy(), n_init=1, reassignment_ratio=0.0, compute_labels=compute_labels
    )
    model.partial_fit(centroids)  # the first batch has to have a row a cluster; these leave the centroids in place

    def apply(points: Float32Array) -> None:
        model.partial_fit(points)

    return apply


def with_vq(centroids: Float32Array) -> Batch:
    """Return SciPy's vq with an update after it."""
    means = _RunningMeans(centroids)

    def apply(points: Float32Array) -> None:
        labels, _ = vq(points, means.centroids)
        means.add(points, labels)

    return apply


def with_faiss(centroids: Float32Array) -> Batch:
    """Return faiss's exact search with an update after it; the index gets the new centroids every time."""
    means = _RunningMeans(centroids)

    def apply(points: Float32Array) -> None:
        index = faiss.IndexFlatL2(centroids.shape[1])
        index.add(means.centroids)
        means.add(points, index.search(points, 1)[1].ravel())

    return apply


def product(points: Float32Array, centroids: Float32Array) -> Callable[[], None]:
    """Return the bare matrix product X·Cᵀ: the minimum cost of computing every distance."""
    answer = np.empty((len(points), len(centroids)), np.float32)

    def multiply() -> None:
        np.dot(points, centroids.T, out=answer)

    return multiply


def exact_labels(points: Float32Array, centroids: Float32Array) -> Labels:
    """Return the labels (n,) of a float64 computation; the lowest of equally near centroids."""
    x, c = points.astype(np.float64), centroids.astype(np.float64)
    labels: Labels = ((c**2).sum(axis=1) - 2 * x @ c.T).argmin(axis=1).astype(np.int32)
    return labels


def faiss_labels(points: Float32Array, centroids: Float32Array) -> Labels:
    """Return the labels (n,) of faiss."""
    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(centroids)
    labels: Labels = index.search(points, 1)[1].ravel().astype(np.int32)
    return labels


class _RunningMeans:
    """Centroids (k, d) that are the means of all points so far, in NumPy.

    A sparse product adds the points up: of what NumPy and SciPy have, the fastest (add.at, bincount a column, and
    sorting with reduceat are slower).
    """

    def __init__(self, centroids: Float32Array) -> None:
        self.centroids = centroids.copy()
        self._weights = np.ones(len(centroids))

    def add(self, points: Float32Array, labels: NDArray[np.integer]) -> None:
        """Move the centroids by points (n, d) of the given labels (n,)."""
        n, k = len(points), len(self.centroids)
        chosen = csr_array((np.ones(n, np.float32), labels, np.arange(n + 1)), shape=(n, k))
        counts = np.bincount(labels, minlength=k)
        self._weights += counts
        shift = chosen.T @ points - counts[:, None] * self.centroids
        self.centroids += (shift / self._weights[:, None]).astype(np.float32)


def quietly(apply: Batch, points: Float32Array) -> None:
    """Apply one batch with warnings off, because scikit-learn warns about settings that are intended here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        apply(points)
