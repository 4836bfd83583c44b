"""Kernels for rows with labels: how those of a label deviate from what is in their middle.

They add row by row in float64, and round as it is written here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import Reals, compiled_exactly
from shoal_server.engines.numba.deviations import square_from_middle
from shoal_server.engines.numba.sampling import readable

Labels = NDArray[np.int32]


@compiled_exactly
def add_deviations(
    points: Reals, weight: Float64Array, labels: Labels, first: int, last: int, reference: Reals, sums: Float64Array
) -> None:
    """Add weight times deviation from the reference (k, d or more) of rows `first` to `last` - 1 to sums (k, d)."""
    for row in range(first, last):
        label, weight_ = labels[row], weight[row]
        for column in range(points.shape[1]):
            sums[label, column] += weight_ * (np.float64(points[row, column]) - np.float64(reference[label, column]))


@compiled_exactly
def add_squares(
    points: Reals,
    weight: Float64Array,
    labels: Labels,
    first: int,
    last: int,
    middles: Float64Array,
    squares: Float64Array,
) -> None:
    """Add weight times squared distance from the middles (k, d) of rows `first` to `last` - 1 to squares (k,)."""
    for row in range(first, last):
        squares[labels[row]] += weight[row] * square_from_middle(points, row, middles, labels[row])


@compiled_exactly
def stretch_rows(
    points: Reals,
    labels: Labels,
    first: int,
    last: int,
    middles: Float64Array,
    stretch: Float64Array,
    goals: Float64Array,
    stretched: Reals,
) -> None:
    """Write rows `first` to `last` - 1, stretched around their middles (k, d), which are moved to goals (k, d)."""
    for row in range(first, last):
        label = labels[row]
        factor = stretch[label]
        for column in range(points.shape[1]):
            deviation = np.float64(points[row, column]) - middles[label, column]
            stretched[row, column] = goals[label, column] + factor * deviation


@compiled_exactly
def write_means(
    points: Reals,
    weight: Float64Array,
    order: NDArray[np.int64],
    begins: NDArray[np.int64],
    first: int,
    last: int,
    means: Reals,
    squares: Float64Array,
) -> None:
    """Write the weighted means (m, d) of sets `first` to `last` - 1, and the weighted squares around them (m,).

    Of the rows in order (n,) set number s has those from begins[s] to begins[s + 1] - 1: one or more of weight above 0.
    """
    d = points.shape[1]
    middle = np.empty((1, d))
    for place in range(first, last):
        total = 0.0
        for column in range(d):
            middle[0, column] = 0.0
        for index in range(begins[place], begins[place + 1]):
            row = order[index]
            total += weight[row]
            for column in range(d):
                middle[0, column] += weight[row] * np.float64(points[row, column])
        for column in range(d):
            middle[0, column] /= total
            means[place, column] = middle[0, column]
        squares[place] = 0.0
        for index in range(begins[place], begins[place + 1]):
            squares[place] += weight[order[index]] * square_from_middle(points, order[index], middle, 0)


def add_deviations_signature(real: Any) -> Any:
    """Return the types of `add_deviations` in a precision."""
    return types.void(
        *_rows(real, weighted=True),
        readable(real, 2),  # reference
        types.float64[:, ::1],  # sums
    )


def add_squares_signature(real: Any) -> Any:
    """Return the types of `add_squares` in a precision."""
    return types.void(
        *_rows(real, weighted=True),
        types.float64[:, ::1],  # middles
        types.float64[::1],  # squares
    )


def stretch_rows_signature(real: Any) -> Any:
    """Return the types of `stretch_rows` in a precision."""
    return types.void(
        *_rows(real, weighted=False),
        types.float64[:, ::1],  # middles
        types.float64[::1],  # stretch
        types.float64[:, ::1],  # goals
        real[:, ::1],  # stretched
    )


def write_means_signature(real: Any) -> Any:
    """Return the types of `write_means` in a precision."""
    return types.void(
        readable(real, 2),  # points
        readable(types.float64, 1),  # weight
        readable(types.int64, 1),  # order
        readable(types.int64, 1),  # begins
        types.int64,  # first
        types.int64,  # last
        real[:, ::1],  # means
        types.float64[::1],  # squares
    )


def _rows(real: Any, *, weighted: bool) -> tuple[Any, ...]:
    """Return the types of the first arguments."""
    weight = (readable(types.float64, 1),) if weighted else ()
    return (readable(real, 2), *weight, readable(types.int32, 1), types.int64, types.int64)
