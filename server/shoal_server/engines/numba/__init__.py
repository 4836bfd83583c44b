"""The engine of compiled kernels."""

from __future__ import annotations

from shoal_server.engines.contract import Assignment, Contribution, Float64Array, Frame, PointArray, RunTasks
from shoal_server.engines.numba.kernels import Kernels, compile_kernels
from shoal_server.engines.spanwise import assign_spanwise, contribute_spanwise


class NumbaEngine:
    """Assigns and adds up block by block in compiled code that lets other threads run."""

    def __init__(self) -> None:
        self._kernels: Kernels | None = None

    def warm_up(self) -> None:
        """Compile the kernels, or load them from the cache of an earlier run."""
        self._kernels = compile_kernels()

    def contribute(
        self, points: PointArray, sample_weight: Float64Array | None, frame: Frame, run: RunTasks
    ) -> Contribution:
        """Assign the points to the frame's centroids and add them up."""
        return contribute_spanwise(self._compiled(), points, sample_weight, frame, run)

    def assign(self, points: PointArray, frame: Frame, run: RunTasks) -> Assignment:
        """Assign the points to the frame's centroids."""
        return assign_spanwise(self._compiled(), points, frame, run)

    def _compiled(self) -> Kernels:
        if self._kernels is None:
            raise RuntimeError("warm_up comes before the first batch")
        return self._kernels
