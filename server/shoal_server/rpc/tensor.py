"""Tensors of shoal.v1 as NumPy arrays. Checks the bytes alone; what they mean is checked elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import wire
from shoal_server.errors import DomainError, Reason, invalid, refused

SPLIT = "split it into smaller batches"
NAMES = ", ".join(dtype.name for dtype in wire.DTYPES.values())


def decode_points(tensor: wire.Tensor, field: str, max_bytes: int, remedy: str = SPLIT) -> NDArray[Any]:
    """Return points (n, d) as a read-only view of the message's bytes; `remedy` is what to do if they are too many.

    Raises
    ------
    DomainError
        DTYPE_UNKNOWN, SHAPE_INVALID, BYTES_MISMATCH, or BATCH_TOO_LARGE.
    """
    if len(tensor.shape) != 2:  # noqa: PLR2004  (rows and columns)
        raise invalid(
            Reason.SHAPE_INVALID,
            field,
            f"{field} has {_axes(tensor)}; points have two: rows and columns",
        )
    return _decode(tensor, field, max_bytes, remedy)


def decode_weights(tensor: wire.Tensor, points_bytes: int, max_bytes: int) -> NDArray[np.float64]:
    """Return the weights (n,) of points as float64, unless these take too many bytes with the points.

    Raises
    ------
    DomainError
        What `decode_points` raises.
    """
    weights = _decode_vector(tensor, "sample_weight", max_bytes)
    size = points_bytes + len(weights) * np.dtype(np.float64).itemsize
    if size > max_bytes:
        raise too_large("points", "points with sample_weight", size, max_bytes)
    return weights.astype(np.float64)


def decode_init_weights(tensor: wire.Tensor, max_bytes: int) -> NDArray[np.float64]:
    """Return the weights (k,) of given centroids as float64; raises what `decode_points` raises."""
    return _decode_vector(tensor, "config.init.weights", max_bytes).astype(np.float64)


def _decode_vector(tensor: wire.Tensor, field: str, max_bytes: int) -> NDArray[Any]:
    if len(tensor.shape) != 1:
        raise invalid(Reason.SHAPE_INVALID, field, f"{field} has {_axes(tensor)}; it must have one")
    return _decode(tensor, field, max_bytes, SPLIT)


def _axes(tensor: wire.Tensor) -> str:
    # The codec keeps none beyond the first that is too many.
    if len(tensor.shape) > wire.MAX_AXES:
        return f"{len(tensor.shape)} axes or more, which begin with {list(tensor.shape)}"
    return f"{len(tensor.shape)} axes, shape {list(tensor.shape)}"


def _decode(tensor: wire.Tensor, field: str, max_bytes: int, remedy: str) -> NDArray[Any]:
    dtype = wire.DTYPES.get(tensor.dtype)
    if dtype is None:
        raise invalid(Reason.DTYPE_UNKNOWN, f"{field}.dtype", f"{field} has dtype {tensor.dtype}; use one of {NAMES}")
    if min(tensor.shape) < 1:
        raise _empty(tensor, field)
    _check_bytes(tensor, len(tensor.data), dtype, field)
    if len(tensor.data) > max_bytes:
        raise too_large(field, field, len(tensor.data), max_bytes, remedy)
    return wire.array_of(tensor)


def _empty(tensor: wire.Tensor, field: str) -> DomainError:
    axis, length = next(each for each in zip(("rows", "columns"), tensor.shape, strict=False) if each[1] < 1)
    return invalid(
        Reason.SHAPE_INVALID,
        f"{field}.shape",
        f"{field} has shape {list(tensor.shape)}, {length} {axis}; there must be at least one",
    )


def _check_bytes(tensor: wire.Tensor, present: int, dtype: np.dtype[Any], field: str) -> None:
    needed = math.prod(tensor.shape) * dtype.itemsize
    if needed != present:
        raise invalid(
            Reason.BYTES_MISMATCH,
            f"{field}.data",
            f"{field} has {present} bytes; shape {list(tensor.shape)} of {dtype.name} takes {needed}",
        )


def too_large(field: str, what: str, size: int, max_bytes: int, remedy: str = SPLIT) -> DomainError:
    """Return the refusal of a batch that is larger than the server takes."""
    return refused(
        Reason.BATCH_TOO_LARGE,
        f"{what} has {size:,} bytes and the server takes {max_bytes:,} in a batch; {remedy}",
        field=field,
    )
