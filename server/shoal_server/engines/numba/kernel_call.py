"""Calls of the compiled kernel on pieces of a batch: the rows as they came, or brought into the frame by NumPy."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from shoal_server.engines.chunks import BLOCK_ROWS, Chunk, chunks, min_chunk_rows, piece_rows
from shoal_server.engines.contract import Float64Array, Frame, LabelArray, PointArray, UnusablePoints
from shoal_server.engines.numba.compiling import Reals
from shoal_server.engines.numba.layout import Layout
from shoal_server.engines.numba.pruning_policy import PruningPolicy
from shoal_server.engines.numba.signatures import Entries

# Values of a partial sum that stays in the first cache beside the rows. A larger one costs much to zero, to reach, and
# to add to the others.
SMALL_SUM = 1 << 12

Pieces = Generator[None, None, float]


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

    def chunk(self, chunk: Chunk, results: Results) -> Pieces:
        """Work on the rows of a span piece by piece, and return their inertia.

        Raises
        ------
        UnusablePoints
            Then the results are void.
        """
        if is_native(self.points, self.frame):
            try:
                return (yield from self._pieces(chunk, results, piece_rows(*self._shape, self.layout.group), raw=True))
            except NearlyZeroRowError:
                results.counts[...], results.sums[...] = 0, 0
        return (yield from self._pieces(chunk, results, min(BLOCK_ROWS, piece_rows(*self._shape)), raw=False))

    @property
    def adds_apart(self) -> bool:
        """Say whether rows are better added up to one sum, once they have labels."""
        k, d = self._shape
        plain = is_native(self.points, self.frame) and not self.frame.cosine
        return k * d > SMALL_SUM and plain and len(self.points) >= 2 * min_chunk_rows(k, d)

    def chunks(self, *, with_sums: bool) -> list[Chunk]:
        """Cut the rows; `with_sums`: each piece has a partial sum."""
        rows, shape = len(self.points), self._shape
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

    @property
    def _shape(self) -> tuple[int, int]:
        k, d = self.frame.centroids.shape
        return k, d

    def _pieces(self, chunk: Chunk, results: Results, rows: int, *, raw: bool) -> Pieces:
        # A sum in the order of the rows, whatever the pieces; of the inertia their boundaries decide the last bits.
        inertia = 0.0
        for number, piece in enumerate(chunk.blocks(rows)):
            if number:
                yield
            points = self.points[piece] if raw else self.frame.transform(self.points[piece])
            inertia += self._piece(points, piece, results, raw=raw)
        return inertia

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
