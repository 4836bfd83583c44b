"""How protobuf encodes fields, as far as arrays need it: the way to a tensor, and the bytes around its contents.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from google.protobuf.message import DecodeError

from shoal.v1 import tensor_pb2
from shoal.wire.tensors import DTYPES, Contents, Tensor

_MORE = 0x80  # in a byte of a varint: another one follows
_MAX_LENGTH = 35  # bits; protobuf allows no message of 2 GiB
_MAX_NUMBER = 63  # bits of one that isn't negative
_LENGTH_DELIMITED = 2  # the wire type of messages, strings and packed numbers

_DTYPE = 0x08  # tag of Tensor.dtype
_SHAPE = 0x12  # tag of Tensor.shape, packed
_DATA = 0x1A  # tag of Tensor.data
_MAX_SHAPE = 20  # bytes: two axes at most, each as long as a number can be


class Unusual(Exception):  # noqa: N818  (no error: the generated class takes over)
    """A message isn't laid out as serializers lay it out. It may be right all the same."""


# What leaves a message to the generated class: it says whether it is right, and what it says.
LEFT_TO_GENERATED = (Unusual, IndexError, DecodeError)


class Cutter:
    """Cuts arrays out of the bytes of one message."""

    def __init__(self, contents: bytes) -> None:
        self.contents = contents
        self._view = memoryview(contents)
        self._layouts: dict[int, _Layout] = {}  # of the last field with this tag: those of one message look alike

    def tensor(self, tag: int) -> tuple[Tensor, int]:
        """Return the tensor that is the field at `tag`, and where the field ends; raise Unusual.

        Where one looks like the last one with its tag nothing is checked again: it may end after what it is in.
        """
        layout = self._layouts.get(self.contents[tag])
        if layout is None or not self.contents.startswith(layout.before, tag):
            layout = self._layouts[self.contents[tag]] = _layout(self.contents, tag)
        _, to_contents, to_end, dtype, shape = layout
        end = tag + to_end
        return Tensor(dtype, shape, self._view[tag + to_contents : end]), end


def span(contents: bytes, tag: int) -> tuple[int, int]:
    """Return where the contents of the length-delimited field at `tag` begin and end; raise Unusual."""
    length, start = contents[tag + 1], tag + 2
    if length >= _MORE:
        length, start = _long_length(contents, tag + 1)
    end = start + length
    if end > len(contents):
        raise Unusual
    return start, end


def number(contents: bytes, tag: int) -> tuple[int, int]:
    """Return the number at `tag`, and where it ends; raise Unusual if it is negative or longer than need be."""
    place = tag + 1
    byte = contents[place]
    value, shift = byte & 0x7F, 7
    while byte >= _MORE:
        if shift > _MAX_NUMBER:
            raise Unusual
        place += 1
        byte = contents[place]
        value |= (byte & 0x7F) << shift
        shift += 7
    if shift > _MAX_NUMBER or (shift > 7 and not byte):  # noqa: PLR2004  (bits of a byte of a varint)
        raise Unusual
    return value, place + 1


def tag_of(number: int) -> int:
    """Return the tag of a length-delimited field, for numbers below 16: their tags are one byte."""
    return number << 3 | _LENGTH_DELIMITED


def message_of(tensors: Iterable[tuple[int, Tensor]], rest: bytes) -> tuple[list[Contents], int]:
    """Return the pieces of a message that has the tensors as fields of these numbers, and their bytes in all."""
    pieces: list[Contents] = []
    length = len(rest)
    for number, tensor in tensors:
        before, size = tensor_field(number, tensor.dtype, tensor.shape)
        pieces += (before, tensor.data)
        length += len(before) + size
    pieces.append(rest)
    return pieces, length


def field(number: int, length: int) -> bytes:
    """Return what comes before `length` bytes of a length-delimited field."""
    return _varint(tag_of(number)) + _varint(length)


@lru_cache(maxsize=1024)
def tensor_field(number: int, dtype: int, shape: tuple[int, ...]) -> tuple[bytes, int]:
    """Return what comes before the contents of a tensor that is a field, and the bytes that they take."""
    size = math.prod(shape) * DTYPES[dtype].itemsize
    head = tensor_pb2.Tensor(dtype=dtype, shape=shape).SerializeToString() + field(3, size)  # type: ignore[arg-type]  # an int
    return field(number, len(head) + size) + head, size


@lru_cache(maxsize=1024)
def _varint(value: int) -> bytes:
    septets = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(septet | _MORE for septet in septets[:-1]), septets[-1]])


class _Layout(NamedTuple):
    before: bytes  # what comes before the contents of the tensor, from the tag of the field that it is
    to_contents: int  # bytes from the tag
    to_end: int
    dtype: int
    shape: tuple[int, ...]


def _layout(contents: bytes, tag: int) -> _Layout:
    start, end = span(contents, tag)
    shape_end = start + 4 + contents[start + 3]
    head = contents[start:shape_end]
    if (
        head[0] != _DTYPE
        or head[1] >= _MORE
        or head[2] != _SHAPE
        or head[3] > _MAX_SHAPE
        or contents[shape_end] != _DATA
    ):
        raise Unusual
    data, data_end = span(contents, shape_end)
    if data_end != end:
        raise Unusual
    dtype, shape = _read_head(head)
    return _Layout(contents[tag:data], data - tag, end - tag, dtype, shape)


def _long_length(contents: bytes, start: int) -> tuple[int, int]:
    length = shift = 0
    while shift < _MAX_LENGTH:
        byte = contents[start]
        start += 1
        length |= (byte & 0x7F) << shift
        if byte < _MORE:
            if not byte:
                raise Unusual  # longer than need be
            return length, start
        shift += 7
    raise Unusual


@lru_cache(maxsize=1024)
def _read_head(head: bytes) -> tuple[int, tuple[int, ...]]:
    tensor = tensor_pb2.Tensor.FromString(head)
    return tensor.dtype, tuple(tensor.shape)
