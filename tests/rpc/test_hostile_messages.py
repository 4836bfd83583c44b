"""Hostile messages: each is answered with what is wrong, the server lives, and other clients aren't affected."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import grpc
import numpy as np
import psutil
import pytest
from google.rpc import error_details_pb2

from shoal.testing import LocalServer, load_engines
from shoal.v1 import clustering_pb2
from tests.rpc.hostile import CODES, METHODS, Hostile, fuzz, heavy, table
from tests.rpc.hostile_client import HostileClient
from tests.rpc.refusals import Refusal, detail, refused_call
from tests.rpc.wire import PATIENCE, Wire, array, batch, config

pytestmark = pytest.mark.soak

MIB = 1024 * 1024
MAX_GROWTH = 64 * MIB  # of the server's memory, however much has been sent
# Methods whose largest messages `make test` sends too: one that takes arrays, a stream, and one that is parsed whole.
HEAVY_ONES = {"Push", "Ingest", "ListSessions"}
SESSION = "aimed-at"
WITNESS = [[0.0, 0.0], [10.0, 10.0]]


@pytest.fixture(scope="module")
def target() -> Iterator[LocalServer]:
    """A server for one test, because its memory is measured."""
    with LocalServer() as server:
        load_engines(server.target)
        yield server


@pytest.fixture(scope="module")
def hostile(target: LocalServer) -> Iterator[HostileClient]:
    with HostileClient(target.target, SESSION) as client:
        yield client


@pytest.fixture(scope="module")
def memory(target: LocalServer, hostile: HostileClient) -> int:
    """Return the maximum memory of the server after the first messages, small and large ones.

    What the C library keeps of them is used again for those to come, and so is what the server keeps.
    """
    for message in islice(fuzz(99, SESSION), 300):
        hostile.send(message)
    held = []
    for method in ("CreateSession", "Ingest"):
        for what, contents in heavy(method).items():
            hostile.send(Hostile(method, what, contents(), compressed=True))
            held.append(psutil.Process(target.pid).memory_info().rss)
    return max(held)


@pytest.fixture
def wire(target: LocalServer) -> Iterator[Wire]:
    with Wire(target.target) as wire:
        yield wire


def test_every_field_of_every_method_at_every_extreme_is_answered(
    target: LocalServer, hostile: HostileClient, wire: Wire, memory: int
) -> None:
    with unharmed(target, hostile, wire, memory):
        check_answered(hostile, table(SESSION))


def test_every_field_at_every_extreme_is_answered_in_a_session_with_scores(
    target: LocalServer, hostile: HostileClient, wire: Wire, memory: int
) -> None:
    with unharmed(target, hostile, wire, memory), HostileClient(target.target, "scored", scores=True) as client:
        of_points = {"Push", "Ingest", "Assign", "AssignStream"}
        check_answered(client, (each for each in table("scored", scores=True) if each.method in of_points))


@pytest.mark.parametrize(
    "method", [pytest.param(each, marks=() if each in HEAVY_ONES else pytest.mark.torture) for each in METHODS]
)
def test_a_hostile_message_of_the_maximum_size_is_refused(
    target: LocalServer, hostile: HostileClient, wire: Wire, memory: int, method: str
) -> None:
    with unharmed(target, hostile, wire, memory):
        for what, contents in heavy(method).items():
            check_answered(hostile, [Hostile(method, what, contents(), compressed=True)])


def test_messages_changed_at_random_are_answered(
    target: LocalServer, hostile: HostileClient, wire: Wire, memory: int
) -> None:
    with unharmed(target, hostile, wire, memory):
        check_answered(hostile, islice(fuzz(1, SESSION), 2_000))


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(2, 27))
def test_very_many_messages_changed_at_random_are_answered(
    target: LocalServer, hostile: HostileClient, wire: Wire, memory: int, seed: int
) -> None:
    with unharmed(target, hostile, wire, memory):
        check_answered(hostile, islice(fuzz(seed, SESSION), 2_000))


def test_a_message_of_too_many_batches_is_refused_with_the_limit(wire: Wire, name: str) -> None:
    wire.create(name, config(init=WITNESS))
    opening = clustering_pb2.IngestRequest(open=clustering_pb2.IngestOpen(session=name)).SerializeToString()
    call = ingest(wire)

    status = refused_call(lambda: list(call(iter([opening, b"\x12\0" * 100_000]), timeout=PATIENCE)))

    says = ("more than 4,096 batches", "several messages")
    Refusal("TOO_MANY_BATCHES", says, code=grpc.StatusCode.RESOURCE_EXHAUSTED).check(status)


def test_a_server_that_gets_messages_of_refused_batches_can_be_stopped() -> None:
    with LocalServer(shutdown_grace=1.0) as server, Wire(server.target) as wire:
        wire.create(SESSION, config(init=WITNESS))
        opening = clustering_pb2.IngestRequest(open=clustering_pb2.IngestOpen(session=SESSION)).SerializeToString()
        call = ingest(wire)

        def endlessly() -> Iterator[bytes]:
            yield opening
            while True:
                yield b"\x12\0" * 4096

        answers = call(endlessly(), timeout=PATIENCE)
        next(answers)
        next(answers)
        server.stop()  # kills it, and fails, if it doesn't end by itself
        status = refused_call(lambda: list(answers))  # what is killed says nothing

    assert detail(status, error_details_pb2.ErrorInfo).reason == "SERVER_DRAINING"


def ingest(wire: Wire) -> grpc.StreamStreamMultiCallable[bytes, bytes]:
    """Return the method that takes bytes for messages."""
    return wire.channel.stream_stream("/shoal.v1.ClusteringService/Ingest")


def check_answered(client: HostileClient, messages: Iterable[Hostile]) -> None:
    """Fail unless every message is answered with a valid response or a refusal."""
    wrong = [(code, message) for message in messages if (code := client.send(message)) not in CODES]

    assert not wrong, [f"{code.name}: {each.method}, {each.what}: {each.contents[:200]!r}" for code, each in wrong[:10]]


@contextmanager
def unharmed(target: LocalServer, hostile: HostileClient, wire: Wire, memory: int) -> Iterator[None]:
    """Fail unless the server lives, holds no more memory than at first, and another session is unchanged."""
    clean_up(hostile)
    wire.create("witness", config(init=WITNESS))
    before = wire.centroids("witness")

    yield

    assert wire.centroids("witness") == before
    assert wire.push("witness", batch(WITNESS)).version == before.version + 1
    np.testing.assert_array_equal(array(wire.centroids("witness").centroids), np.array(WITNESS))
    clean_up(hostile)
    until_memory(psutil.Process(target.pid), hostile, memory + MAX_GROWTH)


def clean_up(hostile: HostileClient) -> None:
    for name in hostile.sessions():
        hostile.delete(name)


def until_memory(process: psutil.Process, hostile: HostileClient, most: int) -> None:
    """Call a server until its process holds at most so many bytes."""
    end = time.monotonic() + PATIENCE
    while (held := process.memory_info().rss) > most:
        assert time.monotonic() < end, f"{held / MIB:.0f} MiB are held, {most / MIB:.0f} may be"
        hostile.sessions()
