"""Calls of the compiled kernel on pieces of a batch: the rows as they came, or brought into the frame by NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal_server.engines.chunks import Chunk, chunks, min_chunk_rows
from shoal_server.engines.contract import Float64Array, Frame, LabelArray, PointArray, UnusablePoints
from shoal_server.engines.numba.compiling import Reals
from shoal_server.engines.numba.layout import Layout
from shoal_server.engines.numba.pruning_policy import PruningPolicy
from shoal_server.engines.numba.signatures import Entries

# Values of a partial sum that stays in the first cache beside the rows. A larger one costs much to zero, to reach, and
# to add to the others.
SMALL_SUM = 1 << 12


class NearlyZeroRowError(Exception):
    """A row is too short to be scaled to length 1 in one step."""


@dataclass(frozen=True)
class Results:
    """Where a piece's results go; what is empty is not wanted."""

    labels: LabelArray  # (n,)
    distances: Reals  # (n,)
    counts: Float64Array  # (k,)
    sums: Float64Array  # (k, d up to whole vectors)


@dataclass(frozen=True)
class Cover:
    """The kernel, ready for points and a frame."""

    entries: Entries
    layout: Layout
    frame: Frame
    points: PointArray  # (n, d)
    weight: Float64Array  # (n,); empty: all 1

    def chunk(self, chunk: Chunk, results: Results) -> float:
        """Work on the rows of a span, and return their inertia.

        Raises
        ------
        UnusablePoints
            Then the results are void.
        """
        if not is_native(self.points, self.frame):
            return self._entered(chunk, results)
        try:
            return self._piece(self.points[chunk.rows], chunk.rows, results, raw=True)
        except NearlyZeroRowError:
            results.counts[...], results.sums[...] = 0, 0
            return self._entered(chunk, results)

    @property
    def adds_apart(self) -> bool:
        """Say whether rows are better added up to one sum, once they have labels."""
        k, d = self.frame.centroids.shape
        plain = is_native(self.points, self.frame) and not self.frame.cosine
        return k * d > SMALL_SUM and plain and len(self.points) >= 2 * min_chunk_rows(k, d)

    def chunks(self, *, with_sums: bool) -> list[Chunk]:
        """Cut the rows; `with_sums`: each piece has a partial sum."""
        rows, shape = len(self.points), self.frame.centroids.shape
        if with_sums:
            return chunks(rows, *shape, with_sums=True)
        return chunks(rows, *shape, with_sums=False, group_rows=self.layout.group)

    def add(self, chunk: Chunk, labels: LabelArray, counts: Float64Array, sums: Float64Array) -> float:
        """Add up rows of a span that have labels (n,) and are usable, and return their inertia."""
        layout = self.layout
        points = self.points[chunk.rows]
        return self.entries.add(
            address_of(points),
            len(points),
            layout.d,
            self.weight[chunk.rows],
            layout.centroids,
            layout.origin,
            layout.group,
            labels[chunk.rows],
            counts,
            sums,
        )

    def _entered(self, chunk: Chunk, results: Results) -> float:
        blocks = (
            self._piece(self.frame.transform(self.points[rows]), rows, results, raw=False) for rows in chunk.blocks()
        )
        return sum(blocks)

    def _piece(self, points: Reals, rows: slice, results: Results, *, raw: bool) -> float:
        layout = self.layout
        inertia, largest, nearly_zero, tried = self.entries.cover(
            address_of(points),
            len(points),
            layout.d,
            self.weight[rows],
            layout.tiles,
            layout.offsets,
            layout.centroids,
            layout.origin if raw else np.zeros_like(layout.origin),
            layout.basis,
            layout.short_tiles,
            layout.margins,
            layout.norms,
            raw and self.frame.cosine,
            layout.group,
            layout.width,
            layout.stored,
            results.labels[rows],
            results.distances[rows],
            results.counts,
            results.sums,
        )
        if raw and not largest <= self.frame.most:
            raise UnusablePoints
        if nearly_zero:
            raise NearlyZeroRowError
        self.frame.cache.get(PruningPolicy).note(layout, len(points), tried)
        return float(inertia)


def is_native(points: PointArray, frame: Frame) -> bool:
    """Say whether the kernel can read points (n, d) as they are."""
    return points.dtype == frame.dtype and points.dtype.isnative and points.flags.c_contiguous


def address_of(points: PointArray) -> int:
    """Return the address of the first row, which need not be aligned."""
    address: int = points.__array_interface__["data"][0]
    return address
