"""The kernels that draw a sample of a stream, and add up all of it, batch by batch.

What a batch adds up to for the update rule, and how far its rows are from their centroids, is known when it is applied:
to sample it then takes less than half of what `sample_rows` does. A draw is a hash of a row's number, and a batch is
sampled as a whole or not at all: so nothing depends on how batches are grouped into calls.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array, LabelArray
from shoal_server.engines.numba.arguments import sample_at
from shoal_server.engines.numba.decorators import ZERO, Reals, compiled, compiled_exactly
from shoal_server.engines.numba.kernels import add_rows
from shoal_server.engines.numba.layout import Layout, largest_norm
from shoal_server.engines.numba.sampling import draw_rows
from shoal_server.engines.numba.workspace import pointer_to, start_of

_EPS_FLOAT32, _EPS_FLOAT64 = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
_LEAST_FLOAT32, _LEAST_FLOAT64 = (
    float(np.finfo(np.float32).tiny) / _EPS_FLOAT32,
    float(np.finfo(np.float64).tiny) / _EPS_FLOAT64,
)


@compiled
def sample_labelled(
    points: int,
    n: int,
    weight: Float64Array,
    layout: Layout,
    labels: LabelArray,
    counts: Float64Array,
    sums: Float64Array,
    sample_address: int,
) -> bool:
    """Sample a batch whose labels are known as `apply_batches` does, and return whether it has been sampled.

    Parameters
    ----------
    points, n
        Address of the first row; how many rows there are.
    weight, labels
        Of the rows (n,); no weights: all are 1.
    layout
        Of the centroids before the batch.
    counts, sums
        (k,) and (k, d rounded up): to work in, zero, and left so.
    sample_address
        Of a RowSample.
    """
    sample = sample_at(sample_address, layout.centroids)
    inertia = add_rows(points, n, weight, layout, labels, sample.distances[:n], counts, sums)
    # A row of weight 0 that has a NaN is in the sums, and not in the counts.
    is_sampled = np.isfinite(inertia) and sample_batch(
        sample, ZERO, ZERO, points, n, labels, weight, layout, counts, sums
    )  # fmt: skip
    counts[:] = 0.0
    sums[:] = 0.0
    return is_sampled


@compiled_exactly
def sample_batch(
    sample: Any,
    index: int,
    begin: int,
    points: int,
    n: int,
    labels: LabelArray,
    weight: Float64Array,
    layout: Layout,
    counts: Float64Array,
    sums: Float64Array,
) -> bool:
    """Draw from a batch and add it to a block, and return whether that is done.

    It isn't where the sample has no room for it, or the squares are too small for the precision.

    Parameters
    ----------
    sample
        A RowSample that has the batch's distances.
    index, begin
        Number of the batch, and of its first row in the call.
    points, n
        Address of the first row; how many rows there are.
    labels, weight
        Of the rows (n,); no weights: all are 1.
    layout
        Of the centroids that the distances are from.
    counts, sums
        What the rows add up to, (k,) and (k, d rounded up).
    """
    factor, total = sample.factors[index], 0.0
    for count in counts:
        total += count
    if not sample.totals[0] + factor * total < sample.max_weight[0]:
        return False
    found, rows = _draw_rows(
        points, n, labels, weight, sample.distances, sample.numbers[1] + begin, sample.numbers[0], factor,
        sample.rates[0], sample.rates[1], sample.by_label, sample.batch_squares, layout.origin, sample.kept,
        sample.kept_weight, sample.kept_label, sample.found[0], sample.draws, sample.chosen,
    )  # fmt: skip
    square = 0.0
    for each in sample.batch_squares:
        square += each
    if found == len(sample.kept) or not _holds_digits(square, total, layout, sample.distances.itemsize):
        return False
    sample.found[0] = found
    sample.totals[0] += factor * total
    sample.totals[1] += factor * rows
    sample.totals[2] += rows
    _add_batch(
        factor, layout.d, layout.centroids, counts, sums, sample.batch_squares, sample.reference, sample.counts,
        sample.sums, sample.squares,
    )  # fmt: skip
    return True


@compiled_exactly
def _holds_digits(square: float, total: float, layout: Layout, size: int) -> bool:
    """Return whether squares of a weight lost no digits to underflow, in values of a size, that matter.

    They are large enough; or the centroids are so far from the origin that differences which underflow are none.
    """
    least, rounding = (_LEAST_FLOAT32, _EPS_FLOAT32) if size == 4 else (_LEAST_FLOAT64, _EPS_FLOAT64)  # noqa: PLR2004
    return square >= total * least or largest_norm(layout.norms) * rounding * rounding >= least


@compiled_exactly
def _draw_rows(
    points: int,
    n: int,
    labels: LabelArray,
    weight: Float64Array,
    distances: Reals,
    first_number: int,
    seed: int,
    factor: float,
    uniform: float,
    by_distance: float,
    by_label: Float64Array,
    squares: Float64Array,
    origin: Reals,
    kept: Reals,
    kept_weight: Float64Array,
    kept_label: LabelArray,
    found: int,
    draws: Float64Array,
    chosen: NDArray[np.int64],
) -> tuple[int, int]:
    """Keep rows, and add up the squares of all; return how many are kept in all, and how many have a weight.

    It ends early where as many are kept as these arrays hold. Parameters are those of `sample_batch` and `RowSample`.
    """
    rows = 0
    squares[:] = 0.0
    for start in range(0, n, len(draws)):
        part = slice(start, min(start + len(draws), n))
        draw_rows(seed, first_number + start, draws[: part.stop - start])
        own_weight, own_labels, own_distances = weight[part], labels[part], distances[part]
        count, weighted_rows = _choose_rows(
            own_labels, own_weight, own_distances, draws, factor, uniform, by_distance, by_label, squares, chosen
        )
        rows += weighted_rows
        for row in chosen[: min(count, len(kept) - found)]:
            label, square = own_labels[row], np.float64(own_distances[row])
            value = own_weight[row] * factor if len(weight) > 0 else factor
            chance = value * (uniform + by_distance * square + by_label[label])
            _keep(points, start + row, origin, kept, found)
            kept_weight[found] = value / min(chance, 1.0)
            kept_label[found] = label
            found += 1
        if found == len(kept):
            break
    return found, rows


@compiled_exactly
def _choose_rows(
    labels: LabelArray,
    weight: Float64Array,
    distances: Reals,
    draws: Float64Array,
    factor: float,
    uniform: float,
    by_distance: float,
    by_label: Float64Array,
    squares: Float64Array,
    chosen: NDArray[np.int64],
) -> tuple[int, int]:
    """Write which rows are kept, and add up the squares of all; return how many are, and how many have a weight.

    A loop that copies the rows, too, takes half as long again: so much doesn't fit into registers.
    """
    count, rows, weighted = 0, 0, len(weight) > 0
    for row in range(len(labels)):
        own = weight[row] if weighted else 1.0
        if own > 0:
            rows += 1
            label = np.uint64(labels[row])  # a signed index may count from the end: that is looked at each time
            value, square = own * factor, np.float64(distances[row])
            squares[label] += own * square
            if draws[row] < value * (uniform + by_distance * square + by_label[label]):
                chosen[count] = row
                count += 1
    return count, rows


@compiled_exactly
def _keep(points: int, row: int, origin: Reals, kept: Reals, place: int) -> None:
    """Copy a row, relative to the origin."""
    d = kept.shape[1]
    values = numba.carray(pointer_to(points + row * d * kept.itemsize, start_of(kept)), d)
    for column in range(d):
        kept[place, column] = values[column] - origin[column]


@compiled_exactly
def _add_batch(
    factor: float,
    d: int,
    centroids: Reals,
    counts: Float64Array,
    sums: Float64Array,
    squares: Float64Array,
    reference: Reals,
    all_counts: Float64Array,
    all_sums: Float64Array,
    all_squares: Float64Array,
) -> None:
    """Add what a batch adds up to, about its centroids, to what a block does, about its reference."""
    for label in range(len(counts)):
        count = counts[label]
        if count > 0:
            square = squares[label]
            for column in range(d):
                middle = np.float64(centroids[label, column])
                shift = middle - np.float64(reference[label, column])
                deviation = sums[label, column] - count * middle
                square += shift * (2.0 * deviation + count * shift)
                all_sums[label, column] += factor * (deviation + count * shift)
            all_counts[label] += factor * count
            all_squares[label] += factor * max(square, 0.0)
