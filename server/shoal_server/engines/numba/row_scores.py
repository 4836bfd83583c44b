"""A row and a few centroids in vector instructions; see simd.py. Parameters mean what they mean in vectors.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.decorators import generated
from shoal_server.engines.numba.simd import I64, Lanes, widest
from shoal_server.engines.numba.vectors import for_each_vector, masked, pointers, row_length

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
