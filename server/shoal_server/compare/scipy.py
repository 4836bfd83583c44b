"""scipy.cluster.vq: vq assigns, and kmeans2 makes one iteration at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from shoal.wire.comparison import OwnFigure
from shoal_server.compare.lloyd import Updated, iterate
from shoal_server.compare.steps import Clock, Comparison, Step
from shoal_server.engines.contract import Float64Array, LabelArray
from shoal_server.libraries import library

# Distances of one iteration up to which kmeans is run once more, for the distortion that it returns.
_MAX_DISTANCES = 10_000_000


def run_kmeans(comparison: Comparison, clock: Clock) -> Iterator[Step]:
    """Do what kmeans does from given centroids: it can't be asked for one iteration, kmeans2 can.

    kmeans drops a centroid that no point is nearest to; kmeans2 without it computes the same for the others.
    """
    for step in iterate("scipy", _DroppingEmpty(comparison.points), comparison, clock):
        yield _with_own_distortion(step, comparison) if step.action == "converged" else step


def run_kmeans2(comparison: Comparison, clock: Clock) -> Iterator[Step]:
    """Run kmeans2, one iteration a call."""
    yield from iterate("scipy-kmeans2", _KeepingEmpty(comparison.points), comparison, clock)


class _Library:
    """SciPy's own calls, loaded before the clock runs."""

    def __init__(self, points: Float64Array) -> None:
        self._points, self._vq = points, library("scipy.cluster.vq")

    def assign(self, centroids: Float64Array) -> LabelArray:
        labels, _ = self._vq.vq(self._points, centroids, check_finite=False)
        return np.asarray(labels, dtype=np.int32)

    def iterate_once(self, centroids: Float64Array) -> Float64Array:
        # What it warns of is a note of the step. A filter for good, since one for a while isn't safe with threads.
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)
        after, _ = self._vq.kmeans2(self._points, centroids, iter=1, minit="matrix", missing="warn", check_finite=False)
        return np.asarray(after)


class _DroppingEmpty(_Library):
    def update(self, centroids: Float64Array, labels: LabelArray) -> Updated:
        kept = np.unique(labels).astype(np.intp)
        notes = tuple(
            f"no point is nearest to centroid {row}, so kmeans drops it: {len(kept)} are left"
            for row in np.setdiff1d(np.arange(len(centroids)), kept)
        )
        return Updated(self.iterate_once(centroids[kept]), kept, notes)


class _KeepingEmpty(_Library):
    def update(self, centroids: Float64Array, labels: LabelArray) -> Updated:
        rows = np.arange(len(centroids))
        notes = tuple(
            f"no point is nearest to centroid {row}, so kmeans2 leaves it where it is"
            for row in np.setdiff1d(rows, labels)
        )
        return Updated(self.iterate_once(centroids), rows, notes)


def _with_own_distortion(step: Step, comparison: Comparison) -> Step:
    """Add the distortion that kmeans itself returns from the same initial centroids, unless that takes too long."""
    initial = comparison.initial_centroids
    if initial.size == 1 or len(comparison.points) * len(initial) * step.iteration > _MAX_DISTANCES:
        return step  # of a single number kmeans thinks that it is how many centroids are wanted
    comparison.pause()
    _, distortion = library("scipy.cluster.vq").kmeans(
        comparison.points, initial, thresh=comparison.tol, check_finite=False
    )
    meaning = "the mean distance to the centroids before the last update, and not to those that kmeans returns"
    return replace(step, own_figures=(OwnFigure("distortion", float(distortion), meaning),))
