"""A swap of centroids that is tried: those around both places move a few times, with their own points alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import ZERO, Reals, compiled
from shoal_server.engines.numba.microkernel import TILE
from shoal_server.engines.numba.partition import (
    CANDIDATES,
    Labels,
    Partition,
    distances_work,
    fill_tiles,
    find_nearest_two,
    nearest_two_of_groups,
    pack_rows,
    tile_values,
)
from shoal_server.engines.numba.scores import lowest_bit
from shoal_server.engines.numba.squared_distances import lanes_below

# Centroids that move together when a swap is tried, at most, and how many times.
MAX_LOCAL = 16
LOCAL_STEPS = 4
# Fewer move where their points and columns are so many that one step would take more multiplications than these.
MAX_LOCAL_WORK = 1 << 23
# What is left to save after some steps is seldom more than so many times what the last one saved.
HOPE = 3.0
# Directions that cancel out leave none.
EPSILON = float(np.finfo(np.float64).eps)


class Index(NamedTuple):
    """What trying swaps needs to know of a partition."""

    order: NDArray[np.int64]  # (m,): the points, cluster by cluster
    starts: NDArray[np.int64]  # (k + 1,): where in the order each cluster begins
    losses: Float64Array  # (k,): by how much the inertia grows if the centroid is taken away
    totals: Float64Array  # (groups,): the inertia of each group


class Swap(NamedTuple):
    """Room for a swap that is tried: `a` centroids move, which have labels and points."""

    candidates: Float64Array  # (CANDIDATES, d)
    tile: Reals  # TILE · d: the candidates
    measured: Reals  # (CANDIDATES, p): their squared distances
    changes: Float64Array  # (k,): of the losses, if a candidate comes
    residual: Float64Array  # (d,)
    involved: Float64Array  # (k,): the weight of each cluster's points that come or go
    members: NDArray[np.int32]  # (MAX_LOCAL,): labels of the centroids that move; the first is swapped
    places: NDArray[np.int32]  # (k,): of labels in `members`; -1: none
    rows: NDArray[np.int64]  # (p,): the points of these clusters
    lanes: Reals  # (groups, d, group): the same
    squares: Reals  # (2, p): their nearest two of the centroids that move
    labels: Labels  # (2, p)
    means: Float64Array  # (MAX_LOCAL, d)
    counts: Float64Array  # (MAX_LOCAL,)
    sums: Float64Array  # (MAX_LOCAL, d)
    moved: Reals  # (MAX_LOCAL, d): the means in the precision of the points
    tiles: Reals  # the same in tiles


@compiled
def new_index(partition: Partition) -> Index:
    """Return an index that is to be filled."""
    m, k = len(partition.points), len(partition.centroids)
    return Index(np.empty(m, np.int64), np.empty(k + 1, np.int64), np.empty(k), np.empty(len(partition.lanes)))


@compiled
def new_swap(partition: Partition) -> Swap:
    """Return room to try swaps in."""
    (k, d), p, real = partition.centroids.shape, partition.squares.shape[1], partition.centroids.dtype
    places = np.empty(k, np.int32)
    for label in range(k):
        places[label] = -1
    return Swap(
        candidates=np.empty((CANDIDATES, d)),
        tile=np.empty(TILE * d, real),
        measured=np.empty((CANDIDATES, p), real),
        changes=np.empty(k),
        residual=np.empty(d),
        involved=np.empty(k),
        members=np.empty(MAX_LOCAL, np.int32),
        places=places,
        rows=np.empty(p, np.int64),
        lanes=np.empty(partition.lanes.shape, real),
        squares=np.empty((2, p), real),
        labels=np.empty((2, p), np.int32),
        means=np.empty((MAX_LOCAL, d)),
        counts=np.empty(MAX_LOCAL),
        sums=np.empty((MAX_LOCAL, d)),
        moved=np.empty((MAX_LOCAL, d), real),
        tiles=np.empty(tile_values(MAX_LOCAL, d), real),
    )


@compiled
def gather(partition: Partition, index: Index, candidate: int, leaving: int, swap: Swap) -> tuple[int, int]:
    """Choose the centroids that move, and gather their points; return how many there are of both."""
    order, starts, d = index.order, index.starts, partition.centroids.shape[1]
    _involve(partition, index, candidate, leaving, swap)
    count = _choose_members(swap.involved, leaving, swap.members)
    for feature in range(d):
        swap.means[0, feature] = swap.candidates[candidate, feature]
    rows = 0
    for place in range(count):
        label = swap.members[place]
        more = rows + starts[label + 1] - starts[label]
        if place > 1 and distances_work(more, place + 1, d) > MAX_LOCAL_WORK:
            count = place
            break
        swap.places[label] = place
        for feature in range(d if place > 0 else 0):
            swap.means[place, feature] = partition.centroids[label, feature]
        for at in range(starts[label], starts[label + 1]):
            swap.rows[rows] = order[at]
            rows += 1
    group = partition.lanes.shape[2]
    pack_rows(partition.points, swap.rows, rows, ZERO, -(-rows // group), swap.lanes)
    return count, rows


@compiled
def _involve(partition: Partition, index: Index, candidate: int, leaving: int, swap: Swap) -> None:
    """Write the weight of the points that each cluster would give to the candidate, or get of the one that leaves."""
    weights, squares, labels = partition.weights, partition.squares, partition.labels
    measured, involved = swap.measured, swap.involved
    groups, _, group = partition.lanes.shape
    clear(involved)
    for number in range(groups):
        nearer = lanes_below(measured, candidate, squares, 0, number)
        while nearer != 0:
            row = number * group + lowest_bit(nearer)
            nearer &= nearer - 1
            involved[labels[0, row]] += weights[row]
    for place in range(index.starts[leaving], index.starts[leaving + 1]):
        row = index.order[place]
        if measured[candidate, row] >= squares[1, row]:
            involved[labels[1, row]] += weights[row]


@compiled
def _choose_members(involved: Float64Array, leaving: int, members: NDArray[np.int32]) -> int:
    """Write the label that is swapped, and those with most of their weight involved; return how many they are."""
    members[0] = leaving
    involved[leaving] = 0.0
    count = 1
    for label in range(len(involved)):
        if involved[label] > 0.0:
            place = count if count < MAX_LOCAL else MAX_LOCAL - 1
            if count == MAX_LOCAL and involved[members[place]] >= involved[label]:
                continue
            while place > 1 and involved[members[place - 1]] < involved[label]:
                members[place] = members[place - 1]
                place -= 1
            members[place] = label
            count = min(count + 1, MAX_LOCAL)
    return count


@compiled
def move_locally(partition: Partition, count: int, rows: int, cosine: bool, swap: Swap) -> tuple[float, int]:
    """Move some centroids to the means of their points a few times; return what that saves, and multiplications."""
    weights, lanes, squares, labels = partition.weights, swap.lanes, swap.squares, swap.labels
    d, group = lanes.shape[1], lanes.shape[2]
    groups = -(-rows // group)
    before = 0.0
    for place in range(rows):
        row = swap.rows[place]
        before += weights[row] * partition.squares[0, row]
    after, work = np.inf, 0
    for step in range(LOCAL_STEPS + 1):
        for place in range(count):
            for feature in range(d):
                swap.moved[place, feature] = swap.means[place, feature]
        fill_tiles(swap.moved, count, swap.tiles)
        nearest_two_of_groups(lanes, ZERO, groups, swap.tiles, count, squares, labels)
        work += distances_work(rows, count, d)
        last, after = after, 0.0
        for place in range(rows):
            after += weights[swap.rows[place]] * squares[0, place]
        if step == LOCAL_STEPS or after - before > HOPE * (last - after):
            break
        _find_means(partition, count, rows, cosine, swap)
    return before - after, work


@compiled
def _find_means(partition: Partition, count: int, rows: int, cosine: bool, swap: Swap) -> None:
    """Write the means of the points of each centroid that moves; one without any, or without a direction, stays."""
    points, weights, labels = partition.points, partition.weights, swap.labels
    counts, sums, means = swap.counts, swap.sums, swap.means
    d = sums.shape[1]
    for place in range(count):
        counts[place] = 0.0
        for feature in range(d):
            sums[place, feature] = 0.0
    for place in range(rows):
        row, label = swap.rows[place], labels[0, place]
        own = weights[row]
        counts[label] += own
        for feature in range(d):
            sums[label, feature] += own * points[row, feature]
    for place in range(count):
        if counts[place] > 0.0:
            for feature in range(d):
                sums[place, feature] /= counts[place]
            if not cosine or scale(sums, place):
                for feature in range(d):
                    means[place, feature] = sums[place, feature]


@compiled
def keep_swap(partition: Partition, count: int, swap: Swap) -> int:
    """Move the centroids in the partition, and bring it up to date; return the multiplications."""
    lanes, centroids = partition.lanes, partition.centroids
    groups, d, _ = lanes.shape
    k, m = len(centroids), len(partition.points)
    for place in range(count):
        for feature in range(d):
            centroids[swap.members[place], feature] = swap.moved[place, feature]
    if 2 * count >= k:
        find_nearest_two(partition, ZERO, groups)
        return distances_work(m, k, d)
    nearest_two_of_groups(lanes, ZERO, groups, swap.tiles, count, swap.squares, swap.labels)
    doubtful = _rank_moved(partition, swap)
    _find_nearest_two_of(partition, doubtful, swap)
    return distances_work(m, count, d) + distances_work(doubtful, k, d)


@compiled
def _rank_moved(partition: Partition, swap: Swap) -> int:
    """Find the nearest two of each point among those that it had and those that moved.

    Of the centroids that didn't move, all others are at least as far away as the second was. Where that isn't enough,
    the number of the point is written to the rows of the swap; returned is how many these are.
    """
    # Taken out of their tuples once: Numba counts references wherever it takes one out.
    squares, labels, doubtful = partition.squares, partition.labels, swap.rows
    places, members, near_squares, near_places = swap.places, swap.members, swap.squares, swap.labels
    count = 0
    for row in range(len(partition.points)):
        limit, own, other = np.float64(squares[1, row]), labels[0, row], labels[1, row]
        stays, other_stays = places[own] < 0, places[other] < 0
        if stays and other_stays and near_squares[0, row] >= limit:
            continue
        first, second = (np.inf, own), (np.inf, own)
        if stays:
            first = (np.float64(squares[0, row]), own)
        if other_stays:
            first, second = _inserted(first, second, limit, other)
        for rank in range(2):
            square, label = np.float64(near_squares[rank, row]), members[near_places[rank, row]]
            first, second = _inserted(first, second, square, label)
        if second[0] > limit:
            doubtful[count] = row
            count += 1
            continue
        squares[0, row], labels[0, row] = first
        squares[1, row], labels[1, row] = second
    return count


@compiled
def _inserted(
    first: tuple[float, int], second: tuple[float, int], square: float, label: int
) -> tuple[tuple[float, int], tuple[float, int]]:
    """Return the nearest two of the two nearest so far and one more: squared distances and labels."""
    if square < first[0]:
        return (square, label), first
    if square < second[0]:
        return first, (square, label)
    return first, second


@compiled
def _find_nearest_two_of(partition: Partition, count: int, swap: Swap) -> None:
    """Find the nearest two of all centroids for some rows."""
    squares, labels = partition.squares, partition.labels
    (k, d), group = partition.centroids.shape, swap.lanes.shape[2]
    tiles = np.empty(tile_values(k, d), partition.centroids.dtype)
    fill_tiles(partition.centroids, k, tiles)
    groups = -(-count // group)
    pack_rows(partition.points, swap.rows, count, ZERO, groups, swap.lanes)
    nearest_two_of_groups(swap.lanes, ZERO, groups, tiles, k, swap.squares, swap.labels)
    for place in range(count):
        row = swap.rows[place]
        for rank in range(2):
            squares[rank, row], labels[rank, row] = swap.squares[rank, place], swap.labels[rank, place]


@compiled
def scale(rows: Float64Array, row: int) -> bool:
    """Scale a row to length 1, and return whether it has a direction."""
    square = 0.0
    for feature in range(rows.shape[1]):
        square += rows[row, feature] * rows[row, feature]
    length = np.sqrt(square)
    if not length > EPSILON:
        return False
    for feature in range(rows.shape[1]):
        rows[row, feature] /= length
    return True


@compiled
def clear(values: Float64Array) -> None:
    """Write zeros."""
    for place in range(len(values)):
        values[place] = 0.0
