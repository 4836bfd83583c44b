"""The cost of decoding is bounded for any bytes: parts are counted before anything is built."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from shoal import wire
from shoal.v1 import clustering_pb2, compare_pb2, sessions_pb2, tensor_pb2
from shoal.wire.fields import field
from shoal.wire.parsing import MAX_AXES, MAX_FIELDS

MIB = 1024 * 1024
MESSAGE = 64 * MIB  # bytes: the largest that the server takes, by default
MAX_CPU = 1.0  # seconds: it takes a twentieth of it, and took from three seconds up to hours
MAX_MEMORY = 16 * MIB


def inside(number: int, contents: bytes) -> bytes:
    """Return bytes as a field of a message."""
    return field(number, len(contents)) + contents


def in_batch(tensor: bytes) -> bytes:
    """Return a message of one batch, whose points are given as bytes."""
    return inside(2, inside(1, tensor))


UNPACKED = b"\x10\x01"
GROUPS = b"\x7b" * (MESSAGE // 2) + b"\x7c" * (MESSAGE // 2)
INGEST: dict[str, Callable[[], bytes]] = {
    "empty batches": lambda: b"\x12\x00" * (MESSAGE // 2),
    "a batch of empty points": lambda: inside(2, b"\x0a\x00" * (MESSAGE // 2)),
    "axes": lambda: in_batch(UNPACKED * (MESSAGE // 2 - 16)),
    "packed axes": lambda: in_batch(inside(2, b"\x01" * (MESSAGE - 32))),
    "a number without end": lambda: inside(2, b"\x18" + b"\xff" * (MESSAGE - 32)),
    "an acknowledgement without end": lambda: b"\x18" + b"\xff" * (MESSAGE - 32),
    "acknowledgements": lambda: b"\x18\x01" * (MESSAGE // 2),
    "openings": lambda: b"\x0a\x00" * (MESSAGE // 2),
    "a name": lambda: inside(1, inside(1, b"x" * (MESSAGE - 32))),
    "fields of a later release": lambda: b"\xf8\x3f\x01" * (MESSAGE // 3),
    "groups in groups": lambda: GROUPS,
    "batches of a thousand axes": lambda: inside(2, inside(1, UNPACKED * 1000)) * (MESSAGE // 2010),
    "batches of a later release": lambda: inside(2, b"\xf8\x3f\x01" * 5000) * (MESSAGE // 15010),
}


@pytest.mark.parametrize("contents", INGEST.values(), ids=INGEST)
def test_refusing_a_message_with_arrays_costs_little(contents: Callable[[], bytes]) -> None:
    message = contents()

    check_costs_little(lambda: wire.decode_ingest_request(message))


WHOLE: dict[str, tuple[Any, Callable[[], bytes]]] = {
    "paths of a mask": (sessions_pb2.UpdateSessionRequest, lambda: inside(3, b"\x0a\x00" * (MESSAGE // 2))),
    "engines": (compare_pb2.CompareRequest, lambda: inside(5, b"\x01" * MESSAGE)),
    "a name": (sessions_pb2.GetSessionRequest, lambda: inside(1, b"x" * MESSAGE)),
    "a page token": (sessions_pb2.ListSessionsRequest, lambda: inside(2, b"x" * MESSAGE)),
    "configurations": (sessions_pb2.CreateSessionRequest, lambda: b"\x12\x00" * (MESSAGE // 2)),
    "durations": (clustering_pb2.WatchCentroidsRequest, lambda: b"\x1a\x00" * (MESSAGE // 2)),
}


@pytest.mark.parametrize(("kind", "contents"), WHOLE.values(), ids=WHOLE)
def test_refusing_a_message_without_arrays_costs_little(kind: Any, contents: Callable[[], bytes]) -> None:
    message = contents()

    check_costs_little(lambda: wire.parser(kind)(message))


def check_costs_little(decode: Callable[[], object]) -> None:
    """Fail unless bytes are refused, in a time and a memory that don't grow with them."""
    begin = time.process_time()
    with pytest.raises((DecodeError, wire.MessageTooLargeError)):
        decode()
    assert time.process_time() - begin < MAX_CPU

    tracemalloc.start()
    try:
        with pytest.raises((DecodeError, wire.MessageTooLargeError)):
            decode()
        assert tracemalloc.get_traced_memory()[1] < MAX_MEMORY
    finally:
        tracemalloc.stop()


def test_a_message_with_the_maximum_number_of_batches_is_decoded_quickly() -> None:
    alike = inside(2, inside(1, tensor_bytes(1))) * wire.MAX_BATCHES
    different = b"".join(inside(2, inside(1, tensor_bytes(1 + number % 100))) for number in range(wire.MAX_BATCHES))

    for contents in (alike, different):
        begin = time.process_time()
        request = wire.decode_ingest_request(contents)
        assert time.process_time() - begin < MAX_CPU
        assert len(request.batches) == wire.MAX_BATCHES


def test_a_message_with_one_batch_too_many_is_refused() -> None:
    one = inside(2, inside(1, tensor_bytes(1)))

    with pytest.raises(wire.MessageTooLargeError, match="more than 4,096 batches") as caught:
        wire.decode_ingest_request(one * (wire.MAX_BATCHES + 1))

    assert caught.value.reason == "TOO_MANY_BATCHES"


def test_the_contents_of_an_array_are_not_copied_for_any_layout_of_the_message() -> None:
    contents = bytes(MESSAGE // 2)
    backwards = inside(3, contents) + inside(2, b"\x01\x05") + b"\x08\x02"
    push = inside(2, inside(1, backwards))
    create = inside(1, b"name") + inside(2, inside(6, inside(2, backwards)))

    tracemalloc.start()
    try:
        points = wire.decode_push_request(push).batch.points
        parsed = wire.parser(sessions_pb2.CreateSessionRequest)(create)
        centroids = parsed.tensor(parsed.message.config.init.centroids)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < MIB
    for tensor in (points, centroids):
        assert tensor == (2, (1, 5), contents)


def test_the_last_contents_of_an_array_win_even_if_they_are_short() -> None:
    twice = inside(3, bytes(MIB)) + inside(3, b"1234") + inside(2, b"\x01\x01") + b"\x08\x02"

    assert wire.decode_assign_request(inside(2, twice)).points == (2, (1, 1), b"1234")


def test_decoding_keeps_one_axis_too_many_and_no_more() -> None:
    tensor = tensor_pb2.Tensor(dtype=tensor_pb2.DTYPE_FLOAT32, shape=[1] * 1000, data=b"1234").SerializeToString()

    assert wire.decode_assign_request(inside(2, tensor)).points.shape == (1,) * (MAX_AXES + 1)


def test_a_message_with_the_maximum_number_of_fields_is_parsed() -> None:
    paths = [""] * (MAX_FIELDS - 1)
    request = sessions_pb2.UpdateSessionRequest()
    request.update_mask.paths.extend(paths)
    parse = wire.parser(sessions_pb2.UpdateSessionRequest)

    assert len(parse(request.SerializeToString()).message.update_mask.paths) == len(paths)
    request.name = "s"
    with pytest.raises(wire.MessageTooLargeError, match="more than 16,384 fields"):
        parse(request.SerializeToString())


def tensor_bytes(rows: int) -> bytes:
    """Return rows of one column as a message."""
    return wire.tensor_message(np.ones((rows, 1), np.uint8)).SerializeToString()
