"""The engine of SciPy: scipy.cluster.vq.vq assigns, and a sparse product adds up."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.chunks import chunks, row_work
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

# Multiplications of one call of vq: for the 5 ms that it takes no other thread can run Python, and its distances take
# 6 MiB at most, unless those of a single row take more.
PIECE_WORK = 2**22


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
        """Assign the points to the frame's centroids and add them up; partial sums are added in chunk order."""
        cut = chunks(len(points), *frame.centroids.shape, with_sums=True)
        centroids = frame.centroids.astype(np.float64)
        labels = np.empty(len(points), np.int32)
        counts = np.zeros((len(cut), len(frame.centroids)))
        sums = np.zeros((len(cut), *frame.centroids.shape))
        inertia = np.zeros(len(cut))

        def work(index: int) -> Iterator[None]:
            for number, rows in enumerate(cut[index].blocks()):
                if number:
                    yield
                inside = frame.transform(points[rows]).astype(np.float64)
                weight = np.ones(len(inside)) if sample_weight is None else sample_weight[rows]
                labels[rows], squares = yield from _nearest(inside, centroids)
                counts[index] += np.bincount(labels[rows], weight, minlength=len(centroids))
                sums[index] += _sums(inside, weight, labels[rows], len(centroids))
                inertia[index] += np.dot(squares, weight)

        run(work, len(cut))
        answered = labels if return_labels else labels[:0]
        return Contribution(counts.sum(axis=0), sums.sum(axis=0), float(inertia.sum()), answered)

    def assign(self, points: PointArray, frame: Frame, run: RunTasks, *, return_distances: bool) -> Assignment:
        """Assign the points to the frame's centroids."""
        cut = chunks(len(points), *frame.centroids.shape, with_sums=False)
        centroids = frame.centroids.astype(np.float64)
        labels, distances = np.empty(len(points), np.int32), np.empty(len(points), frame.dtype)

        def work(index: int) -> Iterator[None]:
            for number, rows in enumerate(cut[index].blocks()):
                if number:
                    yield
                inside = frame.transform(points[rows]).astype(np.float64)
                labels[rows], distances[rows] = yield from _nearest(inside, centroids)

        run(work, len(cut))
        return Assignment(labels, distances if return_distances else None)


def _nearest(inside: Float64Array, centroids: Float64Array) -> Generator[None, None, tuple[LabelArray, Float64Array]]:
    """Return label and squared distance of each row, once vq has had them piece by piece."""
    vq = library("scipy.cluster.vq").vq
    labels = np.empty(len(inside), np.int32)
    rows = max(1, PIECE_WORK // row_work(*centroids.shape))
    for start in range(0, len(inside), rows):
        if start:
            yield
        labels[start : start + rows], _ = vq(inside[start : start + rows], centroids, check_finite=False)
    # vq's own distances come from squares expanded, and lose digits.
    offset = inside - centroids[labels]
    return labels, np.einsum("nd,nd->n", offset, offset)


def _sums(inside: Float64Array, weight: Float64Array, labels: LabelArray, k: int) -> NDArray[Any]:
    memberships = library("scipy.sparse").csr_array(
        (weight, labels, np.arange(len(labels) + 1)), shape=(len(labels), k)
    )
    return np.asarray(memberships.T @ inside)
