"""The compiled kernels: what is done with the rows of a span, from the message's bytes to sums and labels.

They let other threads run, and do nothing in parallel themselves: the server's own pool does that.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import literally
from numpy.typing import NDArray

from shoal_server.engines.numba.compiling import compiled
from shoal_server.engines.numba.vectors import address_of, distance, nearest, pack, pointer_to, settle

Reals = NDArray[np.floating[Any]]

# So many rows cost less one by one, against each centroid in turn, than as a group of which most lanes are empty.
FEW_ROWS = 4
# A sum of squares below this has lost digits, or all.
LEAST_SQUARES = 1e-280


@compiled
def sweep(  # noqa: C901  (compiled: one pass over the rows, so that each is in the cache while it is used)
    points: int,
    n: int,
    d: int,
    weight: NDArray[np.float64],
    tiles: Reals,
    offsets: Reals,
    centroids: Reals,
    origin: Reals,
    slack: float,
    least: float,
    cosine: bool,
    room: Any,
    labels: NDArray[np.int32],
    distances: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> tuple[float, float, bool]:
    """Assign rows, and add them up if there are counts and sums to add them to.

    Parameters
    ----------
    points, n, d
        Address of the first row; how many rows there are, and columns.
    weight
        Of the rows (n,); empty: all 1.
    tiles, offsets, centroids, origin, slack, least
        See layout.py.
    cosine
        Whether rows are scaled to length 1.
    room
        What `make_room` makes.
    labels, distances
        Get the labels and the squared distances (n,) unless they are empty.
    counts, sums
        (k,) and (k, d rounded up): get weights and weighted points added, unless they are empty.

    Returns
    -------
    inertia
        Sum of weight times squared distance; 0 if nothing is added up.
    largest
        The largest absolute value, NaN if there is one.
    odd
        Whether a row couldn't be scaled to length 1: it is zero, or nearly. Then nothing else holds.
    """
    lanes, squares, factors, found, most, spill = room
    adding, measuring, labelling = len(counts) > 0, len(distances) > 0, len(labels) > 0
    group = len(factors)
    padded = len(origin)
    rows = numba.carray(pointer_to(points, origin), n * d)
    size = origin.itemsize
    inertia = 0.0
    odd = False
    for start in range(0, n, group):
        count = min(group, n - start)
        here = points + start * d * size
        if (start + group) * d + padded - d > n * d:
            for index in range(count * d):
                spill[index] = rows[start * d + index]
            for index in range(count * d, len(spill)):
                spill[index] = 0
            here = address_of(spill)
        if cosine:
            odd |= _length_factors(rows, start, count, d, factors)
        if count > FEW_ROWS:
            pack(here, d, origin, factors, lanes, squares, most)
            nearest(lanes, squares, tiles, offsets, d, slack, least, found)
        else:
            _note_largest(spill, count * d, most)
            found[:count] = -1
        _settle_doubts(here, count, d, origin, factors, found, centroids)
        if adding:
            inertia += _add_up(here, start, count, d, weight, origin, factors, found, centroids, counts, sums)
        if measuring:
            for lane in range(count):
                distances[start + lane] = distance(here, lane, d, origin, factors[lane], found[lane], centroids)
        if labelling:
            for lane in range(count):  # an assignment of slices would be compiled with the making of its error message
                labels[start + lane] = found[lane]
    return inertia, _largest(most), odd


@compiled
def _settle_doubts(
    points: int, count: int, d: int, origin: Reals, factors: Reals, found: NDArray[np.int32], centroids: Reals
) -> None:
    """Give the rows without a label that of the nearest centroid, computed directly and in float64."""
    for lane in range(count):
        if found[lane] < 0:
            nearest_so_far = np.inf
            found[lane] = 0  # also where a value is NaN: then nothing is nearer than anything
            for label in range(len(centroids)):
                square = distance(points, lane, d, origin, factors[lane], label, centroids)
                if square < nearest_so_far:
                    nearest_so_far = square
                    found[lane] = label


@compiled
def _add_up(
    points: int,
    start: int,
    count: int,
    d: int,
    weight: NDArray[np.float64],
    origin: Reals,
    factors: Reals,
    found: NDArray[np.int32],
    centroids: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> float:
    """Add rows to their clusters, with vectors that they fill, and return their inertia."""
    if d <= 4:  # noqa: PLR2004  (lanes; a literal, as the intrinsic wants one)
        return _add_rows(4, points, start, count, d, weight, origin, factors, found, centroids, counts, sums)
    if d <= 8:  # noqa: PLR2004
        return _add_rows(8, points, start, count, d, weight, origin, factors, found, centroids, counts, sums)
    return _add_rows(0, points, start, count, d, weight, origin, factors, found, centroids, counts, sums)


@compiled
def _add_rows(
    width: int,
    points: int,
    start: int,
    count: int,
    d: int,
    weight: NDArray[np.float64],
    origin: Reals,
    factors: Reals,
    found: NDArray[np.int32],
    centroids: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> float:
    literally(width)
    inertia = 0.0
    weighted = len(weight) > 0
    for lane in range(count):
        label = np.int64(found[lane])
        each = weight[start + lane] if weighted else 1.0
        near = settle(width, points, lane, d, origin, factors[lane], each, label, centroids, sums)
        counts[label] += each
        inertia += each * near
    return inertia


@compiled
def _length_factors(rows: Reals, start: int, count: int, d: int, factors: Reals) -> bool:
    """Write what scales each row to length 1, and say whether that failed for one."""
    odd = False
    for lane in range(count):
        total = 0.0
        for index in range((start + lane) * d, (start + lane + 1) * d):
            total += np.float64(rows[index]) * np.float64(rows[index])
        factors[lane] = 1.0 / np.sqrt(total)
        odd |= total < LEAST_SQUARES or np.isinf(factors[lane])
    return odd


@compiled
def _note_largest(spill: Reals, size: int, most: Reals) -> None:
    for index in range(size):
        value = abs(spill[index])
        if not value <= most[0]:
            most[0] = value if not np.isnan(most[0]) else most[0]


@compiled
def _largest(most: Reals) -> float:
    largest = 0.0
    for value in most:
        if np.isnan(value):
            return np.nan
        largest = max(largest, value)
    return largest


@compiled
def make_room(d: int, group: int, width: int, origin: Reals) -> Any:
    """Return what `sweep` works in, whatever the number of rows: it fits the cache for all but very long rows."""
    padded = len(origin)
    lanes = np.empty((padded, group), origin.dtype)
    squares = np.empty(group, origin.dtype)
    factors = np.ones(group, origin.dtype)
    found = np.empty(group, np.int32)
    most = np.zeros(width, origin.dtype)
    spill = np.empty(group * d + padded, origin.dtype)
    return lanes, squares, factors, found, most, spill


@compiled
def cover(
    points: int,
    n: int,
    d: int,
    weight: NDArray[np.float64],
    tiles: Reals,
    offsets: Reals,
    centroids: Reals,
    origin: Reals,
    slack: float,
    least: float,
    cosine: bool,
    group: int,
    width: int,
    labels: NDArray[np.int32],
    distances: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> tuple[float, float, bool]:
    """Do what `sweep` does, in a room of its own."""
    room = make_room(d, group, width, origin)
    return sweep(
        points, n, d, weight, tiles, offsets, centroids, origin, slack, least, cosine, room, labels, distances,
        counts, sums,
    )  # fmt: skip
