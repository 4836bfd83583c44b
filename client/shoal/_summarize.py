"""Compresses rows into a few weighted points before they are sent: NumPy alone, in two passes, chunk by chunk.

A point is drawn with a chance that grows with its distance from the nearest of some pivots and with the rarity of that
pivot's cell: sensitivity sampling, as in Feldman and Langberg, "A unified framework for approximating and clustering
data", 2011. It is systematic within each cell, so that none is left out. Then weight, mean and scatter of each cell's
sample are made those of all its rows: so the points estimate the inertia of any centroids, hardly with a bias.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal._batch_codec import as_batch
from shoal._types import Batch
from shoal._validation import UINT32, integer, invalid, points_array, weight_array

_MAX_SIZE = 2**31 - 1
_MAX_WEIGHT = 1e50  # as the server has it
# Pivots: many in few columns, where they follow the shape of the rows; in many columns a sample of a cell is as good
# for its size as one of all rows, and each distance costs more. Each gets one point for sure, and three on average.
_MIN_PIVOTS, _MAX_PIVOTS, _PIVOT_VALUES, _POINTS_A_PIVOT = 16, 256, 4096, 4
# They are drawn from so many rows, by D² with two candidates each, and moved to the means of these rows so often.
_ROWS_A_PIVOT, _MIN_DRAWN, _DRAWN_VALUES, _CANDIDATES, _MOVES = 16, 4096, 1 << 22, 2, 2
_CHUNK_VALUES = 1 << 20  # of rows, and of their distances to the pivots
_MAX_STRETCH = 2.0  # of a sample's deviations from its mean
_MIN_FOUND = 1e-9  # of the scatter, in the sample: less can't be stretched to it

_Reals = NDArray[np.floating[Any]]
_Doubles = NDArray[np.float64]


def summarize(
    X: ArrayLike | Batch, size: int, sample_weight: ArrayLike | None = None, random_state: int | None = None
) -> Batch:
    """Return a batch of at most `size` weighted points that stands for many rows: clusters of both are nearly the same.

    Total weight and weighted mean are those of the rows, but for rounding, and so is the inertia of any centroids on
    average. 20 to 40 points a cluster are a good size.

    Parameters
    ----------
    X
        Rows, shape (n, d), n from 1 up, all finite. Or a batch of them, which may be a summary: its weights count, and
        the result has its event time.
    size
        The most points, from 1 up. Rows that are no more than that are returned as they are.
    sample_weight
        Shape (n,), not negative; None: every row counts 1.
    random_state
        Makes the points repeatable, 0 to 2**32 - 1.

    Returns
    -------
    Batch
        With ``points``, shape (m, d), in the precision in which a session would compute with X (float32, or float64)
        unless they are all of its rows, and ``sample_weight``, shape (m,) float64. It can be pushed and ingested like
        any other.

    Raises
    ------
    InvalidArgumentError
        If an argument is invalid.

    Examples
    --------
    >>> session.push(shoal.summarize(X, 5000))
    """
    batch = as_batch(X, sample_weight, None)
    points, sample_weight = points_array(batch.points, "X"), batch.sample_weight
    most = integer("size", size, (1, _MAX_SIZE))
    random = np.random.default_rng(None if random_state is None else integer("random_state", random_state, UINT32))
    weights = _weights(sample_weight, len(points))
    largest = _largest(points)
    if len(points) <= most:
        return Batch(points, weights.copy(), batch.event_time)
    if sample_weight is not None and np.count_nonzero(counting := weights > 0) <= most:
        if not counting.any():
            raise _bad_weight("sample_weight is 0 throughout; some row has to count")
        return Batch(points[counting].astype(_precision(points)), weights[counting], batch.event_time)
    rows = _Rows(points, weights, largest)
    cells = _divide(rows, _pivots(rows, most, random))
    return replace(_calibrated(rows, cells, *_drawn(rows, cells, most, random)), event_time=batch.event_time)


def _precision(points: NDArray[Any]) -> np.dtype[Any]:
    """Return the precision in which a session would compute with points."""
    return np.dtype(np.float32 if np.can_cast(points.dtype, np.float32, "safe") else np.float64)


class _Rows:
    """The rows as they are computed with: relative to their mean and in a unit in which no square overflows."""

    def __init__(self, points: NDArray[Any], weights: _Doubles, largest: float) -> None:
        self.points = points  # (n, d) as they came
        self.weight_unit = float(weights.max())
        self.weights = weights if self.weight_unit == 1 else weights / self.weight_unit  # (n,)
        self.precision = _precision(points)
        self.unit = math.ldexp(1.0, math.frexp(largest)[1])  # a power of two: to divide by it loses nothing
        self.total = float(self.weights.sum())
        self.origin = np.zeros(points.shape[1])
        for chunk in self.chunks(points.shape[1]):
            self.origin += self.weights[chunk] @ (points[chunk].astype(np.float64) / self.unit)
        self.origin /= self.total

    @property
    def are_alike(self) -> bool:
        """Whether all rows weigh 1, and no array says so."""
        return self.weights.strides == (0,)

    def chunks(self, width: int) -> Iterator[slice]:
        """Yield consecutive parts of the rows, of which each row takes `width` values."""
        rows = max(_CHUNK_VALUES // max(width, self.points.shape[1]), 1)
        for start in range(0, len(self.points), rows):
            yield slice(start, min(start + rows, len(self.points)))

    def of(self, which: slice | NDArray[np.intp]) -> _Reals:
        """Return some rows as they are computed with."""
        relative: _Reals = (self.points[which].astype(np.float64) / self.unit - self.origin).astype(self.precision)
        return relative

    def restored(self, relative: _Doubles) -> _Reals:
        """Return points (m, d) as they would have come."""
        restored: _Reals = ((relative + self.origin) * self.unit).astype(self.precision)
        return restored


class _Cells(NamedTuple):
    """The rows nearest to each pivot."""

    pivots: _Reals  # (p, d)
    labels: NDArray[np.int16]  # (n,)
    squares: _Reals  # (n,) squared distance of each row to its pivot
    weights: _Doubles  # (p,)
    means: _Doubles  # (p, d) of the deviations from the pivot
    errors: _Doubles  # (p,) weighted squares


def _pivots(rows: _Rows, size: int, random: np.random.Generator) -> _Reals:
    """Return pivots (p, d) among the rows, spread as these are."""
    n, d = rows.points.shape
    count = min(max(_PIVOT_VALUES // d, _MIN_PIVOTS), _MAX_PIVOTS, max(size // _POINTS_A_PIVOT, 1))
    drawn = min(max(_ROWS_A_PIVOT * count, _MIN_DRAWN), max(_DRAWN_VALUES // d, _POINTS_A_PIVOT * count))
    # Rows of the same total weight, whatever the weights are: each counts 1 then.
    places = (np.arange(drawn) + random.random(drawn)) * (rows.total / drawn)
    found = places if rows.are_alike else np.searchsorted(np.cumsum(rows.weights), places, side="right")
    which = np.minimum(found.astype(np.intp), n - 1)
    sample = rows.of(which)
    chosen = [int(random.integers(drawn))]
    squares = _squares(sample, sample[chosen])[:, 0]
    while len(chosen) < count and (total := float(squares.sum(dtype=np.float64))) > 0:
        ends = np.cumsum(squares, dtype=np.float64)
        candidates = np.minimum(np.searchsorted(ends, random.random(_CANDIDATES) * total, side="right"), drawn - 1)
        with_each = np.minimum(squares[:, None], _squares(sample, sample[candidates]))
        best = int(with_each.sum(axis=0, dtype=np.float64).argmin())
        chosen.append(int(candidates[best]))
        squares = with_each[:, best]
    pivots = sample[chosen]
    for _ in range(_MOVES):
        labels = _nearest(sample, pivots)
        sums, counts = np.zeros(pivots.shape), np.bincount(labels, minlength=len(pivots))
        _add_by_label(sample, labels, sums)
        pivots = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], pivots).astype(rows.precision)
    return pivots


def _divide(rows: _Rows, pivots: _Reals) -> _Cells:
    """Return the cells of pivots (p, d)."""
    n, p = len(rows.points), len(pivots)
    labels, squares = np.empty(n, np.int16), np.empty(n, rows.precision)
    weights, sums, errors = np.zeros(p), np.zeros(pivots.shape), np.zeros(p)
    for chunk in rows.chunks(p):
        points, weight = rows.of(chunk), rows.weights[chunk]
        own = _nearest(points, pivots)
        deviations = points - pivots[own]  # those of the expanded form have few digits where pivots are near
        square = np.einsum("nd,nd->n", deviations, deviations)
        labels[chunk], squares[chunk] = own, square
        weights += np.bincount(own, weight, p)
        errors += np.bincount(own, weight * square, p)
        _add_by_label(deviations * weight[:, None], own, sums)
    means = np.divide(sums, weights[:, None], out=np.zeros_like(sums), where=weights[:, None] > 0)
    return _Cells(pivots, labels, squares, weights, means, errors)


def _drawn(rows: _Rows, cells: _Cells, size: int, random: np.random.Generator) -> tuple[NDArray[np.intp], _Doubles]:
    """Return which rows are drawn, (m,), and what each weighs for all that it stands for, (m,)."""
    live = cells.weights > 0
    error = float(cells.errors.sum())
    by_weight = 1 / rows.total
    by_square = by_weight / (error / rows.total) if error > 0 else 0.0
    by_cell = np.divide(1.0, cells.weights * np.count_nonzero(live), out=np.zeros(len(live)), where=live)
    terms = 3 if error > 0 else 2
    # A cell is a stretch of a line of `size` units, in which its rows lie one behind the other, each as long as its
    # chance; the rows at the marks, one a unit, are drawn.
    masses = (by_weight + by_cell) * cells.weights + by_square * cells.errors
    ends = np.cumsum(masses * (size / terms))
    reached = ends - masses * (size / terms)
    mark = float(random.random())
    found: list[NDArray[np.intp]] = []
    found_weights: list[_Doubles] = []
    for chunk in rows.chunks(1):
        labels, weight = cells.labels[chunk], rows.weights[chunk]
        chance = weight * (by_weight + by_square * cells.squares[chunk] + by_cell[labels]) * (size / terms)
        order = np.argsort(labels, kind="stable")
        present, starts = np.unique(labels[order], return_index=True)
        lengths = np.diff(np.append(starts, len(order)))
        along = np.cumsum(chance[order])
        before = np.concatenate([[0.0], along])[starts]
        offset = np.repeat(reached[present] - before, lengths)
        limit = np.repeat(ends[present], lengths)
        stop = np.minimum(along + offset, limit)
        start = np.minimum(np.concatenate([[0.0], along[:-1]]) + offset, limit)
        marks = np.floor(stop - mark) - np.floor(start - mark)
        hit = (marks > 0) & (weight[order] > 0)
        chosen = order[hit]
        found.append(chosen + chunk.start)
        found_weights.append(marks[hit] * weight[chosen] / chance[chosen])
        reached[present] = stop[starts + lengths - 1]
    return np.concatenate(found)[:size], np.concatenate(found_weights)[:size]


def _calibrated(rows: _Rows, cells: _Cells, drawn: NDArray[np.intp], weights: _Doubles) -> Batch:
    """Return drawn rows (m,) of weights (m,) such that each cell has the weight, mean and scatter of all its rows.

    A cell of which none was drawn becomes one point.
    """
    p, d = cells.means.shape
    labels = cells.labels[drawn].astype(np.intp)
    sampled = np.bincount(labels, weights, p)
    present = sampled > 0
    weights = weights * np.divide(cells.weights, sampled, out=np.zeros(p), where=present)[labels]
    deviations = rows.of(drawn).astype(np.float64) - cells.pivots[labels]
    sums = np.zeros((p, d))
    _add_by_label(deviations * weights[:, None], labels, sums)
    deviations -= np.divide(sums, cells.weights[:, None], out=sums, where=present[:, None])[labels]
    found = np.bincount(labels, weights * np.einsum("nd,nd->n", deviations, deviations), p)
    scatter = np.maximum(cells.errors - cells.weights * np.einsum("pd,pd->p", cells.means, cells.means), 0.0)
    ratio = np.divide(scatter, found, out=np.ones(p), where=found > _MIN_FOUND * scatter)
    stretch = np.clip(np.sqrt(ratio), 1 / _MAX_STRETCH, _MAX_STRETCH)
    goals = cells.pivots + cells.means
    lost = (cells.weights > 0) & ~present
    moved = np.concatenate([goals[labels] + stretch[labels, None] * deviations, goals[lost]])
    return Batch(rows.restored(moved), np.concatenate([weights, cells.weights[lost]]) * rows.weight_unit)


def _squares(points: _Reals, pivots: _Reals) -> _Reals:
    """Return the squared distances of points (m, d) to pivots (p, d), (m, p)."""
    squares: _Reals = points @ pivots.T
    squares *= -2
    squares += np.einsum("pd,pd->p", pivots, pivots)
    squares += np.einsum("md,md->m", points, points)[:, None]
    return np.maximum(squares, 0, out=squares)


def _nearest(points: _Reals, pivots: _Reals) -> NDArray[np.intp]:
    """Return the pivot (p, d) nearest to each point (m, d), (m,)."""
    squares: _Reals = points @ (-2 * pivots.T)
    squares += np.einsum("pd,pd->p", pivots, pivots)
    nearest: NDArray[np.intp] = squares.argmin(axis=1)
    return nearest


def _add_by_label(values: _Reals, labels: NDArray[Any], sums: _Doubles) -> None:
    """Add rows (m, d) to the sums (p, d) of their labels (m,)."""
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    sums[present] += np.add.reduceat(values[order], starts, axis=0, dtype=np.float64)


def _weights(sample_weight: ArrayLike | None, n: int) -> _Doubles:
    if sample_weight is None:
        return np.broadcast_to(np.ones(1), (n,))
    weights = weight_array(sample_weight, n).astype(np.float64)
    usable = (weights >= 0) & (weights <= _MAX_WEIGHT)
    if not usable.all():
        row = int(usable.argmin())
        raise _bad_weight(f"sample_weight[{row}] is {weights[row]}; a weight is a number from 0 to {_MAX_WEIGHT:g}")
    return weights


def _bad_weight(message: str) -> Exception:
    return invalid("SAMPLE_WEIGHT_INVALID", "sample_weight", message)


def _largest(points: NDArray[Any]) -> float:
    """Return the largest absolute value, or raise InvalidArgumentError: for points that aren't finite, or none."""
    n, d = points.shape
    if not n or not d:
        raise invalid("SHAPE_INVALID", "X", f"X has shape {points.shape}; give one row and column or more")
    largest = 0.0
    rows = max(_CHUNK_VALUES // d, 1)
    for start in range(0, n, rows):
        chunk = points[start : start + rows]
        highest, lowest = float(chunk.max()), float(chunk.min())
        if not (math.isfinite(highest) and math.isfinite(lowest)):
            row, column = divmod(int(np.argmin(np.isfinite(chunk))), d)
            raise invalid(
                "NOT_FINITE",
                "X",
                f"X[{start + row}, {column}] is {chunk[row, column]}; leave such rows out, "
                f"X[numpy.isfinite(X).all(axis=1)], or replace the values",
            )
        largest = max(largest, highest, -lowest)
    return largest
