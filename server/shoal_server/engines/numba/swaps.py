"""Swaps of centroids that lower the inertia of a partition.

A swap takes a centroid away and puts a new one elsewhere. Lattanzi and Sohler ("A better k-means++ algorithm via local
search", 2019) draw the new place by its squared distance to the nearest centroid, and judge the swap by the inertia
right after it. Here the centroids around both places first move a few times, with their own points alone: that costs
little, and many more swaps turn out to be worth it.
"""

from __future__ import annotations

import numpy as np

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import compiled
from shoal_server.engines.numba.local_moves import (
    Index,
    Swap,
    clear,
    gather,
    keep_swap,
    move_locally,
    new_index,
    new_swap,
    scale,
)
from shoal_server.engines.numba.microkernel import TILE
from shoal_server.engines.numba.partition import (
    CANDIDATES,
    Partition,
    distances_work,
    draw,
    measure_groups,
    total_by_groups,
)
from shoal_server.engines.numba.scores import lowest_bit
from shoal_server.engines.numba.squared_distances import lanes_below

# Moving the centroids around helps both sides of a swap; but not where so many times as much is lost as is won.
MAX_LOSS = 4.0
# A swap has to save so much of the inertia: rounding must not.
MIN_SAVED = 1e-5


@compiled
def try_swaps(
    partition: Partition,
    draws: Float64Array,
    reach: Float64Array,
    first: int,
    max_work: int,
    allowed: float,
    cosine: bool,
) -> tuple[int, int, int]:
    """Try swaps one after another, and keep those that lower the inertia, or nearly; the partition is kept up to date.

    Parameters
    ----------
    partition
        With the nearest two of at least two centroids.
    draws
        Uniform in [0, 1), (swaps, CANDIDATES).
    reach
        How far candidates lie on the way from the nearest centroid to the point that is drawn, (any, CANDIDATES):
        for one swap after another, in turn.
    first, max_work
        The swap to begin with, and after how many multiplications no more is begun.
    allowed
        What a swap that is kept may lose, in shares of what a cluster adds to the inertia on average.
    cosine
        Whether centroids have length 1.

    Returns
    -------
    next, kept, work
        The swap to go on with, how many were kept, and the multiplications done.
    """
    index, swap = new_index(partition), new_swap(partition)
    total = _fill_index(partition, index)
    least = MIN_SAVED - allowed / len(partition.centroids)
    number, kept, work = first, 0, 0
    while number < len(draws) and work < max_work and total > 0.0:
        work += _place_candidates(partition, index, draws[number], reach[number % len(reach)], cosine, swap)
        number += 1
        candidate, leaving = _choose_swap(partition, index, -least * total, swap)
        if candidate < 0:
            continue
        count, rows = gather(partition, index, candidate, leaving, swap)
        saved, more = move_locally(partition, count, rows, cosine, swap)
        work += more
        if saved > least * total:
            kept += 1
            work += keep_swap(partition, count, swap)
            total = _fill_index(partition, index)
        for place in range(count):
            swap.places[swap.members[place]] = -1
    return (number if total > 0.0 else len(draws)), kept, work


@compiled
def _fill_index(partition: Partition, index: Index) -> float:
    """Index the partition, and return its inertia."""
    weights, squares, labels = partition.weights, partition.squares, partition.labels
    order, starts, losses = index.order, index.starts, index.losses
    m, k = len(order), len(losses)
    clear(losses)
    for label in range(k):
        starts[label] = 0
    for row in range(m):
        label = labels[0, row]
        starts[label] += 1
        losses[label] += weights[row] * (np.float64(squares[1, row]) - squares[0, row])
    end = 0
    for label in range(k):  # where each cluster ends
        end += starts[label]
        starts[label] = end
    starts[k] = m
    for row in range(m - 1, -1, -1):
        label = labels[0, row]
        starts[label] -= 1
        order[starts[label]] = row
    return total_by_groups(weights, squares, index.totals)


@compiled
def _place_candidates(
    partition: Partition, index: Index, draws: Float64Array, reach: Float64Array, cosine: bool, swap: Swap
) -> int:
    """Draw candidates and measure the distances of all points to them; return the multiplications."""
    points, lanes, labels, centroids = partition.points, partition.lanes, partition.labels, partition.centroids
    candidates, tile, measured = swap.candidates, swap.tile, swap.measured
    d = lanes.shape[1]
    for candidate in range(CANDIDATES):
        row = draw(partition.weights, partition.squares, index.totals, draws[candidate])
        label, share = labels[0, row], reach[candidate]
        for feature in range(d):
            begin = np.float64(centroids[label, feature])
            candidates[candidate, feature] = begin + share * (points[row, feature] - begin)
        if cosine and not scale(candidates, candidate):
            for feature in range(d):  # where it is the nearest of no point
                candidates[candidate, feature] = centroids[label, feature]
        for feature in range(d):
            tile[feature * TILE + candidate] = candidates[candidate, feature]
    measure_groups(lanes, tile, measured)
    return distances_work(len(points), CANDIDATES, d)


@compiled
def _choose_swap(partition: Partition, index: Index, allowed: float, swap: Swap) -> tuple[int, int]:
    """Return the candidate and the centroid to swap, by what that saves once the new one is at its points' mean.

    The candidate is -1 if none is the nearest of any point, or all are without hope.
    """
    points, weights, squares, labels = partition.points, partition.weights, partition.squares, partition.labels
    measured, changes, residual, losses = swap.measured, swap.changes, swap.residual, index.losses
    groups, d, group = partition.lanes.shape
    best, leaving, most = -1, -1, -np.inf
    for candidate in range(CANDIDATES):
        saved, weight = 0.0, 0.0
        clear(changes)
        clear(residual)
        for number in range(groups):
            nearer = lanes_below(measured, candidate, squares, 1, number)
            while nearer != 0:
                row = number * group + lowest_bit(nearer)
                nearer &= nearer - 1
                own, label = weights[row], labels[0, row]
                if own == 0.0:
                    continue
                # Wide: what is taken from a loss must be what was added to it, however far the second is.
                near, first = np.float64(measured[candidate, row]), np.float64(squares[0, row])
                second = np.float64(squares[1, row])
                if near < first:
                    saved += own * (first - near)
                    weight += own
                    changes[label] -= own * (second - first)
                    for feature in range(d):
                        residual[feature] += own * (points[row, feature] - swap.candidates[candidate, feature])
                else:
                    changes[label] -= own * (second - near)
        if weight == 0.0:
            continue
        square = 0.0
        for feature in range(d):
            square += residual[feature] * residual[feature]
        saved += square / weight
        label, loss = _least_sum(losses, changes)
        if saved - loss > most and loss <= MAX_LOSS * saved + allowed:
            best, leaving, most = candidate, label, saved - loss
    return best, leaving


@compiled
def _least_sum(values: Float64Array, changes: Float64Array) -> tuple[int, float]:
    place, least = 0, np.inf
    for number in range(len(values)):
        if values[number] + changes[number] < least:
            place, least = number, values[number] + changes[number]
    return place, least
