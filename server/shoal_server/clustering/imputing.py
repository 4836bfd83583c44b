"""on_invalid="impute": the column's mean so far takes the place of what can't be used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.state import ColumnMeans
from shoal_server.engines.contract import PointArray
from shoal_server.errors import Reason, invalid


def impute(
    points: PointArray, usable: NDArray[np.bool_] | None, so_far: ColumnMeans | None, precision: np.dtype[Any]
) -> tuple[PointArray, ColumnMeans]:
    """Return points (n, d) with the means so far where `usable` is False, and the means with this batch counted in.

    A column without a mean so far gets that of the batch's own usable values. What was filled in counts in no mean.
    Points that are filled in get a type that holds them and the means in `precision`: float16 ends at 65,504, and
    integers have no fractions.

    Raises
    ------
    DomainError
        IMPUTE_IMPOSSIBLE: some column has never had a value.
    """
    own = _columns(points, usable)
    after = own if so_far is None else _merged(so_far, own)
    if usable is None:
        return points, after
    rows, columns = np.nonzero(~usable)
    fill = after.means if so_far is None else np.where(so_far.rows > 0, so_far.means, own.means)
    _refuse_unknown(after, rows, columns)
    filled = points.astype(np.result_type(points.dtype, precision))
    filled[rows, columns] = fill[columns]
    return filled, after


def _merged(so_far: ColumnMeans, own: ColumnMeans) -> ColumnMeans:
    rows = so_far.rows + own.rows
    share = np.divide(own.rows, rows, where=rows > 0, out=np.zeros_like(rows))
    return ColumnMeans(rows, so_far.means + share * (own.means - so_far.means))


def _columns(points: PointArray, usable: NDArray[np.bool_] | None) -> ColumnMeans:
    if usable is None:
        return ColumnMeans(np.full(points.shape[1], float(len(points))), points.mean(axis=0, dtype=np.float64))
    rows = usable.sum(axis=0, dtype=np.float64)
    sums = np.where(usable, points, 0).sum(axis=0, dtype=np.float64)
    return ColumnMeans(rows, np.divide(sums, rows, where=rows > 0, out=np.zeros_like(sums)))


def _refuse_unknown(means: ColumnMeans, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
    unknown = means.rows[columns] == 0
    if unknown.any():
        first = int(unknown.argmax())
        raise invalid(
            Reason.IMPUTE_IMPOSSIBLE,
            "points",
            f"points[{rows[first]}, {columns[first]}] is invalid and column {columns[first]} has had no finite value "
            f"that could take its place; push some rows that have one first",
        )
