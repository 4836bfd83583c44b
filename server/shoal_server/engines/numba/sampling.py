"""The kernel that draws a sample of a stream, and adds up all of it, row by row; see batch_sampling.py for batches.

Sums are added row by row and in float64, and a draw is a hash of a row's number: so nothing depends on how rows are
grouped into calls, nor on a thread. Everything rounds as it is written here: no addition changes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from shoal_server.engines.contract import Engine, Float64Array, Frame, LabelArray, RunTasks
from shoal_server.engines.numba.decorators import ZERO, Reals, compiled_exactly, inlined
from shoal_server.engines.numba.deviations import FEW, WIDTH, add_deviation

# SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
_STEP, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_SPARE_BITS, _UNIT = np.uint64(11), 2.0**-53  # what of 64 bits a float64 in [0, 1) has no room for


@dataclass(frozen=True)
class NumbaSummaryKernels:
    """The compiled functions of one precision, as a summary uses them."""

    engine: Engine  # that assigns
    sample_rows: Callable[..., tuple[int, int, bool]]
    add_deviations: Callable[..., None]
    add_squares: Callable[..., None]
    stretch_rows: Callable[..., None]
    write_means: Callable[..., None]
    split_cells: Callable[..., bool]
    sample_batch: Callable[..., bool]

    def row_length(self, n_features: int) -> int:
        """Return the length of the rows of references and sums: whole vectors, with zeros behind the columns."""
        width = FEW if n_features <= FEW else WIDTH
        return -(-n_features // width) * width

    def nearest(self, points: Reals, centroids: Reals, run: RunTasks) -> tuple[LabelArray, Reals]:
        """Return the label of the centroid (k, d) nearest to each point (n, d), and its squared distance, (n,) both."""
        k, d = centroids.shape
        frame = Frame(centroids, np.zeros(d, centroids.dtype), np.zeros(k), cosine=False)
        found = self.engine.assign(points, frame, run, return_distances=True)
        if found.distances is None:
            raise AssertionError("they were asked for")
        return found.labels, found.distances


@compiled_exactly
def sample_rows(
    points: Reals,
    weight: Float64Array,
    labels: LabelArray,
    ages: Float64Array,
    start: int,
    stop: int,
    first_number: int,
    seed: int,
    origin: Reals,
    reference: Reals,
    begin: float,
    span: float,
    uniform: float,
    by_distance: float,
    by_label: Float64Array,
    max_weight: float,
    max_rows: int,
    totals: Float64Array,
    counts: Float64Array,
    sums: Float64Array,
    squares: Float64Array,
    kept: NDArray[np.int64],
    kept_weight: Float64Array,
) -> tuple[int, int, bool]:
    """Add rows to a block and draw those to keep, until the block is full.

    A row of weight w that comes t half-lives after `begin` counts v = w·2^t, and is kept with the chance
    min(1, v·(uniform + by_distance·d² + by_label[place])), d² its squared distance to its label's reference.

    Parameters
    ----------
    points, weight, labels
        (n, d), (n,) and (n,). Rows of weight 0 are passed over; no weights: all are 1.
    ages
        Half-lives that had passed when each row came, (n,); or a single one for all.
    start, stop
        Rows to look at.
    first_number, seed
        Number of row 0 in the stream, and what is hashed with it.
    origin
        (length,) what is subtracted from each row: d columns, and zeros up to `row_length`.
    reference
        (k, length) relative to the origin.
    begin, span
        The age at which the block began, and how many half-lives later it ends before the next row.
    max_weight, max_rows
        The sum of v, and the number of rows, at which the block is full.
    totals
        (3,): sum of v, sum of 2^t, and number of rows of the block; kept up to date.
    counts, sums, squares
        (k,), (k, length) and (k,): sums of v, v·(x - reference) and v·d² of each label; kept up to date.
    kept, kept_weight
        Get the rows kept, and their v divided by their chance; at as many as these hold the block is full.

    Returns
    -------
    stop, kept, full
        The first row that was not looked at, how many were kept, and whether the block is full.
    """
    n, d = points.shape
    length, found, full, row = len(origin), ZERO, False, start
    readable_rows = max(n - (length - 1) // d, 0)  # in whole vectors, with nothing read behind the last row
    last = np.zeros((n - readable_rows + length // d + 1, d), points.dtype)
    for index in range(readable_rows, n):
        for column in range(d):
            last[index - readable_rows, column] = points[index, column]
    while row < stop and not full:  # a batch has one age: a call for each costs 90 ns
        age = ages[row] if len(ages) > 1 else ages[0]
        end = row + 1 if len(ages) > 1 else stop
        while end < stop and ages[end] == age:
            end += 1
        is_readable = row < readable_rows
        row, found, full = _sample_rows_of_an_age(
            points if is_readable else last, 0 if is_readable else readable_rows, weight, labels, row,
            min(end, readable_rows) if is_readable else end, first_number, seed, origin, reference,
            2.0 ** (age - begin), age - begin > span, uniform, by_distance, by_label, max_weight, max_rows, totals,
            counts, sums, squares, kept, kept_weight, found,
        )  # fmt: skip
    return row, found, full


@compiled_exactly
def _sample_rows_of_an_age(
    points: Reals,
    first: int,
    weight: Float64Array,
    labels: LabelArray,
    start: int,
    stop: int,
    first_number: int,
    seed: int,
    origin: Reals,
    reference: Reals,
    factor: float,
    expired: bool,
    uniform: float,
    by_distance: float,
    by_label: Float64Array,
    max_weight: float,
    max_rows: int,
    totals: Float64Array,
    counts: Float64Array,
    sums: Float64Array,
    squares: Float64Array,
    kept: NDArray[np.int64],
    kept_weight: Float64Array,
    found: int,
) -> tuple[int, int, bool]:
    """Do what `sample_rows` does, for rows that all count `factor` times their weight.

    The points begin with row number `first`, and whole vectors of each row can be read. Where the block has ended with
    the row before (`expired`), it is full.
    """
    d, length, few, weighted = points.shape[1], len(origin), points.shape[1] <= FEW, len(weight) > 0
    total, count, rows = totals[0], totals[1], totals[2]
    row, full = start, False
    while row < stop and not full:
        own = weight[row] if weighted else 1.0
        if own > 0:
            if expired:
                full = True
                break
            label = labels[row]
            place = np.uint64(label)  # a signed index may count from the end: that is looked at each time
            value, at = own * factor, (row - first) * d
            # The literals are FEW and WIDTH. A function of its own takes three times as long: it counts references.
            if few:
                square = add_deviation(4, points, at, d, origin, reference, label * length, value, sums)
            else:
                square = add_deviation(8, points, at, d, origin, reference, label * length, value, sums)
            counts[place] += value
            squares[place] += value * square
            total += value
            count += factor
            rows += 1
            chance = value * (uniform + by_distance * square + by_label[place])
            if draw(seed, first_number + row) < chance:
                kept[found] = row
                kept_weight[found] = value / min(chance, 1.0)
                found += 1
            full = total >= max_weight or rows >= max_rows or found == len(kept)
        row += 1
    totals[0], totals[1], totals[2] = total, count, rows
    return row, found, full


@compiled_exactly
def draw_rows(seed: int, first_number: int, draws: Float64Array) -> None:
    """Draw for rows, the first of which has a number: a loop of its own, as vectors do it in a quarter of the time."""
    for row in range(len(draws)):
        draws[row] = draw(seed, first_number + row)


@inlined
def draw(seed: int, number: int) -> float:
    """Return a number in [0, 1) that is a hash of two others."""
    word = np.uint64(seed) + np.uint64(number + 1) * _STEP
    word = (word ^ (word >> _SHIFTS[0])) * _FIRST
    word = (word ^ (word >> _SHIFTS[1])) * _SECOND
    word ^= word >> _SHIFTS[2]
    return np.float64(np.int64(word >> _SPARE_BITS)) * _UNIT


_BOOL, _INT, _FLOAT = types.boolean, types.int64, types.float64


def sample_rows_signature(real: Any) -> Any:
    """Return the types of `sample_rows` in a precision."""
    numbers = readable(_FLOAT, 1)
    return types.Tuple((_INT, _INT, _BOOL))(
        readable(real, 2),  # points
        numbers,  # weight
        readable(types.int32, 1),  # labels
        numbers,  # ages
        _INT,  # start
        _INT,  # stop
        _INT,  # first_number
        _INT,  # seed
        readable(real, 1),  # origin
        readable(real, 2),  # reference
        _FLOAT,  # begin
        _FLOAT,  # span
        _FLOAT,  # uniform
        _FLOAT,  # by_distance
        numbers,  # by_label
        _FLOAT,  # max_weight
        _INT,  # max_rows
        _FLOAT[::1],  # totals
        _FLOAT[::1],  # counts
        _FLOAT[:, ::1],  # sums
        _FLOAT[::1],  # squares
        _INT[::1],  # kept
        _FLOAT[::1],  # kept_weight
    )


def readable(element: Any, dimensions: int) -> Any:
    """Return the type of an array that may be read-only."""
    return types.Array(element, dimensions, "C", readonly=True)
