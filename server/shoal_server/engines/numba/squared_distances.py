"""Squared distances in vector instructions, see simd.py, for the search of better centroids.

They are added up from differences: so they keep their digits wherever the points lie, and need no second look in
float64 as the scores of vectors.py do. That costs twice the instructions a column.

Points are given as lanes: group by group (d, group), a point a lane, zeros behind the last one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.decorators import generated
from shoal_server.engines.numba.microkernel import GROUP, TILE, Accumulators
from shoal_server.engines.numba.simd import I32, I64, Lanes, widest
from shoal_server.engines.numba.vectors import pointers, tiles_of


class _SquaredDistances(Accumulators):
    """The squared distances of a group of points to a tile of centroids, in registers while they are added up."""

    def add_column(self, lanes_at: Any, tile_at: Any, feature: Any) -> None:
        """Add the squared differences of one column."""
        v, builder = self._v, self._v.builder
        at = builder.mul(feature, I64(GROUP * v.width))
        x = [v.load(lanes_at, builder.add(at, I64(g * v.width))) for g in range(GROUP)]
        row = builder.mul(feature, I64(TILE))
        for c in range(TILE):
            coordinate = v.splat(builder.load(builder.gep(tile_at, [builder.add(row, I64(c))])))
            for g in range(GROUP):
                difference = builder.fsub(x[g], coordinate)
                builder.store(v.fma(difference, difference, self[c, g]), self._sums[c][g])


class _NearestTwo:
    """The two least squared distances so far of a group of points, and whose they are: of equal ones the first."""

    def __init__(self, v: Lanes) -> None:
        self._v = v
        infinite, none = v.full(float("inf")), ir.Constant(v.labels, [0] * v.width)
        self._squares = [[cgutils.alloca_once(v.builder, v.vector) for _ in range(GROUP)] for _ in range(2)]
        self._labels = [[cgutils.alloca_once(v.builder, v.labels) for _ in range(GROUP)] for _ in range(2)]
        for rank in range(2):
            for g in range(GROUP):
                v.builder.store(infinite, self._squares[rank][g])
                v.builder.store(none, self._labels[rank][g])

    def update(self, first: Any, squares: Accumulators) -> None:
        """Take the squared distances to a tile of centroids that begins with the label `first`."""
        v, builder = self._v, self._v.builder
        for c in range(TILE):
            label = v.splat(builder.trunc(builder.add(first, I64(c)), I32))
            for g in range(GROUP):
                square, nearest, second = squares[c, g], *(builder.load(each[g]) for each in self._squares)
                own, other = (builder.load(each[g]) for each in self._labels)
                below = builder.fcmp_ordered("<", square, nearest)
                between = builder.fcmp_ordered("<", square, second)
                builder.store(v.lower(square, nearest), self._squares[0][g])
                builder.store(builder.select(below, label, own), self._labels[0][g])
                lower = builder.select(between, square, second)
                builder.store(builder.select(below, nearest, lower), self._squares[1][g])
                lower = builder.select(between, label, other)
                builder.store(builder.select(below, own, lower), self._labels[1][g])

    def store(self, squares_at: Any, labels_at: Any, at: Any, length: Any) -> None:
        """Write those of the nearest from `at` on, and of the second so many places behind them."""
        v, builder = self._v, self._v.builder
        for rank in range(2):
            for g in range(GROUP):
                place = builder.add(at, builder.add(builder.mul(I64(rank), length), I64(g * v.width)))
                v.store(builder.load(self._squares[rank][g]), squares_at, place)
                v.store(builder.load(self._labels[rank][g]), labels_at, place)


@generated
def nearest_two(
    _typing: Any,
    lanes: Any,
    group: Any,
    tiles: Any,
    k: Any,
    d: Any,
    squares: Any,
    labels: Any,
) -> Any:
    """Find for a group of points the two nearest centroids.

    Parameters
    ----------
    lanes, group, d
        The points, which group of them, and how many columns they have.
    tiles, k
        The centroids, TILE at a time: (k / TILE, d, TILE), infinity behind the last; and how many they are.
    squares, labels
        Get the squared distances and the labels, (2, points up to whole groups): of the nearest, and of the second. If
        there is one centroid only the second is infinitely far, and has label 0.
    """
    real = lanes.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, widest(real))
        lanes_at, group_, tiles_at, k_, d_, squares_at, labels_at = pointers(context, builder, signature, arguments)
        length = _row_length(context, builder, signature.args[5], arguments[5])
        at = builder.mul(group_, I64(GROUP * v.width))
        points_at = builder.gep(lanes_at, [builder.mul(at, d_)])
        accumulators, ranking = _SquaredDistances(v), _NearestTwo(v)
        with cgutils.for_range(builder, tiles_of(builder, k_)) as tile:
            first = builder.mul(tile.index, I64(TILE))
            accumulators.start([v.scalar(0.0)] * TILE)
            accumulators.add_products(points_at, builder.gep(tiles_at, [builder.mul(first, d_)]), d_)
            ranking.update(first, accumulators)
        ranking.store(squares_at, labels_at, at, length)
        return context.get_dummy_value()

    return types.void(lanes, types.int64, tiles, types.int64, types.int64, squares, labels), generate


@generated
def measure_tile(_typing: Any, lanes: Any, group: Any, tile: Any, d: Any, squares: Any) -> Any:
    """Write the squared distances of a group of points to TILE centroids, (TILE, points up to whole groups).

    Parameters are those of `nearest_two`, with one tile.
    """
    real = lanes.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, widest(real))
        lanes_at, group_, tile_at, d_, squares_at = pointers(context, builder, signature, arguments)
        length = _row_length(context, builder, signature.args[4], arguments[4])
        at = builder.mul(group_, I64(GROUP * v.width))
        accumulators = _SquaredDistances(v)
        accumulators.start([v.scalar(0.0)] * TILE)
        accumulators.add_products(builder.gep(lanes_at, [builder.mul(at, d_)]), tile_at, d_)
        for c in range(TILE):
            row = builder.add(at, builder.mul(I64(c), length))
            for g in range(GROUP):
                v.store(accumulators[c, g], squares_at, builder.add(row, I64(g * v.width)))
        return context.get_dummy_value()

    return types.void(lanes, types.int64, tile, types.int64, squares), generate


@generated
def lanes_below(_typing: Any, squares: Any, row: Any, others: Any, other_row: Any, group: Any) -> Any:
    """Return which points of a group have less in a row of some squared distances than in one of others: a bit each."""
    real = squares.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, widest(real))
        squares_at, row_, others_at, other_row_, group_ = pointers(context, builder, signature, arguments)
        at = builder.mul(group_, I64(GROUP * v.width))
        one = builder.add(at, builder.mul(row_, _row_length(context, builder, signature.args[0], arguments[0])))
        two = builder.add(at, builder.mul(other_row_, _row_length(context, builder, signature.args[2], arguments[2])))
        below = I64(0)
        for g in range(GROUP):
            step = I64(g * v.width)
            left = v.load(squares_at, builder.add(one, step))
            bits = builder.fcmp_ordered("<", left, v.load(others_at, builder.add(two, step)))
            word = builder.zext(builder.bitcast(bits, ir.IntType(v.width)), I64)
            below = builder.or_(below, builder.shl(word, step))
        return below

    return types.int64(squares, types.int64, others, types.int64, types.int64), generate


def _row_length(context: Any, builder: Any, kind: Any, argument: Any) -> Any:
    """Return how many values a row of a matrix has."""
    return cgutils.unpack_tuple(builder, context.make_array(kind)(context, builder, argument).shape)[1]
