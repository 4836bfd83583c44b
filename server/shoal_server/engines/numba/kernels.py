"""The compiled kernels: what is done with the rows of a span, from the message's bytes to sums and labels.

They let other threads run, and do nothing in parallel themselves: the server's own pool does that.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.numba.addresses import address_of, copy, held, pointer_to, start_of
from shoal_server.engines.numba.compiling import Reals, compiled, inlined
from shoal_server.engines.numba.layout import largest_norm
from shoal_server.engines.numba.pruned_assignment import label_by_bounds, settle_doubts, try_few
from shoal_server.engines.numba.vectors import add_up, distance, nearest, pack
from shoal_server.engines.numba.workspace import Room, enter, make_room

# So many rows cost less one by one, against each centroid in turn, than as a group of which most lanes are empty.
FEW_ROWS = 4
# A sum of squares below this has lost digits, or all.
MIN_SQUARES = 1e-280


@compiled
def sweep(
    points: int,
    n: int,
    d: int,
    weight: NDArray[np.float64],
    tiles: Reals,
    offsets: Reals,
    centroids: Reals,
    origin: Reals,
    basis: Reals,
    short_tiles: Reals,
    margins: NDArray[np.float64],
    longest: float,
    cosine: bool,
    group: int,
    width: int,
    stored: int,
    room: Any,
    labels: NDArray[np.int32],
    distances: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> tuple[float, float, bool, int]:
    """Assign rows, and add them up if there are counts and sums to add them to.

    Parameters
    ----------
    points, n, d
        Address of the first row; how many rows there are, and columns.
    weight
        Of the rows (n,); empty: all 1.
    tiles, offsets, centroids, origin, basis, short_tiles, margins, group, width, stored
        See layout.py.
    longest
        The largest ‖c‖².
    cosine
        Whether rows are scaled to length 1.
    room
        A Room.
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
    tried
        How many distances were computed one by one, but for those of groups of FEW_ROWS.
    """
    adding, measuring, labelling = len(counts) > 0, len(distances) > 0, len(labels) > 0
    weighted, bounded = len(weight) > 0, len(basis) > 0
    (k, padded), size = centroids.shape, origin.itemsize
    # Of the loop no array is part: see addresses.py.
    tiles_at, offsets_at, centroids_at, origin_at = (
        start_of(tiles),
        start_of(offsets),
        start_of(centroids),
        start_of(origin),
    )
    labels_at, counts_at, sums_at = start_of(labels), start_of(counts), start_of(sums)
    weight_at, weight_size = address_of(start_of(weight)), weight.itemsize
    spill_at = address_of(room.spill)
    slack, least = margins[0], margins[1] * longest + margins[2]
    inertia = 0.0
    odd = False
    tried = 0
    for start in range(0, n, group):
        count = min(group, n - start)
        here = points + start * d * size
        if (start + group) * d + padded - d > n * d:
            _spill(here, count * d, group * d + padded, room.spill)
            here = spill_at
        if cosine:
            odd |= _length_factors(here, count, d, room.factors)
        if count <= FEW_ROWS:
            _note_largest(here, count * d, room.most)
            try_few(here, count, d, origin, centroids, room)  # so few rows tell nothing of the regime
        else:
            pack(here, d, origin_at, room.factors, room.lanes, room.squares, room.most)
            if bounded:
                tried += label_by_bounds(
                    here, count, d, group, origin, centroids, basis, short_tiles, offsets, margins, longest, room
                )
            elif nearest(
                room.lanes, room.squares, tiles_at, offsets_at, k, d, slack, least, stored > 0, room.scores,
                room.thresholds, room.found,
            ):  # fmt: skip
                tried += settle_doubts(here, count, d, group, stored, origin, centroids, room)
        if adding:
            own = weight_at + start * weight_size
            inertia += _add_up(
                here, count, d, weighted, own, origin_at, room.factors, room.found, centroids_at, counts_at, sums_at
            )
        if measuring:
            _measure(here, start, count, d, origin, centroids, room, distances)
        if labelling:
            copy(room.found, labels_at, start, count)
    return inertia, _largest(numba.carray(room.most, width)), odd, tried


@inlined
def _add_up(
    points: int,
    count: int,
    d: int,
    weighted: bool,
    weight: int,
    origin: Any,
    factors: Any,
    found: Any,
    centroids: Any,
    counts: Any,
    sums: Any,
) -> float:
    """Add rows to their clusters, with vectors that they fill, and return their inertia."""
    inertia: float
    if d <= 4:  # noqa: PLR2004  (lanes; a literal, as the intrinsic wants one)
        inertia = add_up(4, points, count, d, origin, factors, weighted, weight, found, centroids, counts, sums)
    elif d <= 8:  # noqa: PLR2004
        inertia = add_up(8, points, count, d, origin, factors, weighted, weight, found, centroids, counts, sums)
    else:
        inertia = add_up(0, points, count, d, origin, factors, weighted, weight, found, centroids, counts, sums)
    return inertia


@compiled
def _measure(
    points: int, start: int, count: int, d: int, origin: Reals, centroids: Reals, room: Room, distances: Reals
) -> None:
    """Write the squared distances of a group of rows."""
    factors, found = numba.carray(room.factors, count), numba.carray(room.found, count)
    for lane in range(count):
        distances[start + lane] = distance(points, lane, d, origin, factors[lane], found[lane], centroids)


@compiled
def _spill(points: int, size: int, room_size: int, spill: Any) -> None:
    """Copy values to where others may be read behind them: zeros."""
    copy(pointer_to(points, spill), spill, 0, size)
    copied = numba.carray(spill, room_size)
    copied[size:] = 0


@compiled
def _length_factors(points: int, count: int, d: int, factors: Any) -> bool:
    """Write what scales each row to length 1, and say whether that failed for one."""
    rows, written = numba.carray(pointer_to(points, factors), count * d), numba.carray(factors, count)
    odd = False
    for lane in range(count):
        total = 0.0
        for index in range(lane * d, (lane + 1) * d):
            total += np.float64(rows[index]) * np.float64(rows[index])
        written[lane] = 1.0 / np.sqrt(total)
        odd |= total < MIN_SQUARES or np.isinf(written[lane])
    return odd


@compiled
def _note_largest(points: int, size: int, most: Any) -> None:
    values, noted = numba.carray(pointer_to(points, most), size), numba.carray(most, 1)
    for index in range(size):
        value = abs(values[index])
        if not value <= noted[0]:
            noted[0] = value if not np.isnan(noted[0]) else noted[0]


@compiled
def _largest(most: Reals) -> float:
    largest = 0.0
    for value in most:
        if np.isnan(value):
            return np.nan
        largest = max(largest, value)
    return largest


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
    basis: Reals,
    short_tiles: Reals,
    margins: NDArray[np.float64],
    norms: NDArray[np.float64],
    cosine: bool,
    group: int,
    width: int,
    stored: int,
    labels: NDArray[np.int32],
    distances: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> tuple[float, float, bool, int]:
    """Do what `sweep` does, in a room of its own."""
    arrays = make_room(d, group, width, stored, len(basis) // d, origin)
    found = sweep(
        points, n, d, weight, tiles, offsets, centroids, origin, basis, short_tiles, margins, largest_norm(norms),
        cosine, group, width, stored, enter(arrays), labels, distances, counts, sums,
    )  # fmt: skip
    held(arrays)
    return found


@compiled
def add(
    points: int,
    n: int,
    d: int,
    weight: NDArray[np.float64],
    centroids: Reals,
    origin: Reals,
    group: int,
    labels: NDArray[np.int32],
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> float:
    """Add up rows whose labels (n,) are known, and return their inertia; parameters as those of `sweep`."""
    padded, size = len(origin), origin.itemsize
    factors, spill = np.ones(group, origin.dtype), np.empty(group * d + padded, origin.dtype)
    factors_at, spill_at = start_of(factors), start_of(spill)
    origin_at, centroids_at, labels_at = start_of(origin), start_of(centroids), start_of(labels)
    counts_at, sums_at, weight_at = start_of(counts), start_of(sums), address_of(start_of(weight))
    inertia = 0.0
    for start in range(0, n, group):
        count = min(group, n - start)
        here = points + start * d * size
        if (start + group) * d + padded - d > n * d:
            _spill(here, count * d, group * d + padded, spill_at)
            here = address_of(spill_at)
        own = pointer_to(address_of(labels_at) + start * labels.itemsize, labels_at)
        inertia += _add_up(
            here, count, d, len(weight) > 0, weight_at + start * weight.itemsize, origin_at, factors_at, own,
            centroids_at, counts_at, sums_at,
        )  # fmt: skip
    held((factors, spill))
    return inertia
