"""Requests of any layout, parsed by their generated classes with the work bounded and the arrays left where they are.

A generated class builds an object for every two bytes, and copies every array, before anyone can count them. So the
fields are walked first: what a message may have is counted, and the contents of its tensors are replaced by their place
in a list. What is left is small, and the generated class parses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from shoal.v1 import tensor_pb2
from shoal.wire.tensors import Contents, Tensor

M = TypeVar("M", bound=Message)

MAX_FIELDS = 16_384  # of a message, whatever it is; 16 bytes of text count as one
MAX_AXES = 2  # that any tensor of a request has; of more, one is kept, so that it shows
_BYTES_A_FIELD = 16
_SMALL = 4096  # bytes of a message that can't cost much, whatever they are

_MORE = 0x80  # in a byte of a varint: another one follows
_VARINT, _FIXED64, _LENGTH_DELIMITED, _GROUP, _GROUP_END, _FIXED32 = range(6)  # wire types
_MAX_VARINT = 10  # bytes
_MAX_LENGTH = 5  # bytes of the varint of a length or a tag
_MAX_TAG = 2**32 - 1
_DATA = "data"  # the plan of Tensor.data
_UNKNOWN = "unknown"  # the plan of a field of a later release
_PLACE_BYTES = 4  # of a place in the list of contents


class MessageTooLargeError(Exception):
    """A message has more parts than anyone may be made to work on.

    Parameters
    ----------
    reason
        The stable name for programs.
    message
        What is too much and what would be right.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Parsed(NamedTuple, Generic[M]):
    """A request as its generated class has it, but for the contents of its tensors."""

    message: M
    contents: Sequence[memoryview] | None  # None: they are in the message

    def tensor(self, message: tensor_pb2.Tensor) -> Tensor:
        """Return a tensor of the message, of more than MAX_AXES axes one too many."""
        data: Contents = message.data
        if self.contents is not None and data:
            data = self.contents[int.from_bytes(data, "big")]
        return Tensor(message.dtype, tuple(message.shape[: MAX_AXES + 1]), data)


def parser(kind: type[M]) -> Callable[[bytes], Parsed[M]]:
    """Return what parses requests of a kind.

    It raises DecodeError for bytes that are no such message, and MessageTooLargeError.
    """
    parse_small: Callable[[bytes], M] = kind.FromString

    def parse(contents: bytes) -> Parsed[M]:
        return Parsed(parse_small(contents), None) if len(contents) <= _SMALL else Parser(contents).parse(kind)

    return parse


class Parser:
    """Parses the parts of one message, which share what the message may cost."""

    def __init__(self, contents: bytes) -> None:
        self._bytes = contents
        self._view = memoryview(contents)
        self._cut: list[memoryview] = []
        self._left = MAX_FIELDS

    def parse(self, kind: type[M], start: int = 0, end: int | None = None) -> Parsed[M]:
        """Parse what lies from `start` to `end`; raises as `parser` says."""
        try:
            pieces = self._walk(start, len(self._bytes) if end is None else end, _plan(kind.DESCRIPTOR))
        except IndexError:
            raise DecodeError("the message ends within a field") from None
        return Parsed(kind.FromString(b"".join(pieces)), self._cut)

    def _walk(self, start: int, end: int, plans: Mapping[int, Any]) -> list[bytes]:
        """Return the pieces of a message without the contents of tensors, and without what a later release added."""
        contents = self._bytes
        pieces: list[bytes] = []
        kept = place = start  # what lies between these is kept as it is
        while place < end:
            self._count(1)
            field, wire_type, at = _tag(contents, place)
            if wire_type != _LENGTH_DELIMITED:
                place = self._skip(wire_type, at)
                continue
            length, at = _varint(contents, at, _MAX_LENGTH)
            after = at + length
            if after > end:
                raise DecodeError("a field ends after the message that holds it")
            plan = plans.get(field, _UNKNOWN)
            if plan is None or not length:
                self._count(length // _BYTES_A_FIELD)
            else:
                pieces.append(contents[kept:place])
                kept = after
                if plan is _DATA:
                    pieces.append(b"\x1a\x04" + len(self._cut).to_bytes(_PLACE_BYTES, "big"))
                    self._cut.append(self._view[at:after])
                elif plan is not _UNKNOWN:
                    pieces.append(_length_delimited(field, b"".join(self._walk(at, after, plan))))
            place = after
        if place > end:
            raise DecodeError("a field ends after the message that holds it")
        pieces.append(contents[kept:end])
        return pieces

    def _skip(self, wire_type: int, at: int) -> int:
        """Return where a field ends that isn't length-delimited."""
        if wire_type == _VARINT:
            return _varint(self._bytes, at, _MAX_VARINT)[1]
        if wire_type == _FIXED64:
            return at + 8
        if wire_type == _FIXED32:
            return at + 4
        if wire_type == _GROUP:
            return self._skip_group(at)
        raise DecodeError(f"a field has wire type {wire_type}")

    def _skip_group(self, at: int) -> int:
        """Return where a group ends, of those that protobuf had once: the generated class takes them for unknown."""
        depth = 1
        while depth:
            self._count(1)
            _, wire_type, at = _tag(self._bytes, at)
            if wire_type == _GROUP:
                depth += 1
            elif wire_type == _GROUP_END:
                depth -= 1
            elif wire_type == _LENGTH_DELIMITED:
                length, at = _varint(self._bytes, at, _MAX_LENGTH)
                self._count(length // _BYTES_A_FIELD)
                at += length
            else:
                at = self._skip(wire_type, at)
        return at

    def _count(self, fields: int) -> None:
        self._left -= fields
        if self._left < 0:
            raise MessageTooLargeError(
                "MESSAGE_TOO_COMPLEX",
                f"the message has more than {MAX_FIELDS:,} fields, of which {_BYTES_A_FIELD} bytes of text count as "
                f"one, besides the contents of its arrays; send less in a message",
            )


@cache
def _plan(kind: Descriptor) -> Mapping[int, Any]:
    """Return what is done with the fields of a message: those of a message inside, _DATA, or None for the others."""
    if kind.full_name == tensor_pb2.Tensor.DESCRIPTOR.full_name:
        return {field.number: _DATA if field.name == "data" else None for field in kind.fields}
    return {field.number: _plan(field.message_type) if field.message_type else None for field in kind.fields}


def _tag(contents: bytes, at: int) -> tuple[int, int, int]:
    """Return the number of the field at a place, its wire type, and where the tag ends."""
    tag, at = _varint(contents, at, _MAX_LENGTH)
    if not 0 < tag >> 3 <= _MAX_TAG >> 3:
        raise DecodeError(f"a field has number {tag >> 3}")
    return tag >> 3, tag & 7, at


def _varint(contents: bytes, at: int, most: int) -> tuple[int, int]:
    """Return the number at a place, of so many bytes at most, and where it ends."""
    value = contents[at]
    if value < _MORE:
        return value, at + 1
    value &= 0x7F
    for more in range(1, most):
        byte = contents[at + more]
        value |= (byte & 0x7F) << 7 * more
        if byte < _MORE:
            return value, at + more + 1
    raise DecodeError(f"a number has more than {most} bytes")


def _length_delimited(field: int, contents: bytes) -> bytes:
    return _encoded(field << 3 | _LENGTH_DELIMITED) + _encoded(len(contents)) + contents


def _encoded(value: int) -> bytes:
    septets = bytearray()
    while value >= _MORE:
        septets.append(value & 0x7F | _MORE)
        value >>= 7
    septets.append(value)
    return bytes(septets)
