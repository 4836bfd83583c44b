"""Scores while they are in registers: a group of points with a tile of centroids.

A group of points is GROUP vectors, a point a lane: with TILE centroids at a time all their partial products stay in
registers, as in the micro-kernels of BLAS (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication",
2008), and unlike there the arg-min is found before they leave them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from shoal_server.engines.numba.simd import I32, I64, VECTOR_REGISTERS, Lanes, widest

TILE = 4  # centroids
# Vectors of points: as many as leave room in the registers for themselves and a centroid's value beside all scores. On
# a machine of 16 registers a fourth would make the scores come and go through memory, and take twice the time.
GROUP = 4 if VECTOR_REGISTERS >= 4 * TILE + 4 + 1 else 3
CHUNK = 128  # columns that are added up without a break: rounding errors grow with their number


def group_rows(real: Any) -> int:
    """Return how many points of numba.types.float32 or float64 are worked on at a time."""
    return GROUP * widest(real)


class Accumulators:
    """The scores of a group of points with a tile of centroids, in registers while they are added up."""

    def __init__(self, v: Lanes) -> None:
        self._v = v
        self._sums = [[cgutils.alloca_once(v.builder, v.vector) for _ in range(GROUP)] for _ in range(TILE)]
        totals = cgutils.alloca_once(v.builder, ir.ArrayType(v.vector, TILE * GROUP))
        self._totals = v.builder.bitcast(totals, v.scalar.as_pointer())

    def __getitem__(self, place: tuple[int, int]) -> Any:
        c, g = place
        return self._v.builder.load(self._sums[c][g])

    def start(self, offsets: list[Any]) -> None:
        """Begin with an offset a centroid."""
        for c, offset in enumerate(offsets):
            for g in range(GROUP):
                self._v.builder.store(self._v.splat(offset), self._sums[c][g])

    def score(self, lanes_at: Any, tiles_at: Any, offsets_at: Any, first: Any, d: Any) -> None:
        """Compute the scores x·c + offset with the tile of centroids that begins at number `first`."""
        builder = self._v.builder
        numbers = [builder.add(first, I64(c)) for c in range(TILE)]
        self.start([builder.load(builder.gep(offsets_at, [number])) for number in numbers])
        self.add_products(lanes_at, builder.gep(tiles_at, [builder.mul(first, d)]), d)

    def add_products(self, lanes_at: Any, tile_at: Any, d: Any) -> None:
        """Add all columns, CHUNK at a time."""
        builder = self._v.builder
        chunks = builder.udiv(builder.add(d, I64(CHUNK - 1)), I64(CHUNK))
        with cgutils.for_range(builder, chunks) as chunk:
            begin = builder.mul(chunk.index, I64(CHUNK))
            with builder.if_then(builder.icmp_signed(">", chunk.index, I64(0)), likely=False):
                self._put_aside(first_time=builder.icmp_signed("==", chunk.index, I64(1)))
            behind = builder.add(begin, I64(CHUNK))
            stop = builder.select(builder.icmp_signed("<", behind, d), behind, d)
            with cgutils.for_range_slice(builder, begin, stop, I64(1)) as (feature, _):
                self.add_column(lanes_at, tile_at, feature)
        with builder.if_then(builder.icmp_signed(">", chunks, I64(1)), likely=False):
            self._put_aside(first_time=None)

    def add_column(self, lanes_at: Any, tile_at: Any, feature: Any) -> None:
        """Add the products of one column."""
        v, builder = self._v, self._v.builder
        at = builder.mul(feature, I64(GROUP * v.width))
        x = [v.load(lanes_at, builder.add(at, I64(g * v.width))) for g in range(GROUP)]
        row = builder.mul(feature, I64(TILE))
        for c in range(TILE):
            coordinate = v.splat(builder.load(builder.gep(tile_at, [builder.add(row, I64(c))])))
            for g in range(GROUP):
                builder.store(v.fma(x[g], coordinate, self[c, g]), self._sums[c][g])

    def store(self, pointer: Any, first: Any) -> None:
        """Write the scores to rows of a group each, beginning with row `first`."""
        v, builder = self._v, self._v.builder
        for c in range(TILE):
            row = builder.mul(builder.add(first, I64(c)), I64(GROUP * v.width))
            for g in range(GROUP):
                v.store(self[c, g], pointer, builder.add(row, I64(g * v.width)))

    def _put_aside(self, first_time: Any | None) -> None:
        """Add a chunk's sums to the totals and begin anew from zero; `first_time` None: the totals are the sums."""
        v, builder = self._v, self._v.builder
        for c in range(TILE):
            for g in range(GROUP):
                at = I64((c * GROUP + g) * v.width)
                total = v.load(self._totals, at)
                if first_time is None:
                    builder.store(builder.fadd(total, self[c, g]), self._sums[c][g])
                else:
                    before = builder.select(first_time, v.full(0.0), total)
                    v.store(builder.fadd(before, self[c, g]), self._totals, at)
                    builder.store(v.full(0.0), self._sums[c][g])


class Ranking:
    """The two highest scores so far of a group of points, and the label of the highest: of equal ones the first."""

    def __init__(self, v: Lanes) -> None:
        self._v = v
        lowest, none = v.full(float("-inf")), ir.Constant(v.labels, [0] * v.width)
        self._best = [cgutils.alloca_once_value(v.builder, lowest) for _ in range(GROUP)]
        self._second = [cgutils.alloca_once_value(v.builder, lowest) for _ in range(GROUP)]
        self._found = [cgutils.alloca_once_value(v.builder, none) for _ in range(GROUP)]

    def update(self, first: Any, scores: Accumulators) -> None:
        """Take the scores of a tile of centroids that begins with the label `first`."""
        v, builder = self._v, self._v.builder
        for c in range(TILE):
            label = v.splat(builder.trunc(builder.add(first, I64(c)), I32))
            for g in range(GROUP):
                score, best = scores[c, g], builder.load(self._best[g])
                above = builder.fcmp_ordered(">", score, best)
                second = v.higher(v.lower(score, best), builder.load(self._second[g]))
                builder.store(second, self._second[g])
                builder.store(builder.select(above, score, best), self._best[g])
                builder.store(builder.select(above, label, builder.load(self._found[g])), self._found[g])

    def update_highest(self, first: Any, scores: Accumulators) -> None:
        """Take scores as `update` does, where the second highest doesn't matter."""
        v, builder = self._v, self._v.builder
        for c in range(TILE):
            label = v.splat(builder.trunc(builder.add(first, I64(c)), I32))
            for g in range(GROUP):
                score, best = scores[c, g], builder.load(self._best[g])
                above = builder.fcmp_ordered(">", score, best)
                builder.store(builder.select(above, score, best), self._best[g])
                builder.store(builder.select(above, label, builder.load(self._found[g])), self._found[g])

    def label(self, g: int) -> Any:
        """Return the labels of a vector."""
        return self._v.builder.load(self._found[g])

    def threshold(self, g: int, margin: Any) -> Any:
        """Return infinity where the two highest scores differ by more than a margin, else the lower end of doubt."""
        v, builder = self._v, self._v.builder
        best = builder.load(self._best[g])
        clear = builder.fcmp_ordered(">", builder.fsub(best, builder.load(self._second[g])), margin)
        return builder.select(clear, v.full(float("inf")), builder.fsub(best, margin))
