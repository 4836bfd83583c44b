"""Many small batches in one compiled call, each its own version: the update rule of clustering/update.py, compiled.

A test holds the two to the same centroids, bit for bit; but lengths, of cosine's centroids and of movements, are added
up in vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.decorators import Reals, compiled, compiled_exactly
from shoal_server.engines.numba.kernels import assign_groups
from shoal_server.engines.numba.layout import Layout, largest_norm, lay_out_rows
from shoal_server.engines.numba.workspace import allocate_workspace, held, workspace_of

# Directions that cancel out leave none.
_EPSILON = float(np.finfo(np.float64).eps)


@compiled
def apply_batches(
    addresses: NDArray[np.int64],
    rows: NDArray[np.int64],
    decays: Float64Array,
    weight: Float64Array,
    layout: Layout,
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
    weight
        Of all rows, one batch after the other; empty: all 1.
    layout
        See layout.py; what belongs to the centroids is kept up to date.
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
    k, d = means.shape
    arrays = allocate_workspace(layout)
    workspace = workspace_of(arrays)
    no_distances = np.empty(0, layout.origin.dtype)
    moved, touched = np.empty((k, d)), np.empty(k, np.int32)
    begin = applied = tried = 0
    for index in range(len(addresses)):
        end = begin + rows[index]
        inertia, largest, nearly_zero, more = assign_groups(
            addresses[index], rows[index], weight[begin:end], layout, largest_norm(layout.norms), workspace,
            labels[begin:end], no_distances, counts, sums,
        )  # fmt: skip
        tried += more
        if nearly_zero or not largest <= layout.max_value or not np.isfinite(inertia):
            break
        if not _update(decays[index], counts, sums, layout, means, weights, movement, moved, touched):
            break
        _reset(counts, sums, moved_rows)
        inertias[index] = inertia
        begin = end
        applied += 1
    if applied < len(addresses):
        # All of it: a row of weight 0 that has a NaN is in the sums, and not in the counts.
        counts[:] = 0.0
        sums[:] = 0.0
    held(arrays)
    return applied, tried


@compiled
def apply_contribution(
    counts: Float64Array,
    sums: Float64Array,
    layout: Layout,
    means: Float64Array,
    weights: Float64Array,
    movement: Float64Array,
) -> bool:
    """Apply what a batch adds up to, counts (k,) and sums (k, d); return whether everything stays finite."""
    moved, touched = np.empty((len(counts), layout.d)), np.empty(len(counts), np.int32)
    return _update(1.0, counts, sums, layout, means, weights, movement, moved, touched)


@compiled
def _update(
    decay: float,
    counts: Float64Array,
    sums: Float64Array,
    layout: Layout,
    means: Float64Array,
    weights: Float64Array,
    movement: Float64Array,
    moved: Float64Array,
    touched: NDArray[np.int32],
) -> bool:
    """Make the next version, unless something of it wouldn't be finite."""
    count = _touched(counts, touched)
    if not _move(decay, touched[:count], counts, sums, means, weights, layout.origin, layout.cosine, moved):
        return False
    _commit(decay, touched[:count], counts, moved, means, weights, movement)
    _subtract_origin(touched[:count], means, layout.origin, layout.d, layout.centroids)
    lay_out_rows(touched[:count], layout)
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
    """Write where the touched centroids move, and return whether everything is finite."""
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
def _subtract_origin(touched: NDArray[np.int32], means: Float64Array, origin: Reals, d: int, centroids: Reals) -> None:
    """Write the centroids that moved relative to the origin."""
    for label in touched:
        for feature in range(d):
            centroids[label, feature] = means[label, feature] - origin[feature]


@compiled
def _reset(counts: Float64Array, sums: Float64Array, moved_rows: NDArray[np.bool_]) -> None:
    """Zero counts and sums for the next batch, and note where they weren't."""
    for label in range(len(counts)):
        if counts[label] > 0:
            counts[label] = 0.0
            moved_rows[label] = True
            for feature in range(sums.shape[1]):
                sums[label, feature] = 0.0
