"""The steps of the kernel that are written in vector instructions; see simd.py.

A group of points is GROUP vectors, a point a lane, and meets TILE centroids at a time; see microkernel.py. Points are
given by the address of their first row: they are wherever the message has them, aligned or not. An "origin" is
subtracted from each row, and the difference multiplied by a factor of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.decorators import generated, generated_for_literals
from shoal_server.engines.numba.microkernel import GROUP, TILE, Accumulators, Ranking
from shoal_server.engines.numba.simd import DOUBLE, I64, Lanes, widest

_FEW_COLUMNS = 4  # rows of so many are taken apart in d·(d - 1) shuffles


@generated
def pack(_typing: Any, points: Any, d: Any, origin: Any, factors: Any, lanes: Any, squares: Any, largest: Any) -> Any:
    """Write a group of points transposed.

    Reads as many values behind the last row as make its length a multiple of a vector's.

    Parameters
    ----------
    points, d
        Address of the first row, and the number of columns.
    origin, factors
        Of the columns (d rounded up to whole vectors), and of the rows (group,).
    lanes
        Gets the points (d rounded up, group).
    squares
        Gets their squared lengths (group,).
    largest
        The bits of the largest absolute values of `points` so far, a vector; it is kept up to date.
    """
    real = lanes.dtype
    width = widest(real)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, width)
        address, d_, origin_at, factors_at, lanes_at, squares_at, largest_at = pointers(
            context, builder, signature, arguments
        )
        points_at = builder.inttoptr(address, v.scalar.as_pointer())
        most = cgutils.alloca_once_value(builder, v.load(largest_at, I64(0), v.words))
        with cgutils.for_range(builder, I64(GROUP)) as part:
            first = builder.mul(part.index, I64(width))
            rows_at = builder.gep(points_at, [builder.mul(first, d_)])
            factor = v.load(factors_at, first)
            total = cgutils.alloca_once(builder, v.vector)
            builder.store(v.full(0.0), total)

            def see(values: list[Any]) -> None:
                builder.store(v.larger(_largest(v, values), builder.load(most)), most)

            def put(column: Any, shifted: Any) -> None:
                scaled = builder.fmul(shifted, factor)
                v.store(scaled, lanes_at, builder.add(builder.mul(column, I64(GROUP * width)), first))
                builder.store(v.fma(scaled, scaled, builder.load(total)), total)

            def in_a_row(columns: int) -> None:
                """Pack rows of few columns: they are so many whole vectors, one after another."""
                values = [v.load(rows_at, I64(index * width)) for index in range(columns)]
                see(values)
                for feature, value in enumerate(v.dealt(values)):
                    shift = v.splat(builder.load(builder.gep(origin_at, [I64(feature)])))
                    put(I64(feature), builder.fsub(value, shift))

            def step(column: Any, mask: Any | None, parts: int = 1) -> None:
                """Pack some columns: a vector's, or a part of one so that each vector holds several rows."""
                rows = width // parts
                shift = v.repeated(v.load(origin_at, column), parts)
                places = [builder.add(builder.mul(I64(row), d_), column) for row in range(width)]
                joined = [[v.load(rows_at, place, v.part(parts)) for place in places[row::rows]] for row in range(rows)]
                values = [masked(v, v.joined(each), mask) for each in joined]
                see(values)
                for feature, value in enumerate(v.transposed([builder.fsub(value, shift) for value in values])):
                    put(builder.add(column, I64(feature)), value)

            def halves() -> None:
                step(I64(0), v.repeated(v.below(d_), 2), parts=2)

            narrow: dict[int, Callable[[], None]] = dict.fromkeys(range(_FEW_COLUMNS + 1, width // 2 + 1), halves)
            narrow |= {columns: partial(in_a_row, columns) for columns in range(1, _FEW_COLUMNS + 1)}
            _choose(builder, d_, narrow, lambda: for_each_vector(v, d_, step))
            v.store(builder.load(total), squares_at, first)
        v.store(builder.load(most), largest_at, I64(0))
        return context.get_dummy_value()

    return types.void(points, types.int64, origin, factors, lanes, squares, largest), generate


@generated
def nearest(
    _typing: Any,
    lanes: Any,
    squares: Any,
    tiles: Any,
    offsets: Any,
    k: Any,
    d: Any,
    slack: Any,
    least: Any,
    storing: Any,
    scores: Any,
    thresholds: Any,
    labels: Any,
) -> Any:
    """Find for a group of points the centroid of the highest score x·c − ‖c‖²/2, which is the nearest.

    Parameters
    ----------
    lanes, squares, d
        What `pack` made of the points.
    tiles, offsets, k
        The centroids, TILE at a time: (k / TILE, d, TILE), −‖c‖²/2, (k,), and how many they are.
    slack, least
        Scores are told apart if they differ by more than slack * ‖x‖² + least.
    storing, scores
        Whether to write all scores, and where to, (k, group).
    thresholds
        Gets infinity where the label is beyond doubt, otherwise the score that may be as high as the highest (group,).
    labels
        Gets the labels (group,).

    Returns
    -------
    doubt
        Whether a label isn't beyond doubt.
    """
    real = lanes.dtype
    width = widest(real)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, width)
        (
            lanes_at,
            squares_at,
            tiles_at,
            offsets_at,
            k_,
            d_,
            slack_,
            least_,
            storing_,
            scores_at,
            thresholds_at,
            labels_at,
        ) = pointers(context, builder, signature, arguments)
        count = tiles_of(builder, k_)
        accumulators = Accumulators(v)
        ranking = Ranking(v)
        with cgutils.for_range(builder, count) as tile:
            first = builder.mul(tile.index, I64(TILE))
            accumulators.score(lanes_at, tiles_at, offsets_at, first, d_)
            with builder.if_then(storing_):
                accumulators.store(scores_at, first)
            ranking.update(first, accumulators)
        doubts = []
        for g in range(GROUP):
            margin = v.fma(v.splat(slack_), v.load(squares_at, I64(g * width)), v.splat(least_))
            threshold = ranking.threshold(g, margin)
            doubts.append(builder.fcmp_ordered("<", threshold, v.full(float("inf"))))
            v.store(threshold, thresholds_at, I64(g * width))
            v.store(ranking.label(g), labels_at, I64(g * width))
        return v.any(doubts)

    return (
        types.boolean(
            lanes,
            squares,
            tiles,
            offsets,
            types.int64,
            types.int64,
            real,
            real,
            types.boolean,
            scores,
            thresholds,
            labels,
        ),
        generate,
    )


@generated_for_literals
def add_up(
    _typing: Any,
    width: Any,
    points: Any,
    count: Any,
    d: Any,
    origin: Any,
    factors: Any,
    weighted: Any,
    weights: Any,
    labels: Any,
    centroids: Any,
    counts: Any,
    sums: Any,
    distances: Any,
) -> Any:
    """Add rows, each times its weight, to the sums of their clusters, and return the rows' inertia.

    Parameters
    ----------
    width
        Lanes of the vectors to use, a literal: no more than a short row fills; 0: the widest.
    points, count, d
        Address of the first row; the number of rows, and of columns.
    origin, factors
        Of the columns (d rounded up to whole vectors), and of the rows (group,).
    weighted, weights
        Whether rows have weights, and the address of the first row's; otherwise all weigh 1.
    labels
        Of the rows (group,).
    centroids
        (k, d rounded up).
    counts, sums
        (k,) and (k, d rounded up), float64.
    distances
        Address that the rows' squared distances to their centroids go to; 0: they aren't wanted.
    """
    real = centroids.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, min(width.literal_value or widest(real), widest(real)))
        (
            _,
            address,
            count_,
            d_,
            origin_at,
            factors_at,
            weighted_,
            weights_,
            labels_at,
            centroids_at,
            counts_at,
            sums_at,
            distances_,
        ) = pointers(context, builder, signature, arguments)
        points_at = builder.inttoptr(address, v.scalar.as_pointer())
        distances_at = builder.inttoptr(distances_, v.scalar.as_pointer())
        measuring = builder.icmp_unsigned("!=", distances_, I64(0))
        weights_at = builder.inttoptr(weights_, DOUBLE.as_pointer())
        length = row_length(builder, real, d_)
        weight = cgutils.alloca_once_value(builder, DOUBLE(1.0))
        inertia = cgutils.alloca_once_value(builder, ir.Constant(v.wide, [0.0] * v.width))
        squares = cgutils.alloca_once(builder, v.vector)
        with cgutils.for_range(builder, count_) as loop:
            row = loop.index
            label = builder.sext(builder.load(builder.gep(labels_at, [row])), I64)
            with builder.if_then(weighted_):
                builder.store(builder.load(builder.gep(weights_at, [row])), weight)
            own = v.splat(builder.load(weight))
            factor = v.splat(builder.load(builder.gep(factors_at, [row])))
            count_at = builder.gep(counts_at, [label])
            builder.store(builder.fadd(builder.load(count_at), builder.load(weight)), count_at)
            point = builder.gep(points_at, [builder.mul(row, d_)])
            cluster = builder.mul(label, length)
            builder.store(v.full(0.0), squares)

            def step(column: Any, mask: Any | None) -> None:
                value = masked(v, v.load(point, column), mask)
                x = builder.fmul(builder.fsub(value, v.load(origin_at, column)), factor)
                at = builder.add(cluster, column)
                difference = builder.fsub(x, v.load(centroids_at, at))
                builder.store(v.fma(difference, difference, builder.load(squares)), squares)
                v.store(v.fma(v.widened(x), own, v.load(sums_at, at, v.wide)), sums_at, at)

            for_each_vector(v, d_, step)
            with builder.if_then(measuring):
                builder.store(v.total(builder.load(squares)), builder.gep(distances_at, [row]))
            builder.store(v.fma(v.widened(builder.load(squares)), own, builder.load(inertia)), inertia)
        return v.total(builder.load(inertia))

    integer = types.int64
    rows = integer, integer, integer, origin, factors, types.boolean, integer, labels
    return types.float64(width, *rows, centroids, counts, sums, integer), generate


def masked(v: Lanes, values: Any, mask: Any | None) -> Any:
    """Return values of a row, and zero for what lies behind its end."""
    return values if mask is None else v.builder.select(mask, values, v.full(0.0))


def _largest(v: Lanes, values: list[Any]) -> Any:
    most = v.magnitude(values[0])
    for value in values[1:]:
        most = v.larger(v.magnitude(value), most)
    return most


def _choose(builder: Any, d: Any, narrow: Mapping[int, Callable[[], None]], otherwise: Callable[[], None]) -> None:
    """Write a switch over d: what is to be done for some numbers of columns, and for all others."""
    done, default = builder.append_basic_block("done"), builder.append_basic_block("wide")
    switch = builder.switch(d, default)
    blocks: dict[Callable[[], None], Any] = {}
    for columns, write in narrow.items():
        if write not in blocks:
            blocks[write] = builder.append_basic_block("narrow")
        switch.add_case(I64(columns), blocks[write])
    blocks[otherwise] = default
    for write, block in blocks.items():
        builder.position_at_end(block)
        write()
        builder.branch(done)
    builder.position_at_end(done)


def for_each_vector(v: Lanes, d: Any, step: Any, parts: int = 1) -> None:
    """Write step(column, None) for the whole vectors of a row, and step(column, mask) for the rest.

    With several parts, step(column, None, part) for as many vectors at a time; what is left goes to the first.
    """
    builder = v.builder
    whole, first = builder.udiv(d, I64(v.width)), I64(0)
    if parts > 1:
        rounds = builder.udiv(whole, I64(parts))
        with cgutils.for_range(builder, rounds) as loop:
            column = builder.mul(loop.index, I64(parts * v.width))
            for part in range(parts):
                step(builder.add(column, I64(part * v.width)), None, part)
        first = builder.mul(rounds, I64(parts))
    with cgutils.for_range_slice(builder, first, whole, I64(1)) as (vector, _):
        step(builder.mul(vector, I64(v.width)), None)
    rest = builder.urem(d, I64(v.width))
    with builder.if_then(builder.icmp_signed(">", rest, I64(0))):
        step(builder.mul(whole, I64(v.width)), v.below(rest))


def pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """Return the arguments, arrays as pointers to their elements."""
    return [
        context.make_array(kind)(context, builder, argument).data if isinstance(kind, types.Array) else argument
        for kind, argument in zip(signature.args, arguments, strict=True)
    ]


def tiles_of(builder: Any, k: Any) -> Any:
    """Return how many tiles k centroids make."""
    return builder.udiv(builder.add(k, I64(TILE - 1)), I64(TILE))


def row_length(builder: Any, real: Any, d: Any) -> Any:
    """Return the length of the rows of a layout's centroids: d up to whole vectors, the widest there are."""
    width = I64(widest(real))
    return builder.mul(builder.udiv(builder.add(d, I64(widest(real) - 1)), width), width)
