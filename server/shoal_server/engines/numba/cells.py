"""The kernel that divides points into cells of near ones, so that fewer can stand for them.

What it draws is a hash of numbers, and everything rounds as it is written here: it is the same on any thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.cell_points import DRAWS, POINTS, SETS, is_spread, write_members, write_pair
from shoal_server.engines.numba.decorators import Reals, compiled_exactly
from shoal_server.engines.numba.deviations import square_from_middle
from shoal_server.engines.numba.sampling import draw, readable

# Representatives that a set of points is divided among at a time.
MAX_CELLS = 8
# What the stack holds of each set: where it begins and ends in the order, and how many cells it may make.
_BEGIN, _END, _ALLOTTED = range(3)


@compiled_exactly
def split_cells(
    points: Reals,
    weight: Float64Array,
    scatter: Float64Array,
    order: NDArray[np.int64],
    stack: NDArray[np.int64],
    progress: NDArray[np.int64],
    seed: int,
    pairs: bool,
    work: int,
    nearest: Float64Array,
    cells: NDArray[np.int64],
    spare: NDArray[np.int64],
    places: NDArray[np.int32],
    means: Reals,
    mean_weight: Float64Array,
    mean_scatter: Float64Array,
) -> bool:
    """Divide sets of points into cells, each of which becomes one point: its mean.

    With `pairs` it becomes two: a member of its, drawn by weight, and the mirror image, as far from the mean as the
    cell's scatter says. Either way the weight, the mean and the sum of squares stay what they were.

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
        (3,): sets on the stack, points written, numbers drawn; kept up to date.
    seed
        Of what is drawn.
    pairs
        Whether a cell of several points becomes two.
    work
        How many differences of two values to compute, about, before returning.
    nearest, cells, spare
        (n,) each, to work in.
    places
        (n,) get where among the points that are written each one's cell is: its first point.
    means, mean_weight, mean_scatter
        Get the points: (m, d), (m,) and (m,), m the cells that all sets may make, or twice that with pairs.

    Returns
    -------
    done
        Whether nothing is left on the stack.
    """
    d = points.shape[1]
    middles, sizes = np.empty((MAX_CELLS, d)), np.empty(MAX_CELLS, np.int64)
    weights, squares, inner = np.empty(MAX_CELLS), np.empty(MAX_CELLS), np.empty(MAX_CELLS)
    done = 0
    while progress[SETS] > 0 and done < work:
        progress[SETS] -= 1
        place = progress[SETS]
        begin, end, allotted = stack[place, _BEGIN], stack[place, _END], stack[place, _ALLOTTED]
        written = progress[POINTS]
        if allotted * (2 if pairs else 1) >= end - begin:
            progress[POINTS] = write_members(
                points, weight, scatter, order, begin, end, places, written, means, mean_weight, mean_scatter
            )  # fmt: skip
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
                sizes[cell] = written  # from here on: where the cell's first point is
                if pairs and is_spread(middles, cell, weights[cell], squares[cell]):
                    written = write_pair(
                        points, weight, order, begin, end, cells, cell, middles, weights[cell], squares[cell],
                        inner[cell], seed, progress, written, means, mean_weight, mean_scatter,
                    )  # fmt: skip
                    continue
                for column in range(d):
                    means[written, column] = middles[cell, column]
                mean_weight[written], mean_scatter[written] = weights[cell], squares[cell] + inner[cell]
                written += 1
            for index in range(begin, end):
                places[order[index]] = sizes[cells[index]]
            progress[POINTS] = written
            continue
        _share_cells(allotted, count, weights, squares, sizes, stack, place)
        _sort_by_cell(order, begin, end, cells, count, stack, place, spare)
        progress[SETS] += count
    return bool(progress[SETS] == 0)


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
        value, running, chosen = total * draw(seed, progress[DRAWS]), 0.0, order[begin]
        progress[DRAWS] += 1
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
            square = square_from_middle(points, order[index], middles, cell)
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
            square = square_from_middle(points, order[index], middles, cell)
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
        squares[cell] += weight[member] * square_from_middle(points, member, middles, cell)
        inner[cell] += scatter[member]
        sizes[cell] += 1


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
        _BOOL,  # pairs
        _INT,  # work
        _FLOAT[::1],  # nearest
        _INT[::1],  # cells
        _INT[::1],  # spare
        types.int32[::1],  # places
        real[:, ::1],  # means
        _FLOAT[::1],  # mean_weight
        _FLOAT[::1],  # mean_scatter
    )
