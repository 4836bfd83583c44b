"""Weighted points and the two nearest centroids of each: what the search for better centroids works on.

Swaps are tried in swaps.py; the order of all that is in clustering/refinement.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import Reals, compiled
from shoal_server.engines.numba.microkernel import TILE
from shoal_server.engines.numba.squared_distances import measure_tile, nearest_two

Labels = NDArray[np.int32]

# Points that are drawn at once; the best of them is taken.
CANDIDATES = TILE
# Columns that are laid out at a time: what is written should stay in the first cache, and rows be read on and on.
BLOCK_COLUMNS = 128
# What a distance costs beside its columns, in multiplications, where few are computed at a time.
DISTANCE_WORK = 16


class Partition(NamedTuple):
    """Weighted points and the two nearest of k centroids of each; p is m up to whole groups."""

    points: Reals  # (m, d)
    lanes: Reals  # (groups, d, group): the points, zeros behind the last
    weights: Float64Array  # (p,): 0 behind the last
    centroids: Reals  # (k, d)
    squares: Reals  # (2, p): squared distances to the nearest and to the second
    labels: Labels  # (2, p): and whose they are


def partition_type(real: Any) -> Any:
    """Return Numba's type of a partition of a precision."""
    fields = [
        types.Array(real, 2, "C", readonly=True),
        real[:, :, ::1],
        types.float64[::1],
        real[:, ::1],
        real[:, ::1],
        types.int32[:, ::1],
    ]
    return types.NamedTuple(fields, Partition)


@compiled
def pack_points(partition: Partition, first: int, last: int) -> None:
    """Write the lanes of some groups."""
    count = len(partition.points)
    pack_rows(partition.points, np.arange(count), count, first, last, partition.lanes)


@compiled
def pack_rows(points: Reals, rows: NDArray[np.int64], count: int, first: int, last: int, lanes: Reals) -> None:
    """Write the first `count` of some rows as lanes, of groups `first` to `last` - 1, and zeros behind them."""
    _, d, group = lanes.shape
    for number in range(first, last):
        for begin in range(0, d, BLOCK_COLUMNS):
            end = min(begin + BLOCK_COLUMNS, d)
            for lane in range(group):
                place = number * group + lane
                row = rows[place] if place < count else -1
                for feature in range(begin, end):
                    lanes[number, feature, lane] = points[row, feature] if row >= 0 else 0.0


@compiled
def nearest_two_of_groups(
    lanes: Reals, first: int, last: int, tiles: Reals, k: int, squares: Reals, labels: Labels
) -> None:
    """Find the nearest two of k centroids in tiles for the points of some groups; see `nearest_two`."""
    for number in range(first, last):
        nearest_two(lanes, number, tiles, k, lanes.shape[1], squares, labels)


@compiled
def measure_groups(lanes: Reals, tile: Reals, squares: Reals) -> None:
    """Write the squared distances of all groups to TILE centroids; see `measure_tile`."""
    for number in range(len(lanes)):
        measure_tile(lanes, number, tile, lanes.shape[1], squares)


@compiled
def find_nearest_two(partition: Partition, first: int, last: int) -> None:
    """Find the two nearest centroids of the points of some groups."""
    lanes, squares, labels = partition.lanes, partition.squares, partition.labels
    k, d = partition.centroids.shape
    tiles = np.empty(tile_values(k, d), partition.centroids.dtype)
    fill_tiles(partition.centroids, k, tiles)
    nearest_two_of_groups(lanes, first, last, tiles, k, squares, labels)


@compiled
def add_members(partition: Partition, first: int, last: int, counts: Float64Array, sums: Float64Array) -> float:
    """Add rows to their clusters' weights (k,) and weighted sums (k, d), and return their inertia."""
    points, weights, squares, labels = partition.points, partition.weights, partition.squares, partition.labels
    inertia = 0.0
    for row in range(first, last):
        label, weight = labels[0, row], weights[row]
        counts[label] += weight
        inertia += weight * squares[0, row]
        for feature in range(sums.shape[1]):
            sums[label, feature] += weight * points[row, feature]
    return inertia


@compiled
def seed(partition: Partition, draws: Float64Array, chosen: NDArray[np.int64], first: int, last: int) -> None:
    """Choose points for some of the centroids by greedy k-means++.

    Parameters
    ----------
    partition
        Its `squares` hold in the first row the squared distances to those chosen so far; the second is overwritten.
    draws
        Uniform in [0, 1), (k, CANDIDATES).
    chosen
        Gets the numbers of the points (k,).
    first, last
        For which centroids.
    """
    points, lanes, weights, squares = partition.points, partition.lanes, partition.weights, partition.squares
    groups, d, group = lanes.shape
    tile, totals = np.empty(TILE * d, points.dtype), np.empty(groups)
    measured, rows = np.empty((TILE, squares.shape[1]), points.dtype), np.empty(TILE, np.int64)
    for place in range(first, last):
        if place == 0:
            _fill_first(squares)
        if total_by_groups(weights, squares, totals) <= 0.0:
            _fill_first(squares)  # every point has a centroid on it
            total_by_groups(weights, squares, totals)
        for candidate in range(CANDIDATES):
            row = draw(weights, squares, totals, draws[place, candidate])
            rows[candidate] = row
            for feature in range(d):
                tile[feature * TILE + candidate] = points[row, feature]
        measure_groups(lanes, tile, measured)
        best, least = 0, np.inf
        for candidate in range(CANDIDATES if place > 0 else 1):
            potential = 0.0
            for row in range(groups * group):
                square = min(measured[candidate, row], squares[0, row]) if place > 0 else measured[candidate, row]
                potential += weights[row] * square
            if potential < least:
                best, least = candidate, potential
        for row in range(groups * group):
            near = measured[best, row]
            squares[0, row] = min(near, squares[0, row]) if place > 0 else near
        chosen[place] = rows[best]


@compiled
def _fill_first(squares: Reals) -> None:
    """Let every point be as far away as the others."""
    for row in range(squares.shape[1]):
        squares[0, row] = 1.0


@compiled
def total_by_groups(weights: Float64Array, squares: Reals, totals: Float64Array) -> float:
    """Write the weighted sum of the first row of squares for each group, and return that of all."""
    group = len(weights) // len(totals)
    total = 0.0
    for number in range(len(totals)):
        own = 0.0
        for row in range(number * group, (number + 1) * group):
            own += weights[row] * squares[0, row]
        totals[number] = own
        total += own
    return total


@compiled
def draw(weights: Float64Array, squares: Reals, totals: Float64Array, share: float) -> int:
    """Return the point at which the running sum of weighted squares passes a share of the whole; it is above 0."""
    group = len(weights) // len(totals)
    left = 0.0
    for each in totals:
        left += share * each
    at = 0
    for number in range(len(totals)):
        if totals[number] > 0.0:
            at = number
            if left < totals[number]:
                break
            left -= totals[number]
    row = 0
    for place in range(at * group, (at + 1) * group):
        own = weights[place] * squares[0, place]
        if own > 0.0:
            row = place  # the last such one if rounding leads behind it
            if left < own:
                break
            left -= own
    return row


@compiled
def tile_values(k: int, d: int) -> int:
    """Return how many values k centroids have in tiles."""
    return -(-k // TILE) * TILE * d


@compiled
def fill_tiles(centroids: Reals, k: int, tiles: Reals) -> None:
    """Write the first k centroids in tiles, infinity behind the last."""
    d = centroids.shape[1]
    for label in range(-(-k // TILE) * TILE):
        at = label // TILE * TILE * d + label % TILE
        for feature in range(d):
            tiles[at + feature * TILE] = centroids[label, feature] if label < k else np.inf


@compiled
def distances_work(points: int, centroids: int, d: int) -> int:
    """Return the multiplications for so many distances."""
    return points * centroids * (d + DISTANCE_WORK)
