"""The engine of SciPy: scipy.cluster.vq.vq assigns, and a sparse product adds up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import vq
from scipy.sparse import csr_array

from shoal_server.engines.contract import (
    Assignment,
    Contribution,
    Float64Array,
    Frame,
    LabelArray,
    PointArray,
    RunTasks,
)
from shoal_server.engines.spanwise import assign_spanwise, contribute_spanwise


class ScipyEngine:
    """Assigns with vq, block by block: for more than four columns it holds a distance for every point and centroid."""

    def warm_up(self) -> None:
        """Nothing to do: SciPy comes compiled."""

    def contribute(
        self, points: PointArray, sample_weight: Float64Array | None, frame: Frame, run: RunTasks
    ) -> Contribution:
        """Assign the points to the frame's centroids and add them up."""
        return contribute_spanwise(_Kernel(), points, sample_weight, frame, run)

    def assign(self, points: PointArray, frame: Frame, run: RunTasks) -> Assignment:
        """Assign the points to the frame's centroids."""
        return assign_spanwise(_Kernel(), points, frame, run)


class _Kernel:
    def assign(
        self, inside: NDArray[Any], centroids: NDArray[Any], labels: LabelArray, distances: NDArray[Any]
    ) -> None:
        labels[:], _ = vq(inside, centroids, check_finite=False)
        # vq's own distances, which it expands into squares of the points, lose digits in float32.
        offset = inside - centroids[labels]
        np.einsum("nd,nd->n", offset, offset, out=distances)

    def add_up(
        self, inside: NDArray[Any], weight: Float64Array, labels: LabelArray, counts: Float64Array, sums: Float64Array
    ) -> None:
        counts += np.bincount(labels, weight, minlength=len(counts))
        memberships = csr_array((weight, labels, np.arange(len(labels) + 1)), shape=(len(labels), len(counts)))
        sums += memberships.T @ inside.astype(np.float64)
