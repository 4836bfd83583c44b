"""Deviations of rows from what is in the middle of them, in vector instructions; see simd.py.

They are computed in float64 and added up in the same order on all machines.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.decorators import generated
from shoal_server.engines.numba.simd import I64, Lanes
from shoal_server.engines.numba.vectors import pointers

# Columns that are added up together: the same on all machines, and as many float64 as the widest vectors hold.
WIDTH = 8


@generated
def add_vectors(
    _typing: Any, points: Any, row: Any, origin: Any, reference: Any, label: Any, whole: Any, value: Any, sums: Any
) -> Any:
    """Add value times the deviation of a row from a reference to sums, and return its square.

    Parameters
    ----------
    points, row
        And where in them the row begins.
    origin
        (d,) what is subtracted from it first.
    reference, label
        And where in them, and in the sums, the reference begins.
    whole
        How many columns to look at: a multiple of WIDTH.
    value, sums
        What to multiply with, and what to add to.
    """
    real = points.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = Lanes(builder, real, WIDTH)
        points_at, row_, origin_at, reference_at, label_, whole_, value_, sums_at = pointers(
            context, builder, signature, arguments
        )
        squares = cgutils.alloca_once_value(builder, ir.Constant(v.wide, [0.0] * WIDTH))
        factor = v.splat(value_)
        with cgutils.for_range_slice(builder, I64(0), whole_, I64(WIDTH)) as (column, _):
            at = builder.add(label_, column)
            x = builder.fsub(v.load(points_at, builder.add(row_, column)), v.load(origin_at, column))
            deviation = builder.fsub(v.widened(x), v.widened(v.load(reference_at, at)))
            builder.store(v.fma(deviation, deviation, builder.load(squares)), squares)
            v.store(v.fma(deviation, factor, v.load(sums_at, at, v.wide)), sums_at, at)
        return v.total(builder.load(squares))

    integer, floating = types.int64, types.float64
    return floating(points, integer, origin, reference, integer, integer, floating, sums), generate


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
