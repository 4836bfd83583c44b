"""The compiled kernels of the search for better centroids, for points of either precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.compilation import Kernels
from shoal_server.engines.numba.decorators import Reals
from shoal_server.engines.numba.layout import PRECISIONS
from shoal_server.engines.numba.microkernel import group_rows
from shoal_server.engines.numba.partition import CANDIDATES, Partition
from shoal_server.engines.numba.workspace import LINE


class NumbaSearch:
    """What clustering/refinement.py asks of its kernels; see there."""

    candidates = CANDIDATES

    def __init__(self, kernels: dict[np.dtype[Any], Kernels]) -> None:
        self._kernels = kernels

    def partition(self, points: Reals, weights: Float64Array, n_clusters: int) -> Partition:
        """Return the partition of points (m, d) of weights (m,) that is to be filled."""
        (m, d), real = points.shape, points.dtype
        group = group_rows(PRECISIONS[real])
        groups = -(-m // group)
        padded = np.zeros(groups * group)
        padded[:m] = weights
        read_only = points.view()
        read_only.flags.writeable = False
        return Partition(
            points=read_only,
            lanes=_aligned((groups, d, group), real),
            weights=padded,
            centroids=np.zeros((n_clusters, d), real),
            squares=_aligned((2, groups * group), real),
            labels=np.zeros((2, groups * group), np.int32),
        )

    def pack(self, partition: Partition, first: int, last: int) -> None:
        """Lay out some groups of points."""
        self._compiled(partition).pack_points(partition, first, last)

    def find_nearest_two(self, partition: Partition, first: int, last: int) -> None:
        """Find the nearest two centroids of some groups of points."""
        self._compiled(partition).find_nearest_two(partition, first, last)

    def add_members(
        self, partition: Partition, first: int, last: int, counts: Float64Array, sums: Float64Array
    ) -> float:
        """Add rows to weights (k,) and weighted sums (k, d) of their clusters, and return their inertia."""
        return self._compiled(partition).add_members(partition, first, last, counts, sums)

    def seed(self, partition: Partition, draws: Float64Array, chosen: NDArray[np.int64], first: int, last: int) -> None:
        """Choose points for some of the centroids by greedy k-means++."""
        self._compiled(partition).seed(partition, draws, chosen, first, last)

    def try_swaps(
        self,
        partition: Partition,
        draws: Float64Array,
        reach: Float64Array,
        first: int,
        max_work: int,
        *,
        allowed: float,
        cosine: bool,
    ) -> tuple[int, int, int]:
        """Try swaps, and return the next to be tried, how many were kept, and the multiplications done."""
        return self._compiled(partition).try_swaps(partition, draws, reach, first, max_work, allowed, cosine)

    def _compiled(self, partition: Partition) -> Kernels:
        return self._kernels[partition.centroids.dtype]


def _aligned(shape: tuple[int, ...], real: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros that begin at a cache line: a vector that lies in two costs twice."""
    size = int(np.prod(shape)) * real.itemsize
    memory = np.zeros(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(real).reshape(shape)
