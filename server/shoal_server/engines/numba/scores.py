"""Scores in vector instructions, see simd.py: of a row with a few centroids, and bounds of those of a group of points.

Pruned assignment computes the bounds first, and then the scores that they don't rule out; see pruned_assignment.py.
Parameters mean what they mean in vectors.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.decorators import generated
from shoal_server.engines.numba.microkernel import GROUP, TILE, Accumulators, Ranking
from shoal_server.engines.numba.simd import I64, Lanes, widest
from shoal_server.engines.numba.vectors import for_each_vector, masked, pointers, row_length, tiles_of

# Centroids whose scores with a row are computed together, and the partial sums that each score is added up in: an
# addition waits for the one before it in its own partial sum alone.
UNROLLED, PARTIAL_SUMS = 4, 2


@generated
def score(
    _typing: Any, points: Any, row: Any, d: Any, origin: Any, factor: Any, label: Any, centroids: Any, offsets: Any
) -> Any:
    """Return the score x·c + offset of a row with a centroid; parameters as those of `add_up`."""
    real = centroids.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, widest(real))
        address, row_, d_, origin_at, factor_, label_, centroids_at, offsets_at = pointers(
            context, builder, signature, arguments
        )
        (found,) = _scores(v, real, address, row_, d_, origin_at, factor_, [label_], centroids_at, offsets_at)
        return found

    integer = types.int64
    return real(points, integer, integer, origin, real, integer, centroids, offsets), generate


@generated
def score_some(
    _typing: Any,
    points: Any,
    row: Any,
    d: Any,
    origin: Any,
    factor: Any,
    labels: Any,
    centroids: Any,
    offsets: Any,
    scores: Any,
) -> Any:
    """Write the scores of a row with the centroids of so many labels, (UNROLLED,); parameters as those of `score`."""
    real = centroids.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, widest(real))
        address, row_, d_, origin_at, factor_, labels_at, centroids_at, offsets_at, scores_at = pointers(
            context, builder, signature, arguments
        )
        labels_ = [builder.sext(builder.load(builder.gep(labels_at, [I64(one)])), I64) for one in range(UNROLLED)]
        found = _scores(v, real, address, row_, d_, origin_at, factor_, labels_, centroids_at, offsets_at)
        for place, each in enumerate(found):
            builder.store(each, builder.gep(scores_at, [I64(place)]))
        return context.get_dummy_value()

    integer = types.int64
    return types.void(points, integer, integer, origin, real, labels, centroids, offsets, scores), generate


def _scores(
    v: Lanes,
    real: Any,
    address: Any,
    row: Any,
    d: Any,
    origin_at: Any,
    factor: Any,
    labels: Sequence[Any],
    centroids_at: Any,
    offsets_at: Any,
) -> list[Any]:
    """Write what computes the scores of a row with the centroids of some labels."""
    builder = v.builder
    point = builder.gep(builder.inttoptr(address, v.scalar.as_pointer()), [builder.mul(row, d)])
    clusters = [builder.mul(label, row_length(builder, real, d)) for label in labels]
    products = [[cgutils.alloca_once_value(builder, v.full(0.0)) for _ in labels] for _ in range(PARTIAL_SUMS)]
    factors = v.splat(factor)

    def step(column: Any, mask: Any | None, part: int = 0) -> None:
        shifted = builder.fsub(masked(v, v.load(point, column), mask), v.load(origin_at, column))
        x = builder.fmul(shifted, factors)
        for cluster, product in zip(clusters, products[part], strict=True):
            centroid = v.load(centroids_at, builder.add(cluster, column))
            builder.store(v.fma(x, centroid, builder.load(product)), product)

    for_each_vector(v, d, step, PARTIAL_SUMS)
    totals = [v.sum([builder.load(product) for product in each]) for each in zip(*products, strict=True)]
    offsets = [builder.load(builder.gep(offsets_at, [label])) for label in labels]
    return [builder.fadd(v.total(total), offset) for total, offset in zip(totals, offsets, strict=True)]


@generated
def distance(_typing: Any, points: Any, row: Any, d: Any, origin: Any, factor: Any, label: Any, centroids: Any) -> Any:
    """Return the squared distance of a row to a centroid, computed in float64; parameters as those of `add_up`."""
    real = centroids.dtype
    width = widest(real)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, width)
        address, row_, d_, origin_at, factor_, label_, centroids_at = pointers(context, builder, signature, arguments)
        point = builder.gep(builder.inttoptr(address, v.scalar.as_pointer()), [builder.mul(row_, d_)])
        cluster = builder.mul(label_, row_length(builder, real, d_))
        squares = cgutils.alloca_once_value(builder, ir.Constant(v.wide, [0.0] * width))
        factors = v.splat(factor_)

        def step(column: Any, mask: Any | None) -> None:
            value = masked(v, v.load(point, column), mask)
            x = builder.fmul(builder.fsub(value, v.load(origin_at, column)), factors)
            centroid = v.load(centroids_at, builder.add(cluster, column))
            difference = builder.fsub(v.widened(x), v.widened(centroid))
            builder.store(v.fma(difference, difference, builder.load(squares)), squares)

        for_each_vector(v, d_, step)
        return v.total(builder.load(squares))

    integer = types.int64
    return types.float64(points, integer, integer, origin, real, integer, centroids), generate


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
