"""The compiled kernels: what is done with the rows of a span, from the message's bytes to sums and labels.

They let other threads run, and do nothing in parallel themselves: the server's own pool does that.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.numba.candidates import nearest_by_bounds, try_all, try_reaching
from shoal_server.engines.numba.compiling import Reals, compiled, inlined
from shoal_server.engines.numba.vectors import add_up, address_of, distance, nearest, pack, pointer_to

# So many rows cost less one by one, against each centroid in turn, than as a group of which most lanes are empty.
FEW_ROWS = 4
LINE = 64  # bytes of a cache line
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
    basis: Reals,
    short_tiles: Reals,
    margins: NDArray[np.float64],
    longest: float,
    cosine: bool,
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
    tiles, offsets, centroids, origin, basis, short_tiles, margins
        See layout.py.
    longest
        The largest ‖c‖².
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
    tried
        How many distances were computed one by one, but for those of groups of FEW_ROWS.
    """
    factors, found, most, spill = room[2], room[3], room[4], room[5]
    adding, measuring, labelling = len(counts) > 0, len(distances) > 0, len(labels) > 0
    group = len(factors)
    padded = len(origin)
    rows = numba.carray(pointer_to(points, origin), n * d)
    size = origin.itemsize
    inertia = 0.0
    odd = False
    tried = 0
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
        tried += _label(
            here, count, d, tiles, offsets, centroids, origin, basis, short_tiles, margins, longest, room
        )  # fmt: skip
        if adding:
            inertia += _add_up(here, start, count, d, weight, origin, factors, found, centroids, counts, sums)
        if measuring:
            for lane in range(count):
                distances[start + lane] = distance(here, lane, d, origin, factors[lane], found[lane], centroids)
        if labelling:
            for lane in range(count):  # an assignment of slices would be compiled with the making of its error message
                labels[start + lane] = found[lane]
    return inertia, _largest(most), odd, tried


@inlined
def _label(
    points: int,
    count: int,
    d: int,
    tiles: Reals,
    offsets: Reals,
    centroids: Reals,
    origin: Reals,
    basis: Reals,
    short_tiles: Reals,
    margins: NDArray[np.float64],
    longest: float,
    room: Any,
) -> int:
    """Label the rows of a group, and return how many distances were computed one by one."""
    (
        lanes,
        squares,
        factors,
        found,
        most,
        spill,
        scores,
        thresholds,
        near,
        short,
        first,
        highest,
        doubtful,
        scored,
        allowed,
    ) = room
    if count <= FEW_ROWS:
        _note_largest(spill, count * d, most)
        thresholds[:count] = -np.inf
        try_all(points, count, d, origin, factors, centroids, thresholds, found)
        return 0  # so few rows tell nothing of the regime
    pack(points, d, origin, factors, lanes, squares, most)
    if len(basis) > 0:
        return nearest_by_bounds(
            points, count, d, origin, factors, centroids, lanes, squares, basis, short_tiles, offsets, margins,
            longest, short, scores, thresholds, found, near, first, highest, doubtful, scored, allowed,
        )  # fmt: skip
    least = margins[1] * longest + margins[2]
    storing = len(scores) > 0
    nearest(lanes, squares, tiles, offsets, d, margins[0], least, storing, scores, thresholds, found)
    if storing:
        return try_reaching(points, count, d, origin, factors, centroids, scores, thresholds, found, near)
    return try_all(points, count, d, origin, factors, centroids, thresholds, found)


@inlined
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
    weighted = len(weight) > 0
    own = address_of(weight) + start * weight.itemsize
    inertia: float
    if d <= 4:  # noqa: PLR2004  (lanes; a literal, as the intrinsic wants one)
        inertia = add_up(4, points, count, d, origin, factors, weighted, own, found, centroids, counts, sums)
    elif d <= 8:  # noqa: PLR2004
        inertia = add_up(8, points, count, d, origin, factors, weighted, own, found, centroids, counts, sums)
    else:
        inertia = add_up(0, points, count, d, origin, factors, weighted, own, found, centroids, counts, sums)
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
def make_room(d: int, group: int, width: int, stored: int, axes: int, origin: Reals) -> Any:
    """Return what `sweep` works in, whatever the number of rows.

    Parameters
    ----------
    d, group, width, origin
        See layout.py.
    stored, axes
        How many scores of a row are kept, and how many axes the bounds use; 0: none.
    """
    padded = len(origin)
    lanes = aligned(padded * group, origin).reshape(padded, group)
    squares = aligned(group, origin)
    factors = aligned(group, origin)
    factors[:] = 1
    found = np.empty(group, np.int32)
    most = np.zeros(width, origin.dtype)
    spill = np.empty(group * d + padded, origin.dtype)
    scores = aligned(stored * group, origin).reshape(stored, group)
    thresholds = aligned(group, origin)
    near = np.empty(group)
    short = aligned((axes + 1) * group, origin).reshape(axes + 1, group)
    first = np.empty(group, np.int32)
    highest = aligned(group, origin)
    doubtful = np.empty(group, np.bool_)
    scored, allowed = np.empty(group, origin.dtype), np.empty(group, origin.dtype)
    return (
        lanes, squares, factors, found, most, spill, scores, thresholds, near, short, first, highest, doubtful,
        scored, allowed,
    )  # fmt: skip


@compiled
def aligned(size: int, like: Reals) -> Reals:
    """Return an array whose first element begins a cache line: a vector that lies in two lines costs twice."""
    spare = LINE // like.itemsize
    wide = np.empty(size + spare, like.dtype)
    first = -address_of(wide) % LINE // like.itemsize
    return wide[first : first + size]


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
    longest: float,
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
    room = make_room(d, group, width, stored, len(basis) // d, origin)
    return sweep(
        points, n, d, weight, tiles, offsets, centroids, origin, basis, short_tiles, margins, longest, cosine, room,
        labels, distances, counts, sums,
    )  # fmt: skip
