"""The heaviest legal batches: others are served meanwhile, and a stop or a deletion takes effect."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from shoal.testing import LocalServer, load_engines
from shoal.v1 import clustering_pb2, compare_pb2, compare_pb2_grpc, sessions_pb2
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.wire import PATIENCE, Wire, batch, config, tensor
from tests.versions import follow_one_another

BOUND = 10.0  # seconds from the signal to the end of the process
GRACE = 1.0
K, D = 32_768, 16
CENTROIDS = np.random.default_rng(0).normal(size=(K, D)).astype(np.float32)
MAX_WORK = 2**38  # the server's default
ROWS = MAX_WORK // (K * D)
DRAINING = Refusal("SERVER_DRAINING", ("not applied this", "again"), code=grpc.StatusCode.UNAVAILABLE)
DRAINING_COMPARISON = Refusal("SERVER_DRAINING", ("again",), code=grpc.StatusCode.UNAVAILABLE)
GONE = Refusal("SESSION_NOT_FOUND", ("no session",), code=grpc.StatusCode.NOT_FOUND)
TOO_LARGE = Refusal(
    "WORK_TOO_LARGE", ("multiplications", f"at most {ROWS:,} rows"), "points", grpc.StatusCode.RESOURCE_EXHAUSTED
)
# scikit-learn's calls can't be stopped, and get a thirty-second.
ENGINES = {
    "numba": (sessions_pb2.ENGINE_NUMBA, ROWS),
    "scipy": (sessions_pb2.ENGINE_SCIPY, ROWS),
    "sklearn": (sessions_pb2.ENGINE_SKLEARN, ROWS // 32),
}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer(shutdown_grace=GRACE) as server:
        yield server


@pytest.fixture
def wire(server: LocalServer) -> Iterator[Wire]:
    """Return a client whose server is started anew if it has been stopped."""
    server.start()
    with Wire(server.target) as wire:
        yield wire


def heavy(rows: int) -> Any:
    return np.random.default_rng(1).integers(-3, 4, (rows, D)).astype(np.int8)


def push(wire: Wire, name: str, points: Any) -> Any:
    request = clustering_pb2.PushRequest(session=name, batch=batch(points))
    return wire.clustering.Push(request, timeout=PATIENCE)


def begun(wire: Wire, name: str, rows: int, pool: ThreadPoolExecutor) -> Future[Any]:
    """Push a heavy batch, and wait until it is being computed."""
    call = pool.submit(push, wire, name, heavy(rows))
    while (session := wire.describe(name)).queued_batches or not session.queued_bytes:
        pass
    return call


@pytest.mark.parametrize("engine", ENGINES)
def test_sigterm_ends_the_server_in_time_while_the_heaviest_batch_is_computed(
    engine: str, server: LocalServer, wire: Wire, name: str
) -> None:
    number, rows = ENGINES[engine]
    wire.create(name, config(K, init=CENTROIDS, engine=number))
    before = push(wire, name, heavy(10))
    with ThreadPoolExecutor(1) as pool:
        call = begun(wire, name, rows, pool)
        process = server._process._process
        assert process is not None

        signalled = time.monotonic()
        server.stop()
        seconds, exit_code = time.monotonic() - signalled, process.wait(PATIENCE)

        # On a fast machine scikit-learn is done within the time that a last batch has: then it has counted.
        is_applied = engine == "sklearn" and call.exception(PATIENCE) is None
        if is_applied:
            assert call.result().version == before.version + 1
        else:
            DRAINING.check(refused_call(lambda: call.result(PATIENCE)))
    assert before.version == 1
    # A call of scikit-learn that can't be stopped ends with the process, which then ends as by the signal.
    assert exit_code == 0 or (engine, exit_code) == ("sklearn", -signal.SIGTERM)
    assert seconds < BOUND
    log = server.log_path.read_text()
    assert '"event": "stopped"' in log
    assert "Traceback" not in log


def test_sigterm_ends_the_server_in_time_while_scikit_learn_fits_for_a_comparison(
    server: LocalServer, wire: Wire
) -> None:
    request = compare_pb2.CompareRequest(
        points=tensor(np.random.default_rng(3).normal(size=(4096, 16)).astype(np.float32)),
        n_clusters=1024,
        engines=[compare_pb2.COMPARE_ENGINE_SKLEARN],
        max_iter=1000,
        tol=0,
    )
    load_engines(server.target)
    call = compare_pb2_grpc.CompareServiceStub(wire.channel).Compare(request, timeout=PATIENCE)
    next(call)  # what is compared; the fit comes next
    process = server._process._process
    assert process is not None

    signalled = time.monotonic()
    server.stop()

    assert process.wait(PATIENCE) in {0, -signal.SIGTERM}
    assert time.monotonic() - signalled < BOUND
    DRAINING_COMPARISON.check(refused_call(lambda: list(call)))
    assert "Traceback" not in server.log_path.read_text()


@pytest.mark.parametrize("engine", ["numba", "scipy"])
def test_deleting_a_session_stops_its_heaviest_batch(engine: str, wire: Wire, name: str) -> None:
    number, rows = ENGINES[engine]
    wire.create(name, config(K, init=CENTROIDS, engine=number))
    with ThreadPoolExecutor(1) as pool:
        call = begun(wire, name, rows, pool)

        wire.sessions.DeleteSession(sessions_pb2.DeleteSessionRequest(name=name), timeout=PATIENCE)

        GONE.check(refused_call(lambda: call.result(PATIENCE)))


@pytest.mark.parametrize("engine", ENGINES)
def test_small_batches_of_others_are_applied_while_the_heaviest_are_computed(
    engine: str, wire: Wire, name: str
) -> None:
    number, rows = ENGINES[engine]
    heavy_names = [f"{name}-{place}" for place in range(3)]
    for each in heavy_names:
        wire.create(each, config(K, init=CENTROIDS, engine=number))
    wire.create(name, config(2, init=CENTROIDS[:2]))
    with ThreadPoolExecutor(3) as pool:
        for each in heavy_names:
            pool.submit(push, wire, each, heavy(rows))
        while any(not wire.describe(each).queued_bytes for each in heavy_names):
            pass

        results = [push(wire, name, CENTROIDS[:5]) for _ in range(20)]

        assert results[0].version == 1
        assert follow_one_another(results)
        assert [wire.describe(each).version for each in heavy_names] == [0, 0, 0]
        for each in heavy_names:  # rather than to wait for them
            wire.sessions.DeleteSession(sessions_pb2.DeleteSessionRequest(name=each), timeout=PATIENCE)


def test_a_batch_of_more_than_max_batch_work_is_refused(wire: Wire, name: str) -> None:
    wire.create(name, config(K, init=CENTROIDS))

    TOO_LARGE.check(refused_call(lambda: push(wire, name, heavy(ROWS + 1))))
    request = clustering_pb2.AssignRequest(session=name, points=tensor(heavy(ROWS + 1)))
    TOO_LARGE.check(refused_call(lambda: wire.clustering.Assign(request, timeout=PATIENCE)))


def test_initial_centroids_of_too_much_work_are_refused_and_a_heavy_choice_can_be_deleted(
    wire: Wire, name: str
) -> None:
    hopeless = Refusal("WORK_TOO_LARGE", ("200,000", "multiplications"), "config.init_size", TOO_LARGE.code)
    hopeless.check(refused_call(lambda: wire.create(name, config(200_000, init_size=200_000, n_features=2))))
    wire.create(name, config(60_000, init_size=60_000))
    points = np.random.default_rng(2).normal(size=(60_000, 2)).astype(np.float32)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(push, wire, name, points)
        while (session := wire.describe(name)).queued_batches or not session.queued_bytes:
            pass

        wire.sessions.DeleteSession(sessions_pb2.DeleteSessionRequest(name=name), timeout=PATIENCE)

        GONE.check(refused_call(lambda: call.result(PATIENCE)))
