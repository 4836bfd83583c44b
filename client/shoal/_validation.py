"""Validates the caller's arguments: returns arrays to send, or raises an error that says what would be right.

The server checks what the numbers mean: columns, NaN, limits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal._errors import InvalidArgumentError, Violation

_ROWS_AND_COLUMNS = 2
_MAX_ITEM = 8  # bytes: float64 and (u)int64


def points_array(X: ArrayLike, field: str = "points") -> NDArray[Any]:
    """Return points (n, d) as numbers.

    Raises
    ------
    InvalidArgumentError
        If X isn't an array of numbers with two axes.
    """
    array = _numbers(X, field)
    if array.ndim != _ROWS_AND_COLUMNS:
        raise invalid("SHAPE_INVALID", field, _wrong_axes(array, field))
    return array


def weight_array(sample_weight: ArrayLike, n_points: int) -> NDArray[Any]:
    """Return weights (n,) as numbers.

    Raises
    ------
    InvalidArgumentError
        If sample_weight isn't one number a point.
    """
    array = _numbers(sample_weight, "sample_weight")
    if array.shape != (n_points,):
        raise invalid(
            "SHAPE_INVALID",
            "sample_weight",
            f"sample_weight has shape {array.shape}; one number a point is shape ({n_points},)",
        )
    return array


def checked_name(name: str) -> str:
    """Return the name of a session if it is a string; the server checks the rest.

    Raises
    ------
    InvalidArgumentError
        If it isn't a string.
    """
    if not isinstance(name, str):
        raise invalid("NAME_INVALID", "name", f"name is {name!r}; a session's name is a string, such as 'pixels'")
    return name


def invalid(reason: str, field: str, message: str) -> InvalidArgumentError:
    """Return the error for an invalid argument."""
    return InvalidArgumentError(message, reason=reason, violations=(Violation(field, message),))


def _numbers(values: ArrayLike, field: str) -> NDArray[Any]:
    if np.ma.is_masked(values):
        raise invalid("DTYPE_UNKNOWN", field, f"{field} has masked values; give them a value first: .filled(numpy.nan)")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise invalid("SHAPE_INVALID", field, f"{field} is no array of numbers: {error}") from error
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > _MAX_ITEM:
        raise invalid(
            "DTYPE_UNKNOWN",
            field,
            f"{field} has dtype {array.dtype}; use floating-point numbers up to float64 or integers"
            f"{_advice(array.dtype)}",
        )
    return array


def _advice(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "O":
        return ", such as .astype(float) gives, or .toarray() of a sparse matrix"
    return ", such as .astype(float) gives" if dtype.kind == "f" else ""


def _wrong_axes(array: NDArray[Any], field: str) -> str:
    axes = f"{field} has shape {array.shape}, {array.ndim} axes instead of two (rows and columns)"
    if array.ndim == 1:
        return f"{axes}; use .reshape(1, -1) if it is one point, .reshape(-1, 1) if it is one feature"
    return f"{axes}; use .reshape(-1, d) with d features"
