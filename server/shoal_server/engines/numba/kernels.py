"""The compiled kernels: what is done with the rows of a chunk, from the message's bytes to sums and labels.

They let other threads run, and do nothing in parallel themselves: the server's own pool does that.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.numba.decorators import Reals, compiled, inlined
from shoal_server.engines.numba.layout import Layout, largest_norm
from shoal_server.engines.numba.pruned_assignment import label_by_bounds, settle_doubts, try_few
from shoal_server.engines.numba.scores import distance
from shoal_server.engines.numba.vectors import add_up, nearest, pack
from shoal_server.engines.numba.workspace import (
    Workspace,
    address_of,
    allocate_workspace,
    copy,
    held,
    pointer_to,
    start_of,
)

# So many rows cost less one by one, against each centroid in turn, than as a group of which most lanes are empty.
FEW_ROWS = 4
# A sum of squares below this has lost digits, or all.
MIN_SQUARES = 1e-280


@compiled
def assign_groups(
    points: int,
    n: int,
    weight: NDArray[np.float64],
    layout: Layout,
    longest: float,
    workspace: Any,
    labels: NDArray[np.int32],
    distances: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> tuple[float, float, bool, int]:
    """Assign rows, and add them up if there are counts and sums to add them to.

    Parameters
    ----------
    points, n
        Address of the first row; how many rows there are.
    weight
        Of the rows (n,); empty: all 1.
    layout
        See layout.py.
    longest
        The largest ‖c‖².
    workspace
        A Workspace.
    labels, distances
        Get the labels and the squared distances (n,) unless they are empty. What is added up is measured as `add_up`
        does it, faster and with other last bits.
    counts, sums
        (k,) and (k, d rounded up): get weights and weighted points added, unless they are empty.

    Returns
    -------
    inertia
        Sum of weight times squared distance; 0 if nothing is added up.
    largest
        The largest absolute value, NaN if there is one.
    nearly_zero
        Whether a row couldn't be scaled to length 1: it is zero, or nearly. Then nothing else holds.
    tried
        How many distances were computed one by one, but for those of groups of FEW_ROWS.
    """
    adding, measuring, labelling = len(counts) > 0, len(distances) > 0, len(labels) > 0
    # Of the loop the layout, which is a dozen arrays, is no part: see workspace.py.
    d, group, stored, cosine, origin, centroids = (
        layout.d, layout.group, layout.stored, layout.cosine, layout.origin, layout.centroids,
    )  # fmt: skip
    basis, short_tiles, offsets, margins = layout.basis, layout.short_tiles, layout.offsets, layout.margins
    weighted, bounded = len(weight) > 0, len(basis) > 0
    (k, padded), size = centroids.shape, origin.itemsize
    tiles_at, offsets_at, centroids_at, origin_at = (
        start_of(layout.tiles),
        start_of(offsets),
        start_of(centroids),
        start_of(origin),
    )
    labels_at, counts_at, sums_at = start_of(labels), start_of(counts), start_of(sums)
    weight_at, weight_size = address_of(start_of(weight)), weight.itemsize
    distances_at = address_of(start_of(distances))
    tail_at = address_of(workspace.tail)
    slack, least = margins[0], margins[1] * longest + margins[2]
    inertia = 0.0
    nearly_zero = False
    tried = 0
    for start in range(0, n, group):
        count = min(group, n - start)
        here = points + start * d * size
        if (start + group) * d + padded - d > n * d:
            _copy_tail(here, count * d, group * d + padded, workspace.tail)
            here = tail_at
        if cosine:
            nearly_zero |= _length_factors(here, count, d, workspace.factors)
        if count <= FEW_ROWS:
            _note_largest(here, count * d, workspace.largest)
            try_few(here, count, d, origin, centroids, workspace)  # so few rows say nothing about pruning
        else:
            pack(
                here, d, origin_at, workspace.factors, workspace.transposed, workspace.squares, workspace.largest
            )  # fmt: skip
            if bounded:
                tried += label_by_bounds(
                    here, count, d, group, origin, centroids, basis, short_tiles, offsets, margins, longest, workspace
                )
            elif nearest(
                workspace.transposed, workspace.squares, tiles_at, offsets_at, k, d, slack, least, stored > 0,
                workspace.scores, workspace.thresholds, workspace.labels,
            ):  # fmt: skip
                tried += settle_doubts(here, count, d, group, stored, origin, centroids, workspace)
        if adding:
            own = weight_at + start * weight_size
            inertia += _add_up(
                here, count, d, weighted, own, origin_at, workspace.factors, workspace.labels, centroids_at,
                counts_at, sums_at, distances_at + start * size if measuring else 0,
            )  # fmt: skip
        elif measuring:
            _measure(here, start, count, d, origin, centroids, workspace, distances)
        if labelling:
            copy(workspace.labels, labels_at, start, count)
    return inertia, _largest(numba.carray(workspace.largest, layout.width)), nearly_zero, tried


@inlined
def _add_up(
    points: int,
    count: int,
    d: int,
    weighted: bool,
    weight: int,
    origin: Any,
    factors: Any,
    labels: Any,
    centroids: Any,
    counts: Any,
    sums: Any,
    distances: int,
) -> float:
    """Add rows to their clusters, with vectors that they fill, and return their inertia."""
    inertia: float
    if d <= 4:  # noqa: PLR2004  (lanes; a literal, as the intrinsic wants one)
        inertia = add_up(
            4, points, count, d, origin, factors, weighted, weight, labels, centroids, counts, sums, distances
        )
    elif d <= 8:  # noqa: PLR2004
        inertia = add_up(
            8, points, count, d, origin, factors, weighted, weight, labels, centroids, counts, sums, distances
        )
    else:
        inertia = add_up(
            0, points, count, d, origin, factors, weighted, weight, labels, centroids, counts, sums, distances
        )
    return inertia


@compiled
def _measure(
    points: int,
    start: int,
    count: int,
    d: int,
    origin: Reals,
    centroids: Reals,
    workspace: Workspace,
    distances: Reals,
) -> None:
    """Write the squared distances of a group of rows."""
    factors, labels = numba.carray(workspace.factors, count), numba.carray(workspace.labels, count)
    for lane in range(count):
        distances[start + lane] = distance(points, lane, d, origin, factors[lane], labels[lane], centroids)


@compiled
def _copy_tail(points: int, size: int, tail_size: int, tail: Any) -> None:
    """Copy values to where others may be read behind them: zeros."""
    copy(pointer_to(points, tail), tail, 0, size)
    copied = numba.carray(tail, tail_size)
    copied[size:] = 0


@compiled
def _length_factors(points: int, count: int, d: int, factors: Any) -> bool:
    """Write what scales each row to length 1, and return whether that failed for one."""
    rows, written = numba.carray(pointer_to(points, factors), count * d), numba.carray(factors, count)
    nearly_zero = False
    for lane in range(count):
        total = 0.0
        for index in range(lane * d, (lane + 1) * d):
            total += np.float64(rows[index]) * np.float64(rows[index])
        written[lane] = 1.0 / np.sqrt(total)
        nearly_zero |= total < MIN_SQUARES or np.isinf(written[lane])
    return nearly_zero


@compiled
def _note_largest(points: int, size: int, largest: Any) -> None:
    values, noted = numba.carray(pointer_to(points, largest), size), numba.carray(largest, 1)
    for index in range(size):
        value = abs(values[index])
        if not value <= noted[0]:
            noted[0] = value if not np.isnan(noted[0]) else noted[0]


@compiled
def _largest(largest_values: Reals) -> float:
    largest = 0.0
    for value in largest_values:
        if np.isnan(value):
            return np.nan
        largest = max(largest, value)
    return largest


@compiled
def assign_rows(
    points: int,
    n: int,
    weight: NDArray[np.float64],
    layout: Layout,
    labels: NDArray[np.int32],
    distances: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> tuple[float, float, bool, int]:
    """Do what `assign_groups` does, in a workspace of its own."""
    workspace, memory = allocate_workspace(layout)
    found = assign_groups(
        points, n, weight, layout, largest_norm(layout.norms), workspace, labels, distances, counts, sums
    )
    held(memory)
    return found


@compiled
def add_rows(
    points: int,
    n: int,
    weight: NDArray[np.float64],
    layout: Layout,
    labels: NDArray[np.int32],
    distances: Reals,
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> float:
    """Add up rows whose labels (n,) are known, and return their inertia; parameters as those of `assign_groups`."""
    d, group, origin = layout.d, layout.group, layout.origin
    padded, size = len(origin), origin.itemsize
    factors, tail = np.ones(group, origin.dtype), np.empty(group * d + padded, origin.dtype)
    factors_at, tail_at = start_of(factors), start_of(tail)
    origin_at, centroids_at, labels_at = start_of(origin), start_of(layout.centroids), start_of(labels)
    counts_at, sums_at, weight_at = start_of(counts), start_of(sums), address_of(start_of(weight))
    distances_at, measuring = address_of(start_of(distances)), len(distances) > 0
    inertia = 0.0
    for start in range(0, n, group):
        count = min(group, n - start)
        here = points + start * d * size
        if (start + group) * d + padded - d > n * d:
            _copy_tail(here, count * d, group * d + padded, tail_at)
            here = address_of(tail_at)
        own = pointer_to(address_of(labels_at) + start * labels.itemsize, labels_at)
        inertia += _add_up(
            here, count, d, len(weight) > 0, weight_at + start * weight.itemsize, origin_at, factors_at, own,
            centroids_at, counts_at, sums_at, distances_at + start * size if measuring else 0,
        )  # fmt: skip
    held((factors, tail))
    return inertia
