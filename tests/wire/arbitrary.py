"""Arbitrary messages of shoal.v1 for Hypothesis, and bytes that are nearly valid."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shoal.v1 import tensor_pb2
from shoal.wire.fields import field as before

# How fast the machine is tells nothing.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

_LATER = b"\xfa\x3f\x03new"  # field 1023, of a later release

_TENSORS = st.builds(
    tensor_pb2.Tensor,
    dtype=st.integers(1, 200),
    shape=st.lists(st.integers(0, 300), min_size=1, max_size=3),
    data=st.binary(min_size=1, max_size=200),
).map(lambda tensor: tensor.SerializeToString())

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


def encodings(kind: Any) -> st.SearchStrategy[bytes]:
    """Return a strategy for bytes that are messages of a kind, or nearly: seldom written as serializers write them."""
    right = messages(kind).map(lambda message: message.SerializeToString()) | _assembled(kind)
    return right | corrupted(right)


def corrupted(encoded: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy for the bytes with one changed, put in, or some left out."""
    return st.builds(_spoilt, encoded, st.integers(0, 40) | st.integers(0), st.integers(0, 255), st.integers(0, 3))


@cache
def _assembled(kind: Any) -> st.SearchStrategy[bytes]:
    """Return a strategy for messages put together of fields that may repeat and come in any order."""
    fields = st.lists(st.one_of(st.just((1023, _LATER)), *map(_encoded, kind.DESCRIPTOR.fields)), max_size=5)
    assembled = (fields | fields.map(sorted)).map(lambda pairs: b"".join(each for _, each in pairs))
    return assembled | _TENSORS if kind is tensor_pb2.Tensor else assembled


def _encoded(field: Any) -> st.SearchStrategy[tuple[int, bytes]]:
    if field.message_type:
        nested: Any = GetMessageClass(field.message_type)
        return _assembled(nested).map(lambda contents: (field.number, before(field.number, len(contents)) + contents))
    kind = GetMessageClass(field.containing_type)
    return _values(field).map(lambda value: (field.number, kind(**{field.name: value}).SerializeToString()))


def _spoilt(contents: bytes, place: int, byte: int, removed: int) -> bytes:
    place %= len(contents) + 1
    return contents[:place] + bytes([byte]) + contents[place + removed :]


def _values(field: Any) -> st.SearchStrategy[Any]:
    one = messages(GetMessageClass(field.message_type)) if field.message_type else _VALUES[field.type]
    return st.lists(one, max_size=3) if field.is_repeated else one
