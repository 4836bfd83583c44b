"""NumPy arrays as shoal.v1.Tensor and back: the one room that knows how numbers travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.v1 import tensor_pb2

_DTYPES: dict[tensor_pb2.Dtype.ValueType, np.dtype[Any]] = {
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
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}


@dataclass(frozen=True, eq=False)
class Frozen:
    """An array as it was when it was given: its owner may write in it again."""

    dtype: tensor_pb2.Dtype.ValueType
    shape: tuple[int, ...]
    contents: bytes  # row-major, little-endian

    def write(self, tensor: tensor_pb2.Tensor) -> None:
        """Put the array into a message; writing into the message that is sent saves copies."""
        tensor.dtype = self.dtype
        tensor.shape.extend(self.shape)
        tensor.data = self.contents


def freeze(array: NDArray[Any]) -> Frozen:
    """Copy an array of any memory layout and byte order into the bytes that travel."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return Frozen(_NUMBERS[little.dtype], little.shape, little.tobytes())


def decode(tensor: tensor_pb2.Tensor) -> NDArray[Any]:
    """Return a read-only view of a message's bytes."""
    return np.frombuffer(tensor.data, _DTYPES[tensor.dtype]).reshape(tuple(tensor.shape))
