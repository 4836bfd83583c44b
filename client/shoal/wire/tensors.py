"""shoal.v1.Tensor without a copy of the array: its contents are a view."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.v1 import tensor_pb2

DTYPES: dict[int, np.dtype[Any]] = {
    tensor_pb2.DTYPE_FLOAT16: np.dtype("<f2"),
    tensor_pb2.DTYPE_FLOAT32: np.dtype("<f4"),
    tensor_pb2.DTYPE_FLOAT64: np.dtype("<f8"),
    tensor_pb2.DTYPE_INT8: np.dtype("i1"),
    tensor_pb2.DTYPE_INT16: np.dtype("<i2"),
    tensor_pb2.DTYPE_INT32: np.dtype("<i4"),
    tensor_pb2.DTYPE_INT64: np.dtype("<i8"),
    tensor_pb2.DTYPE_UINT8: np.dtype("u1"),
    tensor_pb2.DTYPE_UINT16: np.dtype("<u2"),
    tensor_pb2.DTYPE_UINT32: np.dtype("<u4"),
    tensor_pb2.DTYPE_UINT64: np.dtype("<u8"),
}
"""The type of each number in shoal.v1.Dtype."""

NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
"""The number of each type in shoal.v1.Dtype; byte order counts, so use `tensor_of`."""


Contents = Any
"""Row-major, little-endian, in bytes, a memoryview or an array: collections.abc.Buffer, once Python 3.11 has gone."""


class Tensor(NamedTuple):
    """An array on its way."""

    dtype: int  # of shoal.v1.Dtype
    shape: tuple[int, ...]
    data: Contents


def tensor_message(array: NDArray[Any]) -> tensor_pb2.Tensor:
    """Return an array as a message of the generated class, which copies it."""
    tensor = tensor_of(array)
    return tensor_pb2.Tensor(dtype=tensor.dtype, shape=tensor.shape, data=bytes(tensor.data))  # type: ignore[arg-type]  # an int


def tensor_in(message: tensor_pb2.Tensor) -> Tensor:
    """Return a tensor that the generated class has read, and copied."""
    return Tensor(message.dtype, tuple(message.shape), message.data)


def tensor_of(array: NDArray[Any]) -> Tensor:
    """Return an array of any memory layout and byte order as a tensor; it is copied only if its layout differs.

    Raises
    ------
    KeyError
        If its type isn't one of DTYPES, in any byte order.
    """
    number = NUMBERS.get(array.dtype)
    if number is None or not array.flags.c_contiguous:
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        number = NUMBERS[array.dtype]
    return Tensor(number, array.shape, array)


def array_of(tensor: Tensor | tensor_pb2.Tensor) -> NDArray[Any]:
    """Return a view of a tensor's contents, read-only where they came in a message.

    Raises
    ------
    KeyError
        If its dtype isn't one of DTYPES.
    ValueError
        If the contents don't have the shape.
    """
    return np.frombuffer(tensor.data, DTYPES[tensor.dtype]).reshape(tensor.shape)
