"""Many small batches in one compiled call, each its own version: the update rule of clustering/update.py, compiled.

A test holds the two to the same centroids, bit for bit; but lengths, of cosine's centroids and of movements, are added
up in vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.arguments import (
    Version,
    array_at,
    data_at,
    fused_arguments_at,
    item_at,
    length_at,
    version_at,
)
from shoal_server.engines.numba.batch_sampling import sample_batch
from shoal_server.engines.numba.decorators import ZERO, Reals, compiled, compiled_exactly
from shoal_server.engines.numba.kernels import assign_groups
from shoal_server.engines.numba.layout import Layout, largest_norm, lay_out_rows
from shoal_server.engines.numba.microkernel import TILE
from shoal_server.engines.numba.workspace import allocate_workspace, held

# Directions that cancel out leave none.
_EPSILON = float(np.finfo(np.float64).eps)


@compiled
def apply_batches(
    points_address: int, weights_address: int, count: int, arguments_address: int, like: Reals
) -> tuple[int, int]:
    """Apply batches in their order, up to the first that has an unusable value or that a sample doesn't take.

    A sample may have the batch, too, that is not applied because a centroid would not be finite.

    Parameters
    ----------
    points_address
        Of a tuple of the points of each batch, (n, d), C-contiguous and of the precision.
    weights_address
        Of a tuple of the weights of each batch's rows, (n,); empty: all 1.
    count
        How many batches there are.
    arguments_address
        Of FusedArguments, whose version after is made.
    like
        An array of the precision.

    Returns
    -------
    applied, tried
        How many batches were applied, and how many distances were computed one by one.
    """
    arguments = fused_arguments_at(arguments_address, like)
    before, after = arguments.before, arguments.after
    counts, sums, decays, all_labels = arguments.counts, arguments.sums, arguments.decays, arguments.labels
    layout, means, weights, movement, moved_rows = (
        after.layout, after.centroids, after.weights, after.movement, after.moved_rows,
    )  # fmt: skip
    _begin(before, after)
    k, d = means.shape
    workspace, memory = allocate_workspace(layout)
    sampling = len(arguments.sample.factors) > 0
    moved, touched = np.empty((k, d)), np.empty(k, np.int32)
    begin, applied, tried = ZERO, 0, 0
    for index in range(count):
        points = item_at(points_address, index)
        rows = length_at(points)
        own = array_at(item_at(weights_address, index), decays)
        keeps_labels = len(all_labels) > 0 or not sampling
        labels = all_labels[begin : begin + rows] if keeps_labels else arguments.sample.labels[:rows]
        inertia, largest, nearly_zero, more = assign_groups(
            data_at(points), rows, own, layout, largest_norm(layout.norms), workspace, labels,
            arguments.sample.distances[:rows], counts, sums,
        )  # fmt: skip
        tried += more
        if nearly_zero or not largest <= layout.max_value or not np.isfinite(inertia):
            break
        if sampling and not sample_batch(
            arguments.sample, index, begin, data_at(points), rows, labels, own, layout, counts, sums
        ):
            arguments.sample.found[1] = 1
            break
        decay = decays[index] if len(decays) > 0 else 1.0
        if not _update(decay, counts, sums, layout, means, weights, movement, moved, touched):
            break
        _reset(counts, sums, moved_rows)
        arguments.inertias[index] = inertia
        begin += rows
        applied += 1
    if applied < count:
        # All of it: a row of weight 0 that has a NaN is in the sums, and not in the counts.
        counts[:] = 0.0
        sums[:] = 0.0
    held(memory)
    return applied, tried


@compiled
def apply_contribution(
    counts: Float64Array, sums: Float64Array, before_address: int, after_address: int, like: Reals
) -> bool:
    """Apply what a batch adds up to, counts (k,) and sums (k, d); return whether everything stays finite.

    The addresses are those of two versions: the second is made of the first. `like` is an array of their precision.
    """
    after = version_at(after_address, like)
    _begin(version_at(before_address, like), after)
    k, d = after.centroids.shape
    own, moved, touched = np.empty(k), np.empty((k, d)), np.empty(k, np.int32)
    for label in range(k):
        own[label] = counts[label]
        after.moved_rows[label] = counts[label] > 0
        for feature in range(d):
            moved[label, feature] = sums[label, feature]
    # A centroid's sum is read before the place of it, or of one before it, gets where that moves.
    return _update(1.0, own, moved, after.layout, after.centroids, after.weights, after.movement, moved, touched)


@compiled
def _begin(before: Version, after: Version) -> None:
    """Make a version like the one before it: of that it lacks the rows that moved, and the weights."""
    weights, movement, moved_rows = after.weights, after.movement, after.moved_rows
    for label in range(len(weights)):
        weights[label] = before.weights[label]
        movement[label] = 0.0
        moved_rows[label] = False
    source, target = before.layout, after.layout
    tiles = len(source.offsets) // TILE
    _copy_moved(before.moved_rows, 1, before.centroids.reshape(-1), after.centroids.reshape(-1), len(weights))
    _copy_moved(before.moved_rows, 1, source.centroids.reshape(-1), target.centroids.reshape(-1), len(weights))
    _copy_moved(before.moved_rows, 1, source.norms, target.norms, len(weights))
    _copy_moved(before.moved_rows, TILE, source.offsets, target.offsets, tiles)
    _copy_moved(before.moved_rows, TILE, source.tiles, target.tiles, tiles)
    _copy_moved(before.moved_rows, TILE, source.short_tiles, target.short_tiles, tiles)


@compiled
def _copy_moved(moved_rows: NDArray[np.bool_], group: int, source: Reals, target: Reals, parts: int) -> None:
    """Copy those of the equal parts of an array that belong to rows that moved, so many rows to a part."""
    size, copied = len(source) // parts, -1
    for label in range(len(moved_rows)):
        part = label // group
        if moved_rows[label] and part != copied:
            for place in range(part * size, (part + 1) * size):
                target[place] = source[place]
            copied = part


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
