"""Messages of shoal.v1 as Hypothesis thinks them up, and bytes that are nearly such."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

_LATER = b"\xfa\x3f\x03new"  # field 1023, of a later release

_VALUES: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: st.text("aé", max_size=8),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=200),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 200),
}


def messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Return a strategy for messages of a kind, any field there or not."""
    fields = {field.name: _values(field) for field in kind.DESCRIPTOR.fields}
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: kind(**values))


def encodings(kind: type[Message]) -> st.SearchStrategy[bytes]:
    """Return a strategy for bytes that are messages of a kind, not always written as serializers write them."""
    usual = messages(kind).map(lambda message: message.SerializeToString())
    pieces = st.lists(usual | st.just(_LATER), max_size=3).map(b"".join)  # merged, in any order
    return usual | pieces | spoilt(usual)


def spoilt(encoded: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy for the bytes with one changed, put in, or some left out."""
    return st.builds(_spoilt, encoded, st.integers(0, 40) | st.integers(0), st.integers(0, 255), st.integers(0, 3))


def _spoilt(contents: bytes, place: int, byte: int, removed: int) -> bytes:
    place %= len(contents) + 1
    return contents[:place] + bytes([byte]) + contents[place + removed :]


def _values(field: Any) -> st.SearchStrategy[Any]:
    one = messages(GetMessageClass(field.message_type)) if field.message_type else _VALUES[field.type]
    return st.lists(one, max_size=3) if field.is_repeated else one
