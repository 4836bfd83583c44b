"""sklearn.cluster: KMeans in one call of fit, and MiniBatchKMeans in calls of partial_fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from shoal.wire.comparison import OwnFigure
from shoal_server.clustering.state import shifts
from shoal_server.compare.lloyd import Updated, iterate, objectives, settled
from shoal_server.compare.steps import Clock, Comparison, Step
from shoal_server.engines.contract import Float64Array, LabelArray
from shoal_server.libraries import library

# Distances of all iterations up to which these are made once more, one by one, to show the way.
_MAX_DISTANCES = 20_000_000
# Rows of a batch of partial_fit: scikit-learn's own default.
_BATCH_ROWS = 1024
_ROUNDING = 1e-7  # relative; far above what squares that were expanded lose


def run_kmeans(comparison: Comparison, clock: Clock) -> Iterator[Step]:
    """Run KMeans as people call it: one call that makes all iterations."""
    library("sklearn.cluster")  # loaded before the clock runs
    began = clock()
    fitted = _fit(comparison, comparison.initial_centroids, comparison.max_iter)
    elapsed = clock() - began
    centroids, labels = np.asarray(fitted.cluster_centers_), np.asarray(fitted.labels_, dtype=np.int32)
    inertia, distortion = objectives(comparison.points, centroids, labels)
    path = _path(comparison, fitted)
    yield Step(
        engine="sklearn",
        action="fit",
        iteration=int(fitted.n_iter_),
        centroids=centroids,
        clusters=np.arange(len(centroids), dtype=np.int32),
        labels=labels,
        inertia=inertia,
        distortion=distortion,
        movement=shifts(comparison.initial_centroids, centroids),
        elapsed=elapsed,
        converged=_converged(comparison, fitted, path),
        path=path,
        own_figures=(
            OwnFigure("inertia_", float(fitted.inertia_), "the sum of the squared distances to the nearest centroid"),
            OwnFigure(
                "n_iter_",
                float(fitted.n_iter_),
                "iterations, with the one that found that it may stop, if one did",
            ),
        ),
        notes=(*_notes(comparison, fitted), *_moved(comparison, path)),
    )


def run_mini_batch(comparison: Comparison, clock: Clock) -> Iterator[Step]:
    """Run MiniBatchKMeans: an update is a pass over the points, batch by batch."""
    yield from iterate("sklearn-minibatch", _Passes(comparison), comparison, clock)


class _Passes:
    def __init__(self, comparison: Comparison) -> None:
        self._points, self._metrics = comparison.points, library("sklearn.metrics")
        self._pause = comparison.pause
        self._rows = max(_BATCH_ROWS, len(comparison.initial_centroids))
        self._estimator = library("sklearn.cluster").MiniBatchKMeans(
            len(comparison.initial_centroids),
            init=comparison.initial_centroids,
            n_init=1,
            batch_size=self._rows,
            compute_labels=False,
            random_state=comparison.random_state,
        )

    def assign(self, centroids: Float64Array) -> LabelArray:
        return np.asarray(self._metrics.pairwise_distances_argmin(self._points, centroids), dtype=np.int32)

    def update(self, centroids: Float64Array, labels: LabelArray) -> Updated:
        for start in range(0, len(self._points), self._rows):
            self._pause()
            self._estimator.partial_fit(self._points[start : start + self._rows])
        rows = np.arange(len(centroids))
        notes = tuple(
            f"no point is nearest to centroid {row}; partial_fit leaves it, or at times moves it to a point"
            for row in np.setdiff1d(rows, labels)
        )
        return Updated(np.array(self._estimator.cluster_centers_), rows, notes)


def _fit(comparison: Comparison, centroids: Float64Array, max_iter: int) -> Any:
    # What it warns of is a note of the step. A filter for good, since one for a while isn't safe with threads.
    warnings.filterwarnings("ignore", "Number of distinct clusters", library("sklearn.exceptions").ConvergenceWarning)
    estimator = library("sklearn.cluster").KMeans(
        len(centroids),
        init=centroids,
        n_init=1,
        max_iter=max_iter,
        tol=_relative(comparison),
        random_state=comparison.random_state,
    )
    comparison.pause()
    return estimator.fit(comparison.points)


def _relative(comparison: Comparison) -> float:
    """Return the tol for which scikit-learn stops where the others do.

    It compares the sum of the squared movements with tol times the mean of the columns' variances.
    """
    variance = float(comparison.points.var(axis=0).mean())
    return comparison.tol**2 / variance if variance > 0 else 0.0


def _path(comparison: Comparison, fitted: Any) -> Float64Array | None:
    """Return where the centroids were after each iteration, or None where it would take too long to find out."""
    iterations = int(fitted.n_iter_)
    centroids = comparison.initial_centroids
    if len(comparison.points) * len(centroids) * iterations > _MAX_DISTANCES:
        return None
    path = np.empty((iterations, *centroids.shape))
    for iteration in range(iterations):
        path[iteration] = centroids = _fit(comparison, centroids, 1).cluster_centers_
    return path


def _converged(comparison: Comparison, fitted: Any, path: Float64Array | None) -> bool:
    """Return whether the last iteration has moved no more than tol: at the limit fit itself doesn't say."""
    if fitted.n_iter_ < comparison.max_iter:
        return True
    after = fitted.cluster_centers_
    if comparison.max_iter == 1:
        return _stays(comparison, comparison.initial_centroids, after)
    if path is not None:
        return _stays(comparison, path[-2], after)
    if comparison.tol == 0 and not _stays(comparison, after, _fit(comparison, after, 1).cluster_centers_):
        return False  # where one more moves something the last one did: known sooner than what the last one moved
    before = _fit(comparison, comparison.initial_centroids, comparison.max_iter - 1).cluster_centers_
    return _stays(comparison, before, after)


def _stays(comparison: Comparison, before: Float64Array, after: Float64Array) -> bool:
    return settled(shifts(before, after), after, comparison.tol)


def _notes(comparison: Comparison, fitted: Any) -> tuple[str, ...]:
    found, wanted = len(np.unique(fitted.labels_)), len(fitted.cluster_centers_)
    notes = []
    if found < wanted:
        notes.append(f"{found} of {wanted} clusters have points: there are too few distinct points for more")
    nearest = fitted.predict(comparison.points)
    elsewhere = _farther(comparison.points, fitted.cluster_centers_, fitted.labels_, nearest)
    if elsewhere:
        notes.append(
            f"{elsewhere} of the points have labels of centroids that aren't the nearest: fit ends when labels repeat, "
            f"and has moved an empty cluster since"
        )
    return tuple(notes)


def _farther(points: Float64Array, centroids: Float64Array, labels: LabelArray, others: LabelArray) -> int:
    """Return how many points (n, d) are farther from the centroid of their label (n,) than from that of the other (n,).

    What the libraries' ways to compute distances lose by rounding doesn't count.
    """
    rows = np.flatnonzero(labels != others)
    own = np.linalg.norm(points[rows] - centroids[labels[rows]], axis=1)
    other = np.linalg.norm(points[rows] - centroids[others[rows]], axis=1)
    slack = _ROUNDING * (np.linalg.norm(points[rows], axis=1) + other)
    return int(np.count_nonzero(own > other + slack))


def _moved(comparison: Comparison, path: Float64Array | None) -> Iterator[str]:
    """Yield a note for each empty cluster that an iteration has moved, as far as the path shows it."""
    if path is None:
        return
    pairs = library("sklearn.metrics").pairwise_distances_argmin_min
    for iteration, (before, after) in enumerate(pairwise((comparison.initial_centroids, *path)), 1):
        comparison.pause()
        labels, distances = pairs(comparison.points, before)
        empty = np.setdiff1d(np.arange(len(before)), labels)
        # Where all points lie on centroids none is spared: _average_centers takes the largest cluster's place then.
        where = "to a point far from its own centroid" if distances.any() else "onto the largest cluster"
        for row in empty[(before[empty] != after[empty]).any(axis=1)].tolist():
            yield f"no point is nearest to centroid {row} in iteration {iteration}, so KMeans moves it {where}"
