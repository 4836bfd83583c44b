"""Measures centroids: for the whole photograph, and for the pixels that had come when they were served."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin_min

from shoal_presentation.demo.image import Photograph
from shoal_presentation.demo.results import OFFLINE, Array, Fit, Moment, OnePass

_PARTS = 8  # an offline fit for each eighth of the photograph; one for each batch would take minutes


@dataclass(frozen=True)
class SeenPixels:
    """The pixels that have come after some batches, equal ones counted instead of repeated."""

    batches: int
    colours: Array  # (m, 3)
    counts: NDArray[np.int64]  # (m,)

    @property
    def rows(self) -> int:
        """How many pixels they are."""
        return int(self.counts.sum())

    def inertia_per_point(self, centroids: Array) -> float:
        """Return the mean squared distance to the nearest centroid."""
        return float(self.counts @ _nearest(self.colours, centroids)[1]) / self.rows

    def offline_inertia_per_point(self, n_clusters: int, random_state: int) -> float:
        """Return what scikit-learn's KMeans leaves of it, fitted to these pixels alone."""
        model = KMeans(n_clusters, n_init=1, random_state=random_state).fit(self.colours, sample_weight=self.counts)
        return float(model.inertia_) / self.rows


def fit_of(name: str, centroids: Array, photograph: Photograph, seconds: float) -> Fit:
    """Return the fit of (k, 3) centroids to the whole photograph."""
    labels, distances = _nearest(photograph.pixels.astype(np.float64), centroids)
    return Fit(name, centroids, labels.astype(np.int32), float(distances.sum()), seconds)


def fit_offline(photograph: Photograph, n_clusters: int, random_state: int) -> tuple[Fit, int]:
    """Fit all pixels at once with scikit-learn's KMeans, from one initialisation; also return its iterations."""
    start = time.perf_counter()
    model = KMeans(n_clusters, n_init=1, random_state=random_state).fit(photograph.pixels)
    seconds = time.perf_counter() - start
    return Fit(OFFLINE, model.cluster_centers_, model.labels_, float(model.inertia_), seconds), int(model.n_iter_)


def measure(
    photograph: Photograph, passes: Iterable[OnePass], offline: Fit, random_state: int
) -> dict[str, tuple[Moment, ...]]:
    """Measure every version of each pass for the pixels that it had seen, and offline fits of the same pixels.

    Parameters
    ----------
    photograph
        What was streamed.
    passes
        Whose versions to measure.
    offline
        The fit to the whole photograph. Earlier ones are made here, at seven moments.
    random_state
        Of the earlier ones.

    Returns
    -------
    dict
        The moments of each fit by its name, in order.
    """
    passes = tuple(passes)
    curves: dict[str, list[Moment]] = {OFFLINE: [], **{one.fit.name: [] for one in passes}}
    n_clusters, parts = len(offline.centroids), _ends_of_parts(photograph.n_batches)
    for seen in seen_pixels(photograph):
        for one in passes:
            curves[one.fit.name].extend(
                Moment(seen.rows, seen.inertia_per_point(version.centroids), version.refined)
                for version in one.versions
                if version.rows == seen.rows
            )
        if seen.batches == photograph.n_batches:
            curves[OFFLINE].append(Moment(seen.rows, offline.inertia / seen.rows))
        elif seen.batches in parts and len(seen.colours) > n_clusters:
            curves[OFFLINE].append(Moment(seen.rows, seen.offline_inertia_per_point(n_clusters, random_state)))
    return {name: tuple(moments) for name, moments in curves.items()}


def seen_pixels(photograph: Photograph) -> Iterator[SeenPixels]:
    """Yield what has come after each batch."""
    unique, which = np.unique(photograph.pixels, axis=0, return_inverse=True)
    colours, which = unique.astype(np.float64), which.reshape(-1)  # (n, 1) in NumPy 2.0
    counts = np.zeros(len(colours), np.int64)
    for batch in range(photograph.n_batches):
        rows = slice(batch * photograph.batch_rows, (batch + 1) * photograph.batch_rows)
        counts += np.bincount(which[rows], minlength=len(colours))
        seen = counts > 0
        yield SeenPixels(batch + 1, colours[seen], counts[seen])


def _ends_of_parts(n_batches: int) -> set[int]:
    return {round(n_batches * part / _PARTS) for part in range(1, _PARTS)}


def _nearest(points: Array, centroids: Array) -> tuple[NDArray[np.intp], Array]:
    """Return the label of each point, and its squared distance."""
    labels, distances = pairwise_distances_argmin_min(points, centroids, metric="sqeuclidean")
    return labels, distances
