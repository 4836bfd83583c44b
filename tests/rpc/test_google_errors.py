"""The errors of shoal.v1 are google.rpc's: the same fields (but for localized messages), the same bytes."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.v1 import errors_pb2

PAIRS: dict[str, tuple[type[Message], type[Message]]] = {
    "Status": (errors_pb2.Status, status_pb2.Status),
    **{
        name: (getattr(errors_pb2, name), getattr(error_details_pb2, name))
        for name in ("ErrorInfo", "BadRequest", "ResourceInfo", "PreconditionFailure", "RetryInfo")
    },
}
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: st.text(max_size=8),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
}


def messages(descriptor: Descriptor) -> st.SearchStrategy[dict[str, Any]]:
    """Generate the fields of a message, some of them absent."""
    return st.fixed_dictionaries({}, optional={field.name: values(field) for field in descriptor.fields})


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is None:
        return SCALARS[field.type]
    if field.message_type.GetOptions().map_entry:
        return st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
    return st.lists(messages(field.message_type), max_size=3) if field.is_repeated else messages(field.message_type)


@pytest.mark.parametrize("name", PAIRS)
@settings(derandomize=True)
@given(drawn=st.data())
def test_error_messages_have_the_same_bytes_as_googles(name: str, drawn: st.DataObject) -> None:
    kinds: tuple[Any, Any] = PAIRS[name]
    ours, theirs = kinds
    content = drawn.draw(messages(ours.DESCRIPTOR))

    for here, there in ((ours, theirs), (theirs, ours)):
        written = here(**content)
        read = there.FromString(written.SerializeToString())
        assert read.SerializeToString(deterministic=True) == written.SerializeToString(deterministic=True)
        assert str(read) == str(written)


@pytest.mark.parametrize("name", PAIRS)
def test_error_messages_have_the_same_fields_as_googles(name: str) -> None:
    ours, theirs = PAIRS[name]

    assert fields(ours.DESCRIPTOR) == [field for field in fields(theirs.DESCRIPTOR) if field[0] != "localized_message"]


def test_error_details_carry_googles_type_names() -> None:
    packed = AnyMessage()
    packed.Pack(error_details_pb2.ErrorInfo(reason="SESSION_NOT_FOUND", domain="shoal"))
    status = errors_pb2.Status(code=5, message="there is no session", details=[packed])

    read = status_pb2.Status.FromString(status.SerializeToString())

    assert read.details[0].Is(error_details_pb2.ErrorInfo.DESCRIPTOR)


def fields(descriptor: Any, path: str = "") -> list[Any]:
    """Return what decides the bytes of a message: name, number and type of each field, nested ones after their own."""
    found = []
    for field in descriptor.fields:
        found.append((field.name, path, field.number, field.type, field.is_repeated))
        if field.message_type is not None and field.name != "localized_message":
            found.extend(fields(field.message_type, f"{path}{field.name}."))
    return found
