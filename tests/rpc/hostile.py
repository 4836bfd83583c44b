"""Messages that a hostile client can send: valid ones of every method, with a change.

A message is taken apart into its fields, as far as they are messages, and put together again as bytes, so that what is
changed may be what no generated class would write: wire types, lengths and numbers included.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import grpc
from google.protobuf import field_mask_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from shoal.v1 import clustering_pb2, compare_pb2, sessions_pb2
from tests.rpc.wire import batch, config, duration, tensor

POINTS = [[1.0, 2.0], [3.0, 4.0], [9.0, 8.0]]
METHODS: dict[str, MethodDescriptor] = {
    method.name: method
    for file in (sessions_pb2, clustering_pb2, compare_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
# What a call may end with, whatever the message was.
CODES = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
INT64_EXTREMES = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
DOUBLE_EXTREMES = [float("nan"), float("inf"), float("-inf"), -0.0, -1.0, 5e-324, 2.3e-308, 1.7e308]
TEXT_EXTREMES = [b"", b"\0", b"x" * 129, b"x" * 200_000, b"\xff\xfe", "🐟".encode() * 5000, b"%s{}\n\r"]
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


@dataclass(frozen=True)
class Field:
    """One field of a message: of a message inside its fields, and otherwise its bytes without the tag."""

    number: int
    wire_type: int
    value: bytes | tuple[Field, ...]
    kind: FieldDescriptor | None = None


Fields = tuple[Field, ...]


def valid(method: str, session: str, *, scores: bool = False) -> Any:
    """Return a valid request of a method, with most fields set; with scores for a session that has them."""
    points = batch(
        POINTS, sample_weight=[1.0, 1.0, 0.5], sequence=1, event_time=1e9, return_labels=True, return_scores=scores
    )
    assigned = {"session": session, "points": points.points, "return_distances": True, "return_scores": scores}
    producer = clustering_pb2.Producer(id="p", epoch=1)
    init = sessions_pb2.Init(centroids=tensor(POINTS[:2]), weights=tensor([1.0, 2.5]))
    settings = config(
        2,
        n_features=2,
        init=init,
        random_state=7,
        half_life=sessions_pb2.HalfLife(value=3.0, unit=sessions_pb2.HALF_LIFE_UNIT_BATCHES),
        idle_ttl=duration(3600.5),
        update_rule=sessions_pb2.UPDATE_RULE_INCREMENTAL,
        summary_size=0,
        outlier_threshold=0.01,
        on_drift=sessions_pb2.ON_DRIFT_ADAPT,
    )
    by_method: dict[str, dict[str, Any]] = {
        "CreateSession": {"name": f"{session}-made", "config": settings, "request_id": "r"},
        "MergeSessions": {
            "names": [session],
            "into": f"{session}-merged",
            "config": config(
                2,
                random_state=7,
                half_life=sessions_pb2.HalfLife(value=3.0, unit=sessions_pb2.HALF_LIFE_UNIT_BATCHES),
                idle_ttl=duration(3600.5),
                update_rule=sessions_pb2.UPDATE_RULE_REFINED,
                summary_size=100,
            ),
            "request_id": "r",
        },
        "GetSession": {"name": session},
        "ListSessions": {"page_size": 10, "page_token": "a"},
        "UpdateSession": {
            "name": session,
            "config": settings,
            "update_mask": field_mask_pb2.FieldMask(paths=["half_life", "idle_ttl", "outlier_threshold", "on_drift"]),
        },
        "DeleteSession": {"name": session},
        "ListEvents": {"name": session, "after": 1, "page_size": 10},
        "Push": {"session": session, "batch": points, "producer": producer},
        "Ingest": {
            "open": clustering_pb2.IngestOpen(session=session, producer=producer),
            "batches": [points, points],
            "acknowledged": 1,
        },
        "Assign": assigned,
        "AssignStream": assigned,
        "GetCentroids": {"session": session},
        "GetRecentPoints": {"session": session, "max_points": 5},
        "Recluster": {"session": session, "n_clusters": [2, 3, 1], "random_state": 5},
        "DescribeClusters": {"session": session, "n_typical": 2},
        "WatchCentroids": {
            "session": session,
            "after_version": 0,
            "min_interval": duration(0.5),
            "min_shift": 0.1,
            "delta": True,
            "progress_interval": duration(0.05),
            "after_event": 0,
            "events_only": True,
        },
        "Compare": {
            "points": tensor(POINTS),
            "n_clusters": 2,
            "init": sessions_pb2.Init(centroids=init.centroids),
            "random_state": 1,
            "engines": [compare_pb2.COMPARE_ENGINE_SCIPY, compare_pb2.COMPARE_ENGINE_NUMBA],
            "max_iter": 5,
            "tol": 0.1,
        },
    }
    return GetMessageClass(METHODS[method].input_type)(**by_method[method])


def take_apart(contents: bytes, kind: Descriptor) -> Fields:
    """Return the fields of a message written by a generated class."""
    fields, at = [], 0
    while at < len(contents):
        tag, at = _read_varint(contents, at)
        descriptor = kind.fields_by_number[tag >> 3]
        begin = at
        match tag & 7:
            case 0:
                _, at = _read_varint(contents, at)
            case 1:
                at += 8
            case 2:
                length, begin = _read_varint(contents, at)
                at = begin + length
            case _:
                at += 4
        value: bytes | Fields = contents[begin:at]
        if descriptor.message_type:
            value = take_apart(contents[begin:at], descriptor.message_type)
        fields.append(Field(tag >> 3, tag & 7, value, descriptor))
    return tuple(fields)


def put_together(fields: Fields) -> bytes:
    """Return the bytes of a message."""
    return b"".join(_field_bytes(field) for field in fields)


def places(fields: Fields, before: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Yield the path of each field: its index in the message, in the nested message, and so on."""
    for place, field in enumerate(fields):
        yield (*before, place)
        if isinstance(field.value, tuple):
            yield from places(field.value, (*before, place))


def at(fields: Fields, place: tuple[int, ...]) -> Field:
    """Return the field at a place."""
    field = fields[place[0]]
    for number in place[1:]:
        assert isinstance(field.value, tuple)
        field = field.value[number]
    return field


def put(fields: Fields, place: tuple[int, ...], instead: Fields) -> Fields:
    """Return a message with one field replaced by others."""
    first, *rest = place
    if not rest:
        return fields[:first] + instead + fields[first + 1 :]
    outer = fields[first]
    assert isinstance(outer.value, tuple)
    return (*fields[:first], replace(outer, value=put(outer.value, tuple(rest), instead)), *fields[first + 1 :])


def extremes(field: Field) -> list[Fields]:
    """Return the replacements of a field: every extreme of its type and length."""
    number, kind = field.number, field.kind
    found: list[Fields] = [(), (field,) * 2, (field,) * 300]
    found += [(_varint_field(number, value),) for value in INT64_EXTREMES]
    found += [(Field(number, _FIXED64, struct.pack("<d", value)),) for value in DOUBLE_EXTREMES]
    found += [(replace(field, wire_type=_BYTES, value=text),) for text in TEXT_EXTREMES]
    found.append((Field(number, _VARINT, b"\xff" * 5000),))
    found.append((Field(number, _FIXED32, b"\xff" * 4),))
    if field.wire_type == _BYTES:
        empty = replace(field, value=b"")
        found += [(empty,) * 100, (empty,) * 10_000]
        found.append((replace(field, value=nested(200)),))
    if kind is not None and kind.name == "shape":
        for one in (1, 2**31, 2**62, 2**63, 2**64 - 1):
            found += [(replace(field, value=varint(one) * axes),) for axes in (1, 2, 3, 5000)]
    return found


def nested(depth: int) -> bytes:
    """Return nested fields of a later release."""
    contents = b"\x08\x01"
    for _ in range(depth):
        contents = b"\xfa\x3f" + varint(len(contents)) + contents
    return contents + b"\x7b" * depth + b"\x7c" * depth


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    septets = bytearray()
    while value >= 0x80:
        septets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*septets, value])


@dataclass(frozen=True)
class Hostile:
    """A message, and the method that it is for."""

    method: str
    what: str
    contents: bytes
    compressed: bool = False


def table(session: str, *, scores: bool = False) -> Iterator[Hostile]:
    """Yield, for every method, every field of a valid request at every extreme of type, length and count."""
    for method, descriptor in METHODS.items():
        request = take_apart(valid(method, session, scores=scores).SerializeToString(), descriptor.input_type)
        yield Hostile(method, "nothing", b"")
        for place in places(request):
            for number, instead in enumerate(extremes(at(request, place))):
                contents = put_together(put(request, place, instead))
                what = f"{descriptor.input_type.name} {place}: extreme {number}"
                yield Hostile(method, what, contents, compressed=len(contents) > 1000)


MESSAGE = 64 * 1024 * 1024 - 64  # bytes: nearly the most that the server takes


def heavy(method: str) -> dict[str, Callable[[], bytes]]:
    """Return messages that are as large as they may be, and that a compressed one takes 65 kB for."""
    found: dict[str, Callable[[], bytes]] = {"a number without end": lambda: b"\x08" + b"\xff" * MESSAGE}
    if method in {"CreateSession", "Ingest"}:  # one that is parsed as a whole, and one whose arrays are cut out
        found["a later release"] = lambda: b"\xf8\x3f\x01" * (MESSAGE // 3)
        found["groups"] = lambda: b"\x7b" * MESSAGE
    for field in METHODS[method].input_type.fields:
        tag = varint(field.number << 3 | _BYTES)
        if field.message_type or field.is_repeated:
            found[f"empty {field.name}"] = partial(_many, tag)
        elif field.type == FieldDescriptor.TYPE_STRING:
            found[f"long {field.name}"] = partial(_long, tag)
    return found


def _many(tag: bytes) -> bytes:
    return (tag + b"\0") * (MESSAGE // 2)


def _long(tag: bytes) -> bytes:
    return tag + varint(MESSAGE) + b"x" * MESSAGE


def fuzz(seed: int, session: str) -> Iterator[Hostile]:
    """Yield valid messages with a few things changed, the same ones for a seed."""
    draw = random.Random(seed)  # noqa: S311  (for tests)
    requests = {
        name: take_apart(valid(name, session).SerializeToString(), method.input_type)
        for name, method in METHODS.items()
    }
    names = list(METHODS)
    while True:
        method = draw.choice(names)
        fields, done = requests[method], []
        for _ in range(draw.choice((1, 1, 2, 3))):
            if not (where := list(places(fields))):
                break
            place = draw.choice(where)
            change = draw.choice(_CHANGES)
            fields = put(fields, place, change(draw, at(fields, place)))
            done.append(f"{change.__name__} at {place}")
        contents = put_together(fields)
        if draw.random() < 0.1:
            contents = contents[: draw.randrange(len(contents) + 1)]
            done.append("cut off")
        yield Hostile(method, ", ".join(done), contents, compressed=draw.random() < 0.2)


def _extreme(draw: random.Random, field: Field) -> Fields:
    return draw.choice(extremes(field))


def _repeated(draw: random.Random, field: Field) -> Fields:
    return (field,) * draw.choice((2, 3, 17, 300))


def _of_another_type(draw: random.Random, field: Field) -> Fields:
    return (Field(field.number, draw.randrange(8), draw.randbytes(draw.choice((0, 1, 4, 8, 40)))),)


def _of_another_number(draw: random.Random, field: Field) -> Fields:
    return (replace(field, number=draw.choice((0, 1, 2, 3, 6, 15, 1023, 2**29 - 1, 2**29))),)


def _nested(draw: random.Random, field: Field) -> Fields:
    for _ in range(draw.choice((1, 3, 50))):
        field = Field(field.number, _BYTES, (field,))
    return (field,)


def _garbled(draw: random.Random, field: Field) -> Fields:
    contents = bytearray(field.value if isinstance(field.value, bytes) else put_together(field.value))
    for _ in range(draw.choice((1, 2, 5))):
        contents.insert(draw.randrange(len(contents) + 1), draw.randrange(256))
        del contents[draw.randrange(len(contents))]
    return (replace(field, value=bytes(contents)),)


def _later(draw: random.Random, field: Field) -> Fields:
    return (field, Field(1023, _BYTES, nested(draw.choice((1, 50, 120)))))


_CHANGES = (_extreme, _extreme, _repeated, _of_another_type, _of_another_number, _nested, _garbled, _later)


def _field_bytes(field: Field) -> bytes:
    tag = varint(field.number << 3 | field.wire_type)
    value = field.value if isinstance(field.value, bytes) else put_together(field.value)
    return tag + varint(len(value)) + value if field.wire_type == _BYTES else tag + value


def _varint_field(number: int, value: int) -> Field:
    return Field(number, _VARINT, varint(value))


def _read_varint(contents: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while contents[at] >= 0x80:
        value |= (contents[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | contents[at] << shift, at + 1
