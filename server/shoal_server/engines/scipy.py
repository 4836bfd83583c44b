"""The engine of SciPy: scipy.cluster.vq.vq assigns, and a sparse product adds up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.chunks import BLOCK_ROWS, chunks
from shoal_server.engines.contract import (
    Assignment,
    Contribution,
    Float64Array,
    Frame,
    LabelArray,
    PointArray,
    RunTasks,
    run_in_order,
)
from shoal_server.libraries import library

MAX_DISTANCES = 2**21  # that vq holds at a time on a thread: 16 MiB


class ScipyEngine:
    """Assigns with vq, block by block: for more than four columns it holds a distance for every point and centroid.

    It computes in float64 whatever the session's precision: vq's distances, expanded into squares, lose digits in
    float32 that the other engines keep.
    """

    def warm_up(self) -> None:
        """Load SciPy."""
        frame = Frame(np.zeros((1, 1)), np.zeros(1), np.zeros(1), cosine=False)
        self.contribute(np.zeros((1, 1)), None, frame, run_in_order)

    def contribute(
        self,
        points: PointArray,
        sample_weight: Float64Array | None,
        frame: Frame,
        run: RunTasks,
        *,
        return_labels: bool = True,
    ) -> Contribution:
        """Assign the points to the frame's centroids and add them up; partial sums are added in the order of spans."""
        cut = chunks(len(points), *frame.centroids.shape, with_sums=True)
        labels = np.empty(len(points), np.int32)
        counts = np.zeros((len(cut), len(frame.centroids)))
        sums = np.zeros((len(cut), *frame.centroids.shape))
        inertia = np.zeros(len(cut))

        def work(index: int) -> None:
            for rows in cut[index].blocks(_block_rows(frame)):
                inside = frame.transform(points[rows]).astype(np.float64)
                weight = np.ones(len(inside)) if sample_weight is None else sample_weight[rows]
                labels[rows], squares = _nearest(inside, frame)
                counts[index] += np.bincount(labels[rows], weight, minlength=len(frame.centroids))
                sums[index] += _sums(inside, weight, labels[rows], len(frame.centroids))
                inertia[index] += np.dot(squares, weight)

        run(work, len(cut))
        answered = labels if return_labels else labels[:0]
        return Contribution(counts.sum(axis=0), sums.sum(axis=0), float(inertia.sum()), answered)

    def assign(self, points: PointArray, frame: Frame, run: RunTasks, *, return_distances: bool) -> Assignment:
        """Assign the points to the frame's centroids."""
        cut = chunks(len(points), *frame.centroids.shape, with_sums=False)
        labels, distances = np.empty(len(points), np.int32), np.empty(len(points), frame.dtype)

        def work(index: int) -> None:
            for rows in cut[index].blocks(_block_rows(frame)):
                inside = frame.transform(points[rows]).astype(np.float64)
                labels[rows], distances[rows] = _nearest(inside, frame)

        run(work, len(cut))
        return Assignment(labels, distances if return_distances else None)


def _block_rows(frame: Frame) -> int:
    """Return how many rows vq may take at a time: for each it holds a distance to every centroid."""
    return max(1, min(BLOCK_ROWS, MAX_DISTANCES // len(frame.centroids)))


def _nearest(inside: Float64Array, frame: Frame) -> tuple[LabelArray, Float64Array]:
    """Return label and squared distance of each row."""
    centroids = frame.centroids.astype(np.float64)
    labels, _ = library("scipy.cluster.vq").vq(inside, centroids, check_finite=False)
    # vq's own distances come from squares expanded, and lose digits.
    offset = inside - centroids[labels]
    return labels, np.einsum("nd,nd->n", offset, offset)


def _sums(inside: Float64Array, weight: Float64Array, labels: LabelArray, k: int) -> NDArray[Any]:
    memberships = library("scipy.sparse").csr_array(
        (weight, labels, np.arange(len(labels) + 1)), shape=(len(labels), k)
    )
    return np.asarray(memberships.T @ inside)
