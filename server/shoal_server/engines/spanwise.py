"""An engine that works block by block: what numba and scipy share."""

from __future__ import annotations

from typing import Any, Protocol

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
from shoal_server.engines.spans import spans


class BlockKernel(Protocol):
    """What is done with one block of points (m, d) in the frame's coordinates."""

    def assign(
        self, inside: NDArray[Any], centroids: NDArray[Any], labels: LabelArray, distances: NDArray[Any]
    ) -> None:
        """Write label and squared distance of each point."""
        ...

    def add_up(
        self, inside: NDArray[Any], weight: Float64Array, labels: LabelArray, counts: Float64Array, sums: Float64Array
    ) -> None:
        """Add weights to the counts (k,) and weighted points to the sums (k, d), by label, row after row."""
        ...


def assign_spanwise(kernel: BlockKernel, points: PointArray, frame: Frame, run: RunTasks) -> Assignment:
    """Assign points (n, d), a span a task."""
    result = _empty(len(points), frame)
    cut = spans(len(points))

    def work(index: int) -> None:
        for rows in cut[index].blocks():
            kernel.assign(frame.enter(points[rows]), frame.centroids, result.labels[rows], result.distances[rows])

    run(work, len(cut))
    return result


def contribute_spanwise(
    kernel: BlockKernel, points: PointArray, sample_weight: Float64Array | None, frame: Frame, run: RunTasks
) -> Contribution:
    """Assign points (n, d) and add them up, a span a task; the partial sums are added in the order of the spans."""
    result = _empty(len(points), frame)
    cut = spans(len(points))
    counts = np.zeros((len(cut), len(frame.centroids)))
    sums = np.zeros((len(cut), *frame.centroids.shape))
    inertia = np.zeros(len(cut))

    def work(index: int) -> None:
        for rows in cut[index].blocks():
            inside = frame.enter(points[rows])
            weight = np.ones(len(inside)) if sample_weight is None else sample_weight[rows]
            kernel.assign(inside, frame.centroids, result.labels[rows], result.distances[rows])
            kernel.add_up(inside, weight, result.labels[rows], counts[index], sums[index])
            inertia[index] += np.dot(result.distances[rows], weight)

    run(work, len(cut))
    return Contribution(counts.sum(axis=0), sums.sum(axis=0), float(inertia.sum()), result.labels)


def _empty(rows: int, frame: Frame) -> Assignment:
    return Assignment(np.empty(rows, np.int32), np.empty(rows, frame.dtype))
