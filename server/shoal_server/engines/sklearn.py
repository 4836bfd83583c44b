"""The engine of scikit-learn: MiniBatchKMeans.partial_fit itself moves the centroids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import (
    Assignment,
    Contribution,
    Float64Array,
    Frame,
    LabelArray,
    PointArray,
    RunTasks,
)
from shoal_server.libraries import library


class SklearnEngine:
    """Lets scikit-learn take one step from the frame's centroids and weights, and reads off what the batch added.

    partial_fit is not thread-safe, so every call has an estimator of its own. Reassignment is off: it would lose rare
    clusters, and make the result depend on chance. It computes in float64 whatever the session's precision: in float32
    scikit-learn's distances, expanded into squares, lose digits that the other engines keep, and its counts stop
    growing at 2**24.
    """

    def warm_up(self) -> None:
        """Load scikit-learn."""
        frame = Frame(np.zeros((1, 1)), np.zeros(1), np.zeros(1), cosine=False)
        self.contribute(np.zeros((1, 1)), None, frame, _unused)

    def contribute(
        self,
        points: PointArray,
        sample_weight: Float64Array | None,
        frame: Frame,
        run: RunTasks,  # noqa: ARG002  (a call of scikit-learn can't be cut into tasks)
        *,
        return_labels: bool = True,
    ) -> Contribution:
        """Assign the points to the frame's centroids and add them up."""
        inside = frame.transform(points).astype(np.float64)
        weight = np.ones(len(inside)) if sample_weight is None else sample_weight
        # Before the step: with compute_labels=True partial_fit would give those of the centroids after it.
        labels = _estimator(frame).predict(inside)
        distances = _squared_distances(inside, frame, labels)
        counts = np.bincount(labels, weight, minlength=len(frame.centroids)).astype(np.float64)
        return Contribution(
            counts=counts,
            sums=_added(_stepped(inside, weight, frame), counts, frame),
            inertia=float(np.dot(distances, weight)),
            labels=labels if return_labels else labels[:0],
        )

    def assign(
        self,
        points: PointArray,
        frame: Frame,
        run: RunTasks,  # noqa: ARG002  (a call of scikit-learn can't be cut into tasks)
        *,
        return_distances: bool,
    ) -> Assignment:
        """Assign the points to the frame's centroids."""
        inside = frame.transform(points).astype(np.float64)
        labels = _estimator(frame).predict(inside)
        distances = _squared_distances(inside, frame, labels).astype(frame.dtype) if return_distances else None
        return Assignment(labels, distances)


def _estimator(frame: Frame) -> Any:
    """Return a MiniBatchKMeans that stands where the frame does.

    A first partial_fit would want n_clusters points at least, so what it would have left behind is put in its place.
    """
    k, d = frame.centroids.shape
    estimator = library("sklearn.cluster").MiniBatchKMeans(
        k, compute_labels=False, reassignment_ratio=0.0, random_state=0
    )
    estimator.cluster_centers_ = frame.centroids.astype(np.float64)
    estimator.n_features_in_ = d
    estimator._counts = frame.weights.copy()  # noqa: SLF001
    estimator._n_threads = 1  # noqa: SLF001  (the server runs sessions in parallel; OpenMP's threads would add to that)
    estimator._n_since_last_reassign = 0  # noqa: SLF001
    estimator._batch_size = 1  # noqa: SLF001
    return estimator


def _stepped(inside: Float64Array, weight: Float64Array, frame: Frame) -> Float64Array:
    """Return the centroids (k, d) after one step of partial_fit."""
    estimator = _estimator(frame)
    # A cluster whose points have no weight at all would become NaN, and a batch of such points is refused.
    counting = weight > 0
    if counting.any():
        estimator.partial_fit(inside[counting], sample_weight=weight[counting])
    centroids: Float64Array = estimator.cluster_centers_
    return centroids


def _added(stepped: Float64Array, counts: Float64Array, frame: Frame) -> Float64Array:
    """Return the sums (k, d) that the step added: scikit-learn keeps means, and a mean times its weight is a sum."""
    before = frame.weights[:, None] * frame.centroids
    sums: Float64Array = (frame.weights + counts)[:, None] * stepped - before
    return sums


def _squared_distances(inside: NDArray[Any], frame: Frame, labels: LabelArray) -> NDArray[Any]:
    offset = inside - frame.centroids[labels]
    squares: NDArray[Any] = np.einsum("nd,nd->n", offset, offset)
    return squares


def _unused(*_: object) -> None:
    raise AssertionError("scikit-learn runs no tasks of ours")
