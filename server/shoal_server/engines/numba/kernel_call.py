"""Calls of the compiled kernel on chunks of a batch: the rows as they came, or brought into the frame by NumPy."""

from __future__ import annotations

import ctypes
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from shoal_server.engines.chunks import BLOCK_ROWS, Chunk, chunks, min_chunk_rows, piece_rows
from shoal_server.engines.contract import Float64Array, Frame, LabelArray, PointArray, UnusablePoints
from shoal_server.engines.numba.compilation import Kernels
from shoal_server.engines.numba.decorators import Reals
from shoal_server.engines.numba.layout import Layout
from shoal_server.engines.numba.pruning_policy import PruningPolicy

# Values of a partial sum that stays in the first cache beside the rows. A larger one costs much to zero, to reach, and
# to add to the others.
SMALL_SUM = 1 << 12

_ADDRESS = ctypes.c_ssize_t

Pieces = Generator[None, None, float]


class NearlyZeroRowError(Exception):
    """A row is too short to be scaled to length 1 in one step."""


@dataclass(frozen=True)
class Results:
    """Where the results of a chunk go; what is empty is not wanted."""

    labels: LabelArray  # (n,)
    distances: Reals  # (n,)
    counts: Float64Array  # (k,)
    sums: Float64Array  # (k, d up to whole vectors)


@dataclass(frozen=True)
class KernelCall:
    """The kernel, ready for points and a frame."""

    kernels: Kernels
    layout: Layout
    frame: Frame
    points: PointArray  # (n, d)
    weight: Float64Array  # (n,); empty: all 1

    def assign(self, chunk: Chunk, results: Results) -> Pieces:
        """Assign the rows of a chunk piece by piece, add them up if that is wanted, and return their inertia.

        Raises
        ------
        UnusablePoints
            Then the results are void.
        """
        if is_native(self.points, self.frame):
            try:
                return (yield from self._assign_native(chunk, results))
            except NearlyZeroRowError:
                results.counts[...], results.sums[...] = 0, 0
        return (yield from self._assign_transformed(chunk, results))

    @property
    def adds_separately(self) -> bool:
        """Whether rows are better added up to one sum, once they have labels."""
        k, d = self._shape
        plain = is_native(self.points, self.frame) and not self.frame.cosine
        return k * d > SMALL_SUM and plain and len(self.points) >= 2 * min_chunk_rows(k, d)

    def chunks(self, *, with_sums: bool) -> list[Chunk]:
        """Cut the rows; `with_sums`: each chunk has a partial sum."""
        rows, shape = len(self.points), self._shape
        if with_sums:
            return chunks(rows, *shape, with_sums=True)
        return chunks(rows, *shape, with_sums=False, group_rows=self.layout.group)

    def add(self, chunk: Chunk, labels: LabelArray, counts: Float64Array, sums: Float64Array) -> float:
        """Add up rows of a chunk that have labels (n,) and are usable, and return their inertia."""
        points = self.points[chunk.rows]
        return self.kernels.add_rows(
            data_address(points), len(points), self.weight[chunk.rows], self.layout, labels[chunk.rows], counts, sums
        )

    @property
    def _shape(self) -> tuple[int, int]:
        k, d = self.frame.centroids.shape
        return k, d

    # Sums are in the order of the rows, whatever the pieces; of the inertia their boundaries decide the last bits.

    def _assign_native(self, chunk: Chunk, results: Results) -> Pieces:
        inertia = 0.0
        for number, rows in enumerate(chunk.blocks(piece_rows(*self._shape, self.layout.group))):
            if number:
                yield
            inertia += self._call(self.points[rows], rows, results, self.layout)
        return inertia

    def _assign_transformed(self, chunk: Chunk, results: Results) -> Pieces:
        """Do what `assign` does with rows that NumPy brings into the frame's coordinates, block by block."""
        layout = self.layout._replace(origin=np.zeros_like(self.layout.origin), cosine=False)
        inertia = 0.0
        for number, rows in enumerate(chunk.blocks(min(BLOCK_ROWS, piece_rows(*self._shape)))):
            if number:
                yield
            inertia += self._call(self.frame.transform(self.points[rows]), rows, results, layout)
        return inertia

    def _call(self, points: Reals, rows: slice, results: Results, layout: Layout) -> float:
        inertia, largest, nearly_zero, tried = self.kernels.assign_rows(
            data_address(points),
            len(points),
            self.weight[rows],
            layout,
            results.labels[rows],
            results.distances[rows],
            results.counts,
            results.sums,
        )
        if layout is self.layout and not largest <= layout.max_value:  # `transform` has looked at its points
            raise UnusablePoints
        if nearly_zero:
            raise NearlyZeroRowError
        self.frame.cache.get(PruningPolicy).note(layout, len(points), tried)
        return float(inertia)


def is_native(points: PointArray, frame: Frame) -> bool:
    """Return whether the kernel can read points (n, d) as they are."""
    return points.dtype == frame.dtype and points.dtype.isnative and points.flags.c_contiguous


def data_address(points: PointArray) -> int:
    """Return the address of the first row, which need not be aligned.

    It is the first field of an array behind Python's own (`data` of PyArrayObject, which belongs to NumPy's ABI). The
    array interface tells it too, with all the rest, in a time that is a third of a batch of one row.
    """
    return _ADDRESS.from_address(id(points) + object.__basicsize__).value
