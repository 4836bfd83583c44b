"""Deviations of rows from what is in the middle of them, in vector instructions; see simd.py.

They are computed in float64 and added up in the same order on all machines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import Reals, generated, generated_for_literals, inlined
from shoal_server.engines.numba.simd import I64, Lanes
from shoal_server.engines.numba.vectors import for_each_vector, masked, pointers

# Columns that are added up together, the same on all machines: as many float64 as the widest vectors hold, and half of
# them where rows have no more.
WIDTH, FEW = 8, 4


@generated_for_literals
def add_deviation(
    _typing: Any,
    lanes: Any,
    points: Any,
    row: Any,
    d: Any,
    origin: Any,
    reference: Any,
    label: Any,
    value: Any,
    sums: Any,
) -> Any:
    """Add value times the deviation of a row from a reference to sums, and return its square.

    Parameters
    ----------
    lanes
        Columns that are added up together, a literal.
    points, row, d
        Where in them the row begins, and how many columns it has. As many values are read as make whole vectors.
    origin
        (d rounded up to whole vectors,) what is subtracted from it first.
    reference, label
        And where in them, and in the sums, the reference begins: rows are as long as the origin, and end with zeros.
    value, sums
        What to multiply with, and what to add to.
    """
    real = points.dtype
    width = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, width)
        _, points_at, row_, d_, origin_at, reference_at, label_, value_, sums_at = pointers(
            context, builder, signature, arguments
        )
        squares = cgutils.alloca_once_value(builder, ir.Constant(v.wide, [0.0] * width))
        builder.store(ir.Constant(v.wide, [0.0] * width), squares)
        factor = v.splat(value_)

        def step(column: Any, mask: Any | None) -> None:
            at = builder.add(label_, column)
            x = masked(v, builder.fsub(v.load(points_at, builder.add(row_, column)), v.load(origin_at, column)), mask)
            deviation = builder.fsub(v.widened(x), v.widened(v.load(reference_at, at)))
            builder.store(v.fma(deviation, deviation, builder.load(squares)), squares)
            v.store(v.fma(deviation, factor, v.load(sums_at, at, v.wide)), sums_at, at)

        if width == FEW:
            step(I64(0), v.below(d_))  # a row is no more than a vector
        else:
            for_each_vector(v, d_, step)
        return v.total(builder.load(squares))

    integer, floating = types.int64, types.float64
    return floating(lanes, points, integer, integer, origin, reference, integer, floating, sums), generate


@generated
def square_of_vectors(_typing: Any, points: Any, row: Any, middles: Any, cell: Any, whole: Any) -> Any:
    """Return the squared distance of a row to a middle in the first columns, `whole`, a multiple of WIDTH.

    `row` and `cell` are where in the points and the middles these begin.
    """
    real = points.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, WIDTH)
        points_at, row_, middles_at, cell_, whole_ = pointers(context, builder, signature, arguments)
        squares = cgutils.alloca_once_value(builder, ir.Constant(v.wide, [0.0] * WIDTH))
        with cgutils.for_range_slice(builder, I64(0), whole_, I64(WIDTH)) as (column, _):
            x = v.widened(v.load(points_at, builder.add(row_, column)))
            deviation = builder.fsub(x, v.load(middles_at, builder.add(cell_, column), v.wide))
            builder.store(v.fma(deviation, deviation, builder.load(squares)), squares)
        return v.total(builder.load(squares))

    integer = types.int64
    return types.float64(points, integer, middles, integer, integer), generate


@inlined
def square_from_middle(points: Reals, row: int, middles: Float64Array, cell: int) -> float:
    """Return the squared distance of a point to a middle."""
    d = points.shape[1]
    whole = d - d % WIDTH
    square = square_of_vectors(points, row * d, middles, cell * d, whole) if whole > 0 else 0.0
    for column in range(whole, d):
        deviation = np.float64(points[row, column]) - middles[cell, column]
        square += deviation * deviation
    return square
