"""The kernel that divides points into cells of near ones, so that fewer can stand for them.

What it draws is a hash of numbers, and everything rounds as it is written here: it is the same on any thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import Reals, compiled, compiled_exactly, generated
from shoal_server.engines.numba.sampling import WIDTH, draw, readable
from shoal_server.engines.numba.simd import I64, Lanes
from shoal_server.engines.numba.vectors import pointers

# Representatives that a set of points is divided among at a time.
MAX_CELLS = 8
# What the stack holds of each set: where it begins and ends in the order, and how many cells it may make.
_BEGIN, _END, _ALLOTTED = range(3)
# What the kernel goes on from: sets on the stack, cells written, numbers drawn.
_SETS, _CELLS, _DRAWS = range(3)


@compiled
def split_cells(
    points: Reals,
    weight: Float64Array,
    scatter: Float64Array,
    order: NDArray[np.int64],
    stack: NDArray[np.int64],
    progress: NDArray[np.int64],
    seed: int,
    work: int,
    nearest: Float64Array,
    cells: NDArray[np.int64],
    spare: NDArray[np.int64],
    means: Reals,
    mean_weight: Float64Array,
    mean_scatter: Float64Array,
) -> bool:
    """Divide sets of points into cells, each of which becomes one point: its mean.

    A set is divided among few representatives drawn by D² (Arthur and Vassilvitskii, "k-means++", 2007), then once more
    among the means of what they got, since in many dimensions a single point is a poor middle; and each part again,
    until a set has as many points as it may make cells, or one.

    Parameters
    ----------
    points, weight, scatter
        (n, d), (n,) above 0, and (n,): the weighted squares inside each point.
    order
        (n,) the points, set by set; it is changed.
    stack
        (n, 3): of each set where it begins and ends in `order`, and how many cells it may make. It is changed.
    progress
        (3,): sets on the stack, cells written, numbers drawn; kept up to date.
    seed
        Of what is drawn.
    work
        How many differences of two values to compute, about, before returning.
    nearest, cells, spare
        (n,) each, to work in.
    means, mean_weight, mean_scatter
        Get the cells: (m, d), (m,) and (m,), m what all sets may make.

    Returns
    -------
    done
        Whether nothing is left on the stack.
    """
    return _split_cells(
        points, weight, scatter, order, stack, progress, seed, work, nearest, cells, spare, means, mean_weight,
        mean_scatter,
    )  # fmt: skip


@compiled_exactly
def _split_cells(
    points: Reals,
    weight: Float64Array,
    scatter: Float64Array,
    order: NDArray[np.int64],
    stack: NDArray[np.int64],
    progress: NDArray[np.int64],
    seed: int,
    work: int,
    nearest: Float64Array,
    cells: NDArray[np.int64],
    spare: NDArray[np.int64],
    means: Reals,
    mean_weight: Float64Array,
    mean_scatter: Float64Array,
) -> bool:
    d = points.shape[1]
    middles, sizes = np.empty((MAX_CELLS, d)), np.empty(MAX_CELLS, np.int64)
    weights, squares, inner = np.empty(MAX_CELLS), np.empty(MAX_CELLS), np.empty(MAX_CELLS)
    done = 0
    while progress[_SETS] > 0 and done < work:
        progress[_SETS] -= 1
        place = progress[_SETS]
        begin, end, allotted = stack[place, _BEGIN], stack[place, _END], stack[place, _ALLOTTED]
        written = progress[_CELLS]
        if allotted >= end - begin:
            for index in range(begin, end):
                member = order[index]
                for column in range(d):
                    means[written, column] = points[member, column]
                mean_weight[written], mean_scatter[written] = weight[member], scatter[member]
                written += 1
            progress[_CELLS] = written
            continue
        count = min(allotted, MAX_CELLS)
        count = _divide_by_distance(points, weight, order, begin, end, seed, progress, count, middles, nearest, cells)
        if count > 1:
            _find_means(points, weight, order, begin, end, cells, count, middles, weights)
            _divide_by_means(points, order, begin, end, cells, count, middles, sizes, spare)
        _find_means(points, weight, order, begin, end, cells, count, middles, weights)
        _find_scatter(points, weight, scatter, order, begin, end, cells, count, middles, squares, inner, sizes)
        done += (2 * count + 3) * (end - begin) * d
        if allotted <= MAX_CELLS or count == 1:
            for cell in range(count):
                for column in range(d):
                    means[written, column] = middles[cell, column]
                mean_weight[written], mean_scatter[written] = weights[cell], squares[cell] + inner[cell]
                written += 1
            progress[_CELLS] = written
            continue
        _share_cells(allotted, count, weights, squares, sizes, stack, place)
        _sort_by_cell(order, begin, end, cells, count, stack, place, spare)
        progress[_SETS] += count
    return progress[_SETS] == 0


@compiled_exactly
def _divide_by_distance(
    points: Reals,
    weight: Float64Array,
    order: NDArray[np.int64],
    begin: int,
    end: int,
    seed: int,
    progress: NDArray[np.int64],
    count: int,
    middles: Float64Array,
    nearest: Float64Array,
    cells: NDArray[np.int64],
) -> int:
    """Give each member of a set the nearest of some representatives, drawn in turn, and return how many there are.

    They are fewer than `count` where all members are at one of them already. Each has a member: itself.
    """
    total = 0.0
    for index in range(begin, end):
        total += weight[order[index]]
        nearest[index] = 1.0
    for cell in range(count):
        value, running, chosen = total * draw(seed, progress[_DRAWS]), 0.0, order[begin]
        progress[_DRAWS] += 1
        for index in range(begin, end):
            share = weight[order[index]] * nearest[index]
            running += share
            if share > 0:
                chosen = order[index]
                if running > value:
                    break
        for column in range(points.shape[1]):
            middles[cell, column] = points[chosen, column]
        total = 0.0
        for index in range(begin, end):
            square = _square(points, order[index], middles, cell)
            if cell == 0 or square < nearest[index]:
                nearest[index] = square
                cells[index] = cell
            total += weight[order[index]] * nearest[index]
        if not total > 0:
            return cell + 1
    return count


@compiled_exactly
def _find_means(
    points: Reals,
    weight: Float64Array,
    order: NDArray[np.int64],
    begin: int,
    end: int,
    cells: NDArray[np.int64],
    count: int,
    middles: Float64Array,
    weights: Float64Array,
) -> None:
    """Write the weight of each cell, and its mean."""
    d = points.shape[1]
    for cell in range(count):
        weights[cell] = 0.0
        for column in range(d):
            middles[cell, column] = 0.0
    for index in range(begin, end):
        member, cell = order[index], cells[index]
        weights[cell] += weight[member]
        for column in range(d):
            middles[cell, column] += weight[member] * np.float64(points[member, column])
    for cell in range(count):
        for column in range(d):
            middles[cell, column] /= weights[cell]


@compiled_exactly
def _divide_by_means(
    points: Reals,
    order: NDArray[np.int64],
    begin: int,
    end: int,
    cells: NDArray[np.int64],
    count: int,
    middles: Float64Array,
    sizes: NDArray[np.int64],
    spare: NDArray[np.int64],
) -> None:
    """Give each member the nearest of the means, unless one of them would have none."""
    for cell in range(count):
        sizes[cell] = 0
    for index in range(begin, end):
        least, chosen = np.inf, 0
        for cell in range(count):
            square = _square(points, order[index], middles, cell)
            if square < least:
                least, chosen = square, cell
        spare[index] = chosen
        sizes[chosen] += 1
    for cell in range(count):
        if sizes[cell] == 0:
            return
    for index in range(begin, end):
        cells[index] = spare[index]


@compiled_exactly
def _find_scatter(
    points: Reals,
    weight: Float64Array,
    scatter: Float64Array,
    order: NDArray[np.int64],
    begin: int,
    end: int,
    cells: NDArray[np.int64],
    count: int,
    middles: Float64Array,
    squares: Float64Array,
    inner: Float64Array,
    sizes: NDArray[np.int64],
) -> None:
    """Write of each cell the weighted squares around its mean, those inside its members, and their number."""
    for cell in range(count):
        squares[cell], inner[cell], sizes[cell] = 0.0, 0.0, 0
    for index in range(begin, end):
        member, cell = order[index], cells[index]
        squares[cell] += weight[member] * _square(points, member, middles, cell)
        inner[cell] += scatter[member]
        sizes[cell] += 1


@compiled_exactly
def _square(points: Reals, row: int, middles: Float64Array, cell: int) -> float:
    """Return the squared distance of a point to a middle."""
    d = points.shape[1]
    whole = d - d % WIDTH
    square = square_of_vectors(points, row * d, middles, cell * d, whole) if whole > 0 else 0.0
    for column in range(whole, d):
        deviation = np.float64(points[row, column]) - middles[cell, column]
        square += deviation * deviation
    return square


@compiled_exactly
def _share_cells(
    allotted: int,
    count: int,
    weights: Float64Array,
    squares: Float64Array,
    sizes: NDArray[np.int64],
    stack: NDArray[np.int64],
    place: int,
) -> None:
    """Write what each part may make: one cell, and of the rest a share, half by weight and half by squares."""
    total, spread = 0.0, 0.0
    for cell in range(count):
        total += weights[cell]
        spread += squares[cell]
    left, widest = allotted - count, 0
    for cell in range(count):
        share = weights[cell] / total
        if spread > 0:
            share = 0.5 * share + 0.5 * squares[cell] / spread
        more = min(int((allotted - count) * share), left, sizes[cell] - 1)
        stack[place + cell, _ALLOTTED] = 1 + more
        left -= more
        if squares[cell] > squares[widest]:
            widest = cell
    stack[place + widest, _ALLOTTED] += left


@compiled_exactly
def _sort_by_cell(
    order: NDArray[np.int64],
    begin: int,
    end: int,
    cells: NDArray[np.int64],
    count: int,
    stack: NDArray[np.int64],
    place: int,
    spare: NDArray[np.int64],
) -> None:
    """Sort the members of a set by their cells, and put these on the stack."""
    at = begin
    for cell in range(count):
        stack[place + cell, _BEGIN] = at
        for index in range(begin, end):
            if cells[index] == cell:
                spare[at] = order[index]
                at += 1
        stack[place + cell, _END] = at
    for index in range(begin, end):
        order[index] = spare[index]


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


_BOOL, _INT, _FLOAT = types.boolean, types.int64, types.float64


def split_cells_signature(real: Any) -> Any:
    """Return the types of `split_cells` in a precision."""
    return _BOOL(
        readable(real, 2),  # points
        readable(_FLOAT, 1),  # weight
        readable(_FLOAT, 1),  # scatter
        _INT[::1],  # order
        _INT[:, ::1],  # stack
        _INT[::1],  # progress
        _INT,  # seed
        _INT,  # work
        _FLOAT[::1],  # nearest
        _INT[::1],  # cells
        _INT[::1],  # spare
        real[:, ::1],  # means
        _FLOAT[::1],  # mean_weight
        _FLOAT[::1],  # mean_scatter
    )
