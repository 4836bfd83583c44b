"""Validates the caller's arguments: returns arrays to send, or raises an error that says what would be right.

The server checks what the numbers mean: columns, NaN, limits.
"""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal._errors import InvalidArgumentError, Violation

_ROWS_AND_COLUMNS = 2
_MAX_ITEM = 8  # bytes: float64 and (u)int64
_MAX_SHOWN = 100  # characters of a value in a message

INT32 = (-(2**31), 2**31 - 1)
NOT_NEGATIVE_INT32 = (0, 2**31 - 1)
UINT32 = (0, 2**32 - 1)
INT64 = (-(2**63), 2**63 - 1)


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


def weight_array(
    weights: ArrayLike, count: int, field: str = "sample_weight", of_what: str = "a point"
) -> NDArray[Any]:
    """Return weights (n,) as numbers.

    Raises
    ------
    InvalidArgumentError
        If there isn't one number for each of `count` points.
    """
    array = _numbers(weights, field)
    if array.shape != (count,):
        raise invalid(
            "SHAPE_INVALID", field, f"{field} has shape {array.shape}; one number {of_what} is shape ({count},)"
        )
    return array


def checked_name(name: str) -> str:
    """Return the name of a session if it is text; the server checks the rest. Raises as `text` does."""
    return text("name", name, "a session's name is a string, such as 'pixels'")


def text(field: str, value: str, advice: str) -> str:
    """Return a string that the wire can carry.

    Raises
    ------
    InvalidArgumentError
        If it isn't a string, or isn't Unicode: NOT_UNICODE.
    """
    if not isinstance(value, str):
        raise invalid(f"{field.upper()}_INVALID", field, f"{field} is {shown(value)}; {advice}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise invalid("NOT_UNICODE", field, f"{field} is {shown(value)}, which isn't Unicode; {advice}") from None
    return value


def flag(field: str, value: bool) -> bool:
    """Return True or False, or raise InvalidArgumentError for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise invalid(f"{field.upper()}_INVALID", field, f"{field} is {shown(value)}; give True or False")
    return bool(value)


def integer(field: str, value: int, limits: tuple[int, int], least: int = 1) -> int:
    """Return a whole number that the wire can carry, or raise InvalidArgumentError; True and False are none.

    Where the wire can carry negative numbers, the server checks what it can use: from `least` up.
    """
    lowest, highest = limits
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise invalid(f"{field.upper()}_INVALID", field, f"{field} is {shown(value)}; give a whole number")
    if not lowest <= number <= highest:
        raise invalid(
            f"{field.upper()}_INVALID",
            field,
            f"{field} is {shown(number)}; use at least {least if lowest < 0 else lowest}, at most {highest:,}",
        )
    return number


def real(field: str, value: float) -> float:
    """Return a number that the wire can carry, or raise InvalidArgumentError."""
    try:
        if isinstance(value, Real):
            return float(value)
    except OverflowError:
        pass
    raise invalid(
        f"{field.upper().replace('.', '_')}_INVALID",
        field,
        f"{field} is {shown(value)}; give a number that a float holds",
    )


def shown(value: object) -> str:
    """Return a value as an error message quotes it: not all of what is long."""
    try:
        quoted = repr(value)
    except Exception:  # noqa: BLE001  (a number of thousands of digits, or an object of the caller's)
        return f"a {type(value).__name__}"
    return quoted if len(quoted) <= _MAX_SHOWN else f"{quoted[: _MAX_SHOWN - 1]}…"


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
