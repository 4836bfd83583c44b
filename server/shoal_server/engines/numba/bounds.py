"""The steps of pruned assignment that are written in vector instructions; see simd.py and pruned_assignment.py."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.decorators import generated
from shoal_server.engines.numba.microkernel import GROUP, TILE, Accumulators, Ranking
from shoal_server.engines.numba.simd import I64, Lanes, widest
from shoal_server.engines.numba.vectors import pointers, tiles_of


@generated
def project(_typing: Any, lanes: Any, tiles: Any, count: Any, d: Any, projected: Any) -> Any:
    """Multiply a group of points with vectors.

    Parameters
    ----------
    lanes, d
        What `pack` made of the points.
    tiles, count
        The vectors, TILE at a time, and how many there are: a multiple of TILE.
    projected
        Gets the products (count, group).
    """
    real = lanes.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, widest(real))
        lanes_at, tiles_at, count_, d_, projected_at = pointers(context, builder, signature, arguments)
        accumulators = Accumulators(v)
        with cgutils.for_range(builder, builder.udiv(count_, I64(TILE))) as tile:
            first = builder.mul(tile.index, I64(TILE))
            accumulators.start([v.scalar(0.0)] * TILE)
            accumulators.add_products(lanes_at, builder.gep(tiles_at, [builder.mul(first, d_)]), d_)
            accumulators.store(projected_at, first)
        return context.get_dummy_value()

    return types.void(lanes, tiles, types.int64, types.int64, projected), generate


@generated
def bound(_typing: Any, lanes: Any, tiles: Any, offsets: Any, k: Any, d: Any, scores: Any, labels: Any) -> Any:
    """Write upper bounds of a group's scores, and of each point the label of the highest of their likely values.

    A bound is x·c + offset with the last column taken twice. Once is what is likely: what the axes leave of two vectors
    seldom points the same way.

    Parameters
    ----------
    lanes, d
        The points (d, group); in the last row half the length of what the others leave.
    tiles, offsets, k
        The centroids, TILE at a time, what is added, (k up to a multiple of TILE,), and how many they are.
    scores, labels
        Get the bounds (k up to a multiple of TILE, group) and the labels (group,).
    """
    real = lanes.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, widest(real))
        lanes_at, tiles_at, offsets_at, k_, d_, scores_at, labels_at = pointers(context, builder, signature, arguments)
        count = tiles_of(builder, k_)
        last = builder.sub(d_, I64(1))
        accumulators = Accumulators(v)
        ranking = Ranking(v)
        with cgutils.for_range(builder, count) as tile:
            first = builder.mul(tile.index, I64(TILE))
            accumulators.score(lanes_at, tiles_at, offsets_at, first, d_)
            ranking.update_highest(first, accumulators)
            accumulators.add_column(lanes_at, builder.gep(tiles_at, [builder.mul(first, d_)]), last)
            accumulators.store(scores_at, first)
        for g in range(GROUP):
            v.store(ranking.label(g), labels_at, I64(g * v.width))
        return context.get_dummy_value()

    return types.void(lanes, tiles, offsets, types.int64, types.int64, scores, labels), generate


@generated
def reaching(_typing: Any, scores: Any, row: Any, thresholds: Any) -> Any:
    """Return of one centroid's scores (a row of `bound`'s) which reach the thresholds (group,): a bit a point."""
    real = scores.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, widest(real))
        scores_at, row_, thresholds_at = pointers(context, builder, signature, arguments)
        at = builder.mul(row_, I64(GROUP * v.width))
        reached = I64(0)
        for g in range(GROUP):
            score = v.load(scores_at, builder.add(at, I64(g * v.width)))
            bits = builder.fcmp_ordered(">=", score, v.load(thresholds_at, I64(g * v.width)))
            word = builder.zext(builder.bitcast(bits, ir.IntType(v.width)), I64)
            reached = builder.or_(reached, builder.shl(word, I64(g * v.width)))
        return reached

    return types.int64(scores, types.int64, thresholds), generate


@generated
def lowest_bit(_typing: Any, word: Any) -> Any:
    """Return the number of the lowest bit that is set in a word other than 0."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate
