"""The memory limit of the process: requests beyond it are refused or wait, and all memory is released."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from numpy.typing import NDArray

import shoal
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, sessions_pb2
from shoal_server.budget import MIB, MemoryPlan
from shoal_server.engines.numba import NumbaEngine
from tests.rpc.bad_points import GOOD
from tests.rpc.inprocess import InProcessServer
from tests.rpc.refusals import Refusal, detail, refused_call, status_of
from tests.rpc.waiting import forever
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import PATIENCE as STUCK
from tests.rpc.wire import Wire, batch, config, duration, plain

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
SIZES: dict[str, Any] = {"max_message_bytes": 8 * MIB, "max_batch_bytes": 8 * MIB}
SCENARIOS, STEPS = 4, 60
LARGE_SIZES: dict[str, Any] = {"max_message_bytes": 32 * MIB, "max_batch_bytes": 32 * MIB}
LIMIT = 1024 * MIB
PUSHES = 48
PATIENT = 200.0  # seconds
Points = NDArray[np.float32]


@pytest.fixture(scope="module")
def server() -> Iterator[InProcessServer]:
    engine = NumbaEngine()
    engine.warm_up()
    least = MemoryPlan.minimum(SIZES["max_message_bytes"])
    with InProcessServer(engine, memory_limit=least, **SIZES) as server:
        server.rpc._receiver._limit = 1 << 40  # the process has more in it than a server
        yield server


@pytest.fixture
def client(server: InProcessServer) -> Iterator[Wire]:
    with Wire(server.target) as client:
        yield client
        delete_all(client)  # a test that failed has left sessions, and the wait below would never end
    until_nothing_is_used(server)


def delete_all(client: Wire) -> None:
    while sessions := client.sessions.ListSessions(sessions_pb2.ListSessionsRequest()).sessions:
        for session in sessions:
            client.delete(session.name)


def until_nothing_is_used(server: InProcessServer) -> None:
    while server._parts.budget.used:
        pass


def test_a_session_that_never_fits_into_memory_is_refused_and_keeps_nothing(client: Wire, name: str) -> None:
    status = refused_call(
        lambda: client.create(
            name,
            plain(
                2**17, init_size=2**17, n_features=16, init=sessions_pb2.Init(method=sessions_pb2.INIT_METHOD_RANDOM)
            ),
        )
    )

    says = (f"session '{name}' needs", "raise SHOAL_MEMORY_LIMIT")
    Refusal("MEMORY_LIMIT_REACHED", says, code=EXHAUSTED).check(status)
    assert "try again" not in status.message
    assert not client.sessions.ListSessions(sessions_pb2.ListSessionsRequest()).sessions


def test_sessions_are_refused_when_memory_is_short_until_one_is_deleted(client: Wire) -> None:
    large = plain(1024, n_features=32)
    numbers = itertools.count()

    status = refused_call(lambda: forever(lambda: client.create(f"s{next(numbers)}", large)))

    made = next(numbers) - 1
    assert made > 1
    assert detail(status, error_details_pb2.ErrorInfo).reason == "MEMORY_LIMIT_REACHED"
    assert detail(status, error_details_pb2.RetryInfo).retry_delay.seconds >= 1
    client.delete("s0")
    client.create("s0", large)
    for number in range(made):
        client.delete(f"s{number}")


def test_default_sessions_take_their_batches_on_a_server_with_room_for_one_more(client: Wire) -> None:
    default = sessions_pb2.SessionConfig(n_clusters=8, n_features=2, random_state=1)
    numbers = itertools.count()
    status = refused_call(lambda: forever(lambda: client.create(f"s{next(numbers)}", default)))
    made = next(numbers) - 1
    client.delete(f"s{made - 1}")  # a first batch needs room for the points that the centroids are chosen from
    random = np.random.default_rng(0)

    versions = [
        [client.push(name, batch(random.normal(size=(3000, 2)))).version for _ in range(20)] for name in ("s0", "s1")
    ]

    assert detail(status, error_details_pb2.ErrorInfo).reason == "MEMORY_LIMIT_REACHED"
    assert made > 40
    assert min(version[-1] for version in versions) > 20  # with refinements


def test_memory_for_columns_is_reserved_with_the_first_points(client: Wire, name: str) -> None:
    client.create(name, plain(2**13, init_size=2**13))

    status = refused_call(lambda: client.push(name, batch(np.ones((1, 300), np.float32))))

    Refusal("MEMORY_LIMIT_REACHED", (f"session '{name}'",), code=EXHAUSTED, session=name).check(status)
    assert client.push(name, batch(np.ones((1, 1), np.float32))).warming.seen == 1
    client.delete(name)


def test_a_change_to_an_engine_that_needs_too_much_memory_is_refused(client: Wire, name: str) -> None:
    client.create(name, plain(2**14, n_features=1))

    status = refused_call(
        lambda: client.update(name, sessions_pb2.SessionConfig(engine=sessions_pb2.ENGINE_SCIPY), ["engine"])
    )

    says = (f"computing for session '{name}'",)
    Refusal("MEMORY_LIMIT_REACHED", says, code=EXHAUSTED, session=name).check(status)
    client.delete(name)


@pytest.mark.parametrize("seed", range(SCENARIOS))
def test_all_reserved_memory_is_released_after_any_mixture_of_calls(
    client: Wire, server: InProcessServer, seed: int
) -> None:
    random = np.random.default_rng(seed)
    done: Counter[str] = Counter()
    for step in range(STEPS):
        name = f"s{random.integers(4)}"
        action = ACTIONS[random.integers(len(ACTIONS))]
        points = random.normal(size=(int(random.integers(100, 5000)), 8)).astype(np.float32)
        try:
            action(client, name, points, step)
        except grpc.RpcError:
            done["refused"] += 1
        else:
            done[action.__name__] += 1
    delete_all(client)

    until_nothing_is_used(server)
    assert len(done) > 5  # what happened is worth something


def test_expired_sessions_release_their_memory(client: Wire, server: InProcessServer, name: str) -> None:
    client.create(name, config(init=GOOD, idle_ttl=duration(60)))
    client.push(name, batch(GOOD))
    assert server._parts.budget.used

    server.pass_time(61)

    until_nothing_is_used(server)


def test_parallel_large_pushes_are_served_or_refused_within_the_memory_limit() -> None:
    points = np.random.default_rng(0).normal(size=(23 * 1024, 256)).astype(np.float32)
    contents = clustering_pb2.PushRequest(session="pushed", batch=batch(points)).SerializeToString()
    with LocalServer(memory_limit=LIMIT, **LARGE_SIZES) as server, shoal.connect(server.target) as client:
        client.create_session("pushed", n_clusters=8)
        with ThreadPoolExecutor(PUSHES) as threads:
            outcomes = Counter(threads.map(_push, [(server.target, contents)] * PUSHES))

        peak = peak_bytes(server.pid)
        client.session("pushed").push(points[:100])
        assert client.session("pushed").describe().points_accepted == outcomes["served"] * len(points) + 100

    assert sum(outcomes.values()) == PUSHES
    assert outcomes["served"] > 0
    assert set(outcomes) <= {"served", "MEMORY_LIMIT_REACHED"}
    assert peak < LIMIT


def peak_bytes(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _push(call: tuple[str, bytes]) -> str:
    target, contents = call
    with Wire(target) as wire:
        push: Any = wire.channel.unary_unary("/shoal.v1.ClusteringService/Push")
        try:
            push(contents, timeout=PATIENT)
        except grpc.RpcError as error:
            status = status_of(error)
            assert detail(status, error_details_pb2.RetryInfo).retry_delay.seconds >= 1
            return str(detail(status, error_details_pb2.ErrorInfo).reason)
    return "served"


def create(client: Wire, name: str, points: Points, step: int) -> None:
    client.create(name, config(64, init=points[:64]) if step % 2 else config(64, init_size=9000))


def push(client: Wire, name: str, points: Points, step: int) -> None:
    producer = clustering_pb2.Producer(id="p") if step % 2 else None
    client.push(name, batch(points, sequence=step + 1, return_labels=step % 3 == 0), producer)


def ingest(client: Wire, name: str, points: Points, step: int) -> None:
    with Stream(client.clustering.Ingest) as stream:
        stream.send(opening(name, "q" if step % 2 else ""))
        last = stream.receive().opened.last_sequence
        for sequence in range(last + 1, last + 4):
            message = batch(points, sequence=sequence, return_labels=step % 3 == 0)
            stream.send(clustering_pb2.IngestRequest(batches=[message]))
        if step % 4:
            stream.results(3)
        else:
            stream.call.cancel()  # without a look at the answers


def assign(client: Wire, name: str, points: Points, _step: int) -> None:
    client.assign(name, batch(points).points, return_distances=True)


def watch(client: Wire, name: str, _points: Points, _step: int) -> None:
    updates = client.clustering.WatchCentroids(
        clustering_pb2.WatchCentroidsRequest(session=name, progress_interval=duration(0.01)), timeout=STUCK
    )
    next(updates)
    updates.cancel()


def update(client: Wire, name: str, _points: Points, step: int) -> None:
    engine = sessions_pb2.ENGINE_SCIPY if step % 2 else sessions_pb2.ENGINE_NUMBA
    client.update(name, sessions_pb2.SessionConfig(engine=engine), ["engine"])


def delete(client: Wire, name: str, _points: Points, _step: int) -> None:
    client.delete(name)


ACTIONS: list[Callable[[Wire, str, Points, int], None]] = [create, push, push, ingest, assign, watch, update, delete]
