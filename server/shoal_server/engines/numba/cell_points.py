"""What is written of the cells that points have been divided into: see cells.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import Reals, compiled_exactly
from shoal_server.engines.numba.deviations import square_from_middle
from shoal_server.engines.numba.sampling import draw

# What `split_cells` goes on from: sets on the stack, points written, numbers drawn.
SETS, POINTS, DRAWS = range(3)
_ROUNDING = 1e-24  # of squares: that of sums of thousands of float64


@compiled_exactly
def write_members(
    points: Reals,
    weight: Float64Array,
    scatter: Float64Array,
    order: NDArray[np.int64],
    begin: int,
    end: int,
    places: NDArray[np.int32],
    written: int,
    means: Reals,
    mean_weight: Float64Array,
    mean_scatter: Float64Array,
) -> int:
    """Write each member of a set as it is."""
    for index in range(begin, end):
        member = order[index]
        for column in range(points.shape[1]):
            means[written, column] = points[member, column]
        mean_weight[written], mean_scatter[written] = weight[member], scatter[member]
        places[member] = written
        written += 1
    return written


@compiled_exactly
def is_spread(middles: Float64Array, cell: int, weight: float, squares: float) -> bool:
    """Return whether a cell's scatter is more than what rounding makes of equal points."""
    norm = 0.0
    for column in range(middles.shape[1]):
        norm += middles[cell, column] * middles[cell, column]
    return squares > _ROUNDING * weight * norm


@compiled_exactly
def write_pair(
    points: Reals,
    weight: Float64Array,
    order: NDArray[np.int64],
    begin: int,
    end: int,
    cells: NDArray[np.int64],
    cell: int,
    middles: Float64Array,
    total: float,
    squares: float,
    inner: float,
    seed: int,
    progress: NDArray[np.int64],
    written: int,
    means: Reals,
    mean_weight: Float64Array,
    mean_scatter: Float64Array,
) -> int:
    """Write a member of a cell and its mirror image, as far from the mean as the cell's points are."""
    value, running, chosen = total * draw(seed, progress[DRAWS]), 0.0, -1
    progress[DRAWS] += 1
    for index in range(begin, end):
        if cells[index] == cell:
            chosen = order[index]
            running += weight[chosen]
            if running > value:
                break
    square = square_from_middle(points, chosen, middles, cell)
    factor = np.sqrt(squares / total / square) if square > 0 else 0.0  # 0: the one that is at the mean
    for sign in (1.0, -1.0):
        for column in range(points.shape[1]):
            middle = middles[cell, column]
            means[written, column] = middle + sign * factor * (np.float64(points[chosen, column]) - middle)
        mean_weight[written] = total / 2
        mean_scatter[written] = (inner if square > 0 else inner + squares) / 2
        written += 1
    return written
