"""Converts Arrow's columns to rows, for csv and parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from shoal.cli.failures import CommandError
from shoal.cli.files.columns import Columns
from shoal.cli.files.point_file import Array
from shoal.cli.files.rows import Rows

_MICROSECONDS = 1e6


def as_rows(arrays: Sequence[Any], names: Sequence[str], columns: Columns, where: str) -> Rows:
    """Return Arrow arrays, those that ``columns.all`` names, as rows; `names` are those of the whole file.

    Raises
    ------
    CommandError
        For lists that are null, empty or not all of one length, and for a time that is none.
    """
    converted: list[Array] = []
    for index, array in zip(columns.all, arrays, strict=True):
        convert = as_array if len(converted) < columns.n_numbers else as_seconds
        try:
            converted.append(convert(array))
        except ValueError as error:
            raise CommandError(f"{where}: column {names[index]!r}: {error}") from error
    return columns.join(converted)


def as_array(column: Any) -> Array:
    """Return numbers as (n,), lists of d numbers as (n, d). Nulls become NaN."""
    if is_list(column.type):
        return _from_lists(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    values: Array = column.to_numpy(zero_copy_only=False)
    return values.astype(_with_nan(column.type), copy=False) if column.null_count else values


def as_seconds(column: Any) -> Array:
    """Return times or numbers as seconds since 1970, (n,) float64; times without a zone are UTC."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        timestamps = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)))
        return as_array(timestamps.cast(pa.int64())) / _MICROSECONDS
    if is_number(column.type) or pa.types.is_null(column.type):
        return as_array(column.cast(pa.float64()))
    raise ValueError(f"it holds {column.type}; a time is in seconds since 1970 or written as 2026-01-31T23:59:59Z")


def is_number(kind: Any) -> bool:
    """Return whether an Arrow type is numeric; true and false are 1 and 0."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def is_list(kind: Any) -> bool:
    """Return whether an Arrow type is a list, of fixed or variable length."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _from_lists(column: Any) -> Array:
    lengths = compute.list_value_length(column).unique().to_pylist()
    if len(lengths) != 1 or lengths[0] in (None, 0):
        raise ValueError("its lists are null, empty or of several lengths; every point needs the same number of values")
    return as_array(column.flatten()).reshape(len(column), -1)


def _with_nan(kind: Any) -> np.dtype[Any]:
    """Return the smallest type that holds the values and NaN, so that a batch with nulls fits those without."""
    return np.result_type(kind.to_pandas_dtype(), np.float16)
