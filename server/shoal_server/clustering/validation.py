"""What a batch must be to be applied: its columns, type and weights, and what its invalid values get."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.origin import precision_for
from shoal_server.clustering.state import Batch, ColumnMeans, Model
from shoal_server.engines.contract import BoolArray, Float64Array, PointArray, max_value
from shoal_server.errors import Reason, Refusal, invalid, refused

# Sums are float64, and so many weighted squares may be added up that some room must be left for them.
MAX_WEIGHT = 1e50


@dataclass(frozen=True)
class ValidRows:
    """The rows that count, and where they stood in the batch."""

    points: PointArray  # (m, d)
    kept: BoolArray | None  # (n,); None: all
    column_means: ColumnMeans | None  # with these rows counted in, where the model keeps them
    sample_weight: Float64Array | None = None  # (m,)


def check_batch(model: Model, batch: Batch) -> None:
    """Check all but the points' values.

    Raises
    ------
    DomainError
        N_FEATURES_MISMATCH, DTYPE_MISMATCH, SAMPLE_WEIGHT_INVALID or SCORES_UNAVAILABLE.
    """
    if batch.return_scores:
        check_scores(model)
    check_columns(model, batch.points)
    _check_dtype(batch.points.dtype, model)
    _check_weight(batch.sample_weight, len(batch.points))


def unchecked(batch: Batch) -> ValidRows:
    """Return all rows of a batch, in the hope that none is invalid: the engines notice, and at less cost."""
    return ValidRows(batch.points, None, None, batch.sample_weight)


def admit(model: Model, batch: Batch) -> ValidRows:
    """Return the rows of a checked batch that are to be applied.

    Raises
    ------
    DomainError
        What `validate_points` raises.
    """
    admitted = validate_points(model, batch.points)
    weight = batch.sample_weight
    return replace(admitted, sample_weight=weight if weight is None or admitted.kept is None else weight[admitted.kept])


def validate_points(model: Model, points: PointArray) -> ValidRows:
    """Return the rows that can be assigned: handle invalid values as the model's policy says.

    Their rows are refused or left out, or they are filled in. Invalid is what is not finite, what is too large to be
    squared in the model's precision, and under the cosine metric a row of zeros, which has no direction.

    Raises
    ------
    DomainError
        With on_invalid="reject" NOT_FINITE, VALUE_TOO_LARGE or ZERO_ROW; with "impute" IMPUTE_IMPOSSIBLE or ZERO_ROW.
    """
    config = model.config
    precision = _precision(model, points)
    most = max_value(precision, points.shape[1])
    usable = _usable_values(points, most)
    means = None
    if config.on_invalid == "impute":
        points, means = _impute(points, usable, model.state.column_means, precision)
        usable = None
    rows: BoolArray | None = None if usable is None else np.asarray(usable.all(axis=1))
    if config.metric == "cosine":
        rows = _with_direction(points, rows)
    if rows is None or rows.all():
        return ValidRows(points, None, means)
    if config.on_invalid != "drop":
        _refuse(points, rows, usable, most)
    return ValidRows(points[rows], rows, means)


def only_valid(model: Model, points: PointArray) -> PointArray:
    """Return the rows of points (n, d) that can be computed with as they are, whatever the policy."""
    usable = _usable_values(points, max_value(_precision(model, points), points.shape[1]))
    rows: BoolArray | None = None if usable is None else np.asarray(usable.all(axis=1))
    if model.config.metric == "cosine":
        rows = _with_direction(points, rows)
    return points if rows is None else points[rows]


def still_warming(model: Model) -> Refusal:
    """Return the refusal of what needs centroids while there are none."""
    seen, needed = (model.warming.seen, model.warming.needed) if model.warming else (0, 0)
    return Refusal(
        Reason.SESSION_WARMING,
        f"the session has no centroids yet: {seen:,} of {needed:,} points have come that the initial centroids need; "
        f"push more",
    )


def check_columns(model: Model, points: PointArray) -> None:
    """Raise N_FEATURES_MISMATCH unless the points (n, d) have as many columns as the model. Any type will do."""
    if model.n_features is not None and points.shape[1] != model.n_features:
        raise invalid(
            Reason.N_FEATURES_MISMATCH,
            "points",
            f"points has {points.shape[1]} columns, the session has n_features={model.n_features}",
        )


def check_scores(model: Model) -> None:
    """Raise SCORES_UNAVAILABLE if the model has none."""
    if model.config.outlier_threshold is None:
        raise refused(
            Reason.SCORES_UNAVAILABLE,
            "the session has no outlier_threshold, and so no scores: create or update it with one. With "
            "outlier_threshold=1e-9 it has scores and takes no point for an outlier",
            field="return_scores",
        )


def _check_dtype(dtype: np.dtype[Any], model: Model) -> None:
    coordinates = model.state.coordinates
    if coordinates is None or model.config.dtype is not None:
        return
    precision = coordinates.precision
    if not np.can_cast(dtype, precision, "safe"):
        raise invalid(
            Reason.DTYPE_MISMATCH,
            "points.dtype",
            f"points are {dtype.name} and the session computes in {precision.name}, as its first points asked for: "
            f"they would lose digits. Convert them to {precision.name}, or create a session with dtype='float64'",
        )


def _check_weight(weight: Float64Array | None, rows: int) -> None:
    if weight is None:
        return
    if len(weight) != rows:
        raise _bad_weight(f"sample_weight has {len(weight)} values for {rows} rows; there must be one a row")
    if are_weights(weight):
        return
    row = int(np.argmax(~((weight >= 0) & (weight <= MAX_WEIGHT))))
    raise _bad_weight(f"sample_weight[{row}] is {weight[row]}; a weight is a number from 0 to {MAX_WEIGHT:g}")


def are_weights(values: Float64Array) -> bool:
    """Return whether values, of which there is one at least, can be weights."""
    return bool(values.min() >= 0 and values.max() <= MAX_WEIGHT)


def _bad_weight(message: str) -> Exception:
    return invalid(Reason.SAMPLE_WEIGHT_INVALID, "sample_weight", message)


def _precision(model: Model, points: PointArray) -> np.dtype[Any]:
    coordinates = model.state.coordinates
    return coordinates.precision if coordinates else precision_for(points.dtype, model.config)


def _usable_values(points: PointArray, most: float) -> BoolArray | None:
    """Return which values can be computed with; None where all can."""
    if np.issubdtype(points.dtype, np.integer) and np.iinfo(points.dtype).max <= most:
        return None
    # NaN spreads through min and max, which need no memory; almost always that is all there is to do.
    if float(points.min()) >= -most and float(points.max()) <= most:
        return None
    values: BoolArray = np.abs(points, dtype=np.float64) <= most
    return values


def _impute(
    points: PointArray, usable: BoolArray | None, so_far: ColumnMeans | None, precision: np.dtype[Any]
) -> tuple[PointArray, ColumnMeans]:
    """Return points (n, d) with the mean so far in place of each unusable value, and the means with this batch's.

    A column without a mean so far gets that of the batch's own usable values. What was filled in counts in no mean.
    Points that are filled in get a type that holds them and the means in `precision`: float16 ends at 65,504, and
    integers have no fractions.

    Raises
    ------
    DomainError
        IMPUTE_IMPOSSIBLE: some column has never had a value.
    """
    own = _means_of(points, usable)
    after = own if so_far is None else _merged_means(so_far, own)
    if usable is None:
        return points, after
    rows, columns = np.nonzero(~usable)
    fill = after.means if so_far is None else np.where(so_far.rows > 0, so_far.means, own.means)
    _refuse_unknown_means(after, rows, columns)
    filled = points.astype(np.result_type(points.dtype, precision))
    filled[rows, columns] = fill[columns]
    return filled, after


def _means_of(points: PointArray, usable: BoolArray | None) -> ColumnMeans:
    if usable is None:
        return ColumnMeans(np.full(points.shape[1], float(len(points))), points.mean(axis=0, dtype=np.float64))
    rows = usable.sum(axis=0, dtype=np.float64)
    sums = np.where(usable, points, 0).sum(axis=0, dtype=np.float64)
    return ColumnMeans(rows, np.divide(sums, rows, where=rows > 0, out=np.zeros_like(sums)))


def _merged_means(so_far: ColumnMeans, own: ColumnMeans) -> ColumnMeans:
    rows = so_far.rows + own.rows
    share = np.divide(own.rows, rows, where=rows > 0, out=np.zeros_like(rows))
    return ColumnMeans(rows, so_far.means + share * (own.means - so_far.means))


def _refuse_unknown_means(means: ColumnMeans, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
    unknown = means.rows[columns] == 0
    if unknown.any():
        first = int(unknown.argmax())
        raise invalid(
            Reason.IMPUTE_IMPOSSIBLE,
            "points",
            f"points[{rows[first]}, {columns[first]}] is invalid and column {columns[first]} has had no finite value "
            f"that could take its place; push some rows that have one first",
        )


def _with_direction(points: PointArray, rows: BoolArray | None) -> BoolArray | None:
    directed: BoolArray = np.asarray(points.any(axis=1))
    if directed.all():
        return rows
    return directed if rows is None else rows & directed


def _refuse(points: PointArray, rows: BoolArray, usable: BoolArray | None, most: float) -> None:
    row = int(np.argmin(rows))
    others = len(rows) - int(rows.sum()) - 1
    more = f" ({others:,} more rows are invalid)" if others else ""
    if usable is None or usable[row].all():
        raise invalid(
            Reason.ZERO_ROW,
            "points",
            f"points[{row}] is all zeros and has no direction, which metric='cosine' needs{more}; leave such rows out, "
            f"or update the session: on_invalid='drop'",
        )
    column = int(np.argmin(usable[row]))
    value = points[row, column]
    if np.isfinite(value):
        fits_float64 = most < abs(float(value)) <= max_value(np.dtype(np.float64), points.shape[1])
        raise invalid(
            Reason.VALUE_TOO_LARGE,
            "points",
            f"points[{row}, {column}] is {value:g}{more}; beyond {most:.3g} squared distances overflow the session's "
            f"precision: scale the points down"
            + (", or create the session with dtype='float64'" if fits_float64 else ""),
        )
    raise invalid(
        Reason.NOT_FINITE,
        "points",
        f"points[{row}, {column}] is {value}{more}; push finite numbers, or update the session: on_invalid='drop' or "
        f"'impute'",
    )
