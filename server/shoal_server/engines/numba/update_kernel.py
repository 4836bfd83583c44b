"""Many small batches in one compiled call, each its own version: the update rule of clustering/update.py, compiled.

A test holds the two to the same centroids, bit for bit; but lengths, of cosine's centroids and of movements, are added
up in vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.addresses import held
from shoal_server.engines.numba.compiling import Reals, compiled, compiled_exactly
from shoal_server.engines.numba.kernels import sweep
from shoal_server.engines.numba.layout import largest_norm, lay_rows
from shoal_server.engines.numba.workspace import enter, make_room

# Directions that cancel out leave none.
_EPSILON = float(np.finfo(np.float64).eps)


@compiled
def follow(
    addresses: NDArray[np.int64],
    rows: NDArray[np.int64],
    decays: Float64Array,
    unweighted: Float64Array,
    d: int,
    tiles: Reals,
    offsets: Reals,
    centroids: Reals,
    norms: Float64Array,
    origin: Reals,
    basis: Reals,
    rotation: Reals,
    short_tiles: Reals,
    margins: Float64Array,
    cosine: bool,
    group: int,
    width: int,
    stored: int,
    most: float,
    counts: Float64Array,
    sums: Float64Array,
    means: Float64Array,
    weights: Float64Array,
    movement: Float64Array,
    moved_rows: NDArray[np.bool_],
    labels: NDArray[np.int32],
    inertias: Float64Array,
) -> tuple[int, int]:
    """Apply batches in their order, up to the first that has an unusable value.

    Parameters
    ----------
    addresses, rows, decays
        Of each batch (m,): the address of its first row, how many rows there are, and the factor of what came before.
    unweighted
        Empty: every row counts 1.
    d, tiles, offsets, centroids, norms, origin, basis, rotation, short_tiles, margins, group, width, stored
        See layout.py; what belongs to the centroids is kept up to date.
    cosine
        Whether rows and centroids are scaled to length 1.
    most
        The largest absolute value that is usable.
    counts, sums
        To work in, (k,) and (k, d up to whole vectors): they are zero, and are left so.
    means, weights, movement
        The centroids (k, d), their weights (k,) and how far the last batch moved them (k,): kept up to date.
    moved_rows
        Gets true for each centroid that some batch has moved (k,).
    labels, inertias
        Get the labels of all rows, one batch after the other, unless it is empty; and each batch's inertia (m,).

    Returns
    -------
    applied, tried
        How many batches were applied, and how many distances were computed one by one.
    """
    k = len(weights)
    arrays = make_room(d, group, width, stored, len(basis) // d, origin)
    room = enter(arrays)
    no_distances = np.empty(0, origin.dtype)
    moved, touched = np.empty((k, d)), np.empty(k, np.int32)
    unused = np.empty_like(moved_rows)
    begin = applied = tried = 0
    for index in range(len(addresses)):
        own = labels[begin : begin + rows[index]]
        inertia, largest, odd, more = sweep(
            addresses[index], rows[index], d, unweighted, tiles, offsets, centroids, origin, basis, short_tiles,
            margins, largest_norm(norms), cosine, group, width, stored, room, own, no_distances, counts, sums,
        )  # fmt: skip
        tried += more
        if odd or not largest <= most or not np.isfinite(inertia):
            break
        if not _absorb(
            decays[index], counts, sums, d, tiles, offsets, centroids, norms, origin, rotation, short_tiles, margins,
            cosine, means, weights, movement, moved, touched,
        ):  # fmt: skip
            break
        _empty(counts, sums, moved_rows)
        inertias[index] = inertia
        begin += rows[index]
        applied += 1
    _empty(counts, sums, unused)
    held(arrays)
    return applied, tried


@compiled
def move(
    counts: Float64Array,
    sums: Float64Array,
    d: int,
    tiles: Reals,
    offsets: Reals,
    centroids: Reals,
    norms: Float64Array,
    origin: Reals,
    rotation: Reals,
    short_tiles: Reals,
    margins: Float64Array,
    cosine: bool,
    means: Float64Array,
    weights: Float64Array,
    movement: Float64Array,
) -> bool:
    """Apply what a batch adds up to, counts (k,) and sums (k, d); say whether that can be: everything stays finite."""
    moved, touched = np.empty((len(counts), d)), np.empty(len(counts), np.int32)
    return _absorb(
        1.0, counts, sums, d, tiles, offsets, centroids, norms, origin, rotation, short_tiles, margins, cosine, means,
        weights, movement, moved, touched,
    )  # fmt: skip


@compiled
def _absorb(
    decay: float,
    counts: Float64Array,
    sums: Float64Array,
    d: int,
    tiles: Reals,
    offsets: Reals,
    centroids: Reals,
    norms: Float64Array,
    origin: Reals,
    rotation: Reals,
    short_tiles: Reals,
    margins: Float64Array,
    cosine: bool,
    means: Float64Array,
    weights: Float64Array,
    movement: Float64Array,
    moved: Float64Array,
    touched: NDArray[np.int32],
) -> bool:
    """Make the next version, unless something of it wouldn't be finite."""
    count = _touched(counts, touched)
    if not _move(decay, touched[:count], counts, sums, means, weights, origin, cosine, moved):
        return False
    _commit(decay, touched[:count], counts, moved, means, weights, movement)
    _bring_in(touched[:count], means, origin, d, centroids)
    lay_rows(centroids, d, touched[:count], tiles, offsets, norms, rotation, short_tiles, margins)
    return True


@compiled
def _touched(counts: Float64Array, touched: NDArray[np.int32]) -> int:
    """Write which clusters got rows, and return how many."""
    count = 0
    for label in range(len(counts)):
        if counts[label] > 0:
            touched[count] = label
            count += 1
    return count


@compiled_exactly
def _move(
    decay: float,
    touched: NDArray[np.int32],
    counts: Float64Array,
    sums: Float64Array,
    means: Float64Array,
    weights: Float64Array,
    origin: Reals,
    cosine: bool,
    moved: Float64Array,
) -> bool:
    """Write where the touched centroids move, and say whether everything is finite."""
    finite = True
    for place in range(len(touched)):
        label = touched[place]
        count, total = counts[label], weights[label] * decay + counts[label]
        for feature in range(moved.shape[1]):
            before = means[label, feature]
            moved[place, feature] = before + (sums[label, feature] - count * (before - origin[feature])) / total
        length = np.sqrt(_squares(moved, place))
        if cosine:
            for feature in range(moved.shape[1]):
                moved[place, feature] = moved[place, feature] / length if length > _EPSILON else means[label, feature]
        finite &= bool(np.isfinite(length)) and bool(np.isfinite(total))
    return finite


@compiled_exactly
def _commit(
    decay: float,
    touched: NDArray[np.int32],
    counts: Float64Array,
    moved: Float64Array,
    means: Float64Array,
    weights: Float64Array,
    movement: Float64Array,
) -> None:
    """Make the next version."""
    for label in range(len(weights)):
        weights[label] = weights[label] * decay + counts[label]
        movement[label] = 0.0
    for place in range(len(touched)):
        label = touched[place]
        movement[label] = np.sqrt(_squared_distance(moved, place, means, label))
        for feature in range(moved.shape[1]):
            means[label, feature] = moved[place, feature]


@compiled
def _squares(rows: Float64Array, row: int) -> float:
    """Return the sum of the squares of a row, added up in vectors."""
    total = 0.0
    for feature in range(rows.shape[1]):
        total += rows[row, feature] * rows[row, feature]
    return total


@compiled
def _squared_distance(rows: Float64Array, row: int, others: Float64Array, other: int) -> float:
    """Return the squared distance of two rows, added up in vectors."""
    total = 0.0
    for feature in range(rows.shape[1]):
        difference = rows[row, feature] - others[other, feature]
        total += difference * difference
    return total


@compiled_exactly
def _bring_in(touched: NDArray[np.int32], means: Float64Array, origin: Reals, d: int, centroids: Reals) -> None:
    """Bring the centroids that moved into the frame."""
    for label in touched:
        for feature in range(d):
            centroids[label, feature] = means[label, feature] - origin[feature]


@compiled
def _empty(counts: Float64Array, sums: Float64Array, moved_rows: NDArray[np.bool_]) -> None:
    """Leave counts and sums zero for the next batch, and note where they weren't."""
    for label in range(len(counts)):
        if counts[label] > 0:
            counts[label] = 0.0
            moved_rows[label] = True
            for feature in range(sums.shape[1]):
                sums[label, feature] = 0.0
