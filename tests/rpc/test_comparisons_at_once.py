"""How many comparisons a server computes at once, and when another one gets its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import numpy as np
import pytest

from shoal.v1 import compare_pb2, compare_pb2_grpc
from shoal_server.compare.service import READ_PATIENCE
from tests.rpc.inprocess import GatedEngine, InProcessServer
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.wire import CHANNEL_OPTIONS, PATIENCE, tensor

SCIPY, NUMBA = compare_pb2.COMPARE_ENGINE_SCIPY, compare_pb2.COMPARE_ENGINE_NUMBA
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
BUSY = Refusal("COMPARISONS_BUSY", ("runs 2 comparisons", "try again"), code=EXHAUSTED)
ENDING = Refusal("COMPARISONS_BUSY", ("runs 0 comparisons", "ends 2", "given up", "try again"), code=EXHAUSTED)
NOT_READ = Refusal("COMPARISON_NOT_READ", ("read for 60 seconds", "compare again"), code=EXHAUSTED)
AT_ONCE = 2
# Points and clusters: of some the steps take 2.5 MiB, and can wait; of many 21 MiB.
SOME, MANY = (4000, 8), (20_000, 10)


@pytest.fixture
def engine() -> GatedEngine:
    """Replaces numba: comparisons with it compute until the gate is opened."""
    return GatedEngine()


@pytest.fixture
def server(engine: GatedEngine) -> Iterator[InProcessServer]:
    with InProcessServer(engine, max_comparisons=AT_ONCE) as server:
        try:
            yield server
        finally:
            engine.gate.set()


@pytest.fixture
def begin(server: InProcessServer) -> Iterator[Callable[..., Any]]:
    """Begins comparisons, each on a connection that buffers 64 KiB, and cancels them at the end."""
    narrow = [*CHANNEL_OPTIONS, ("grpc.http2.bdp_probe", 0)]
    with ExitStack() as stack:

        def begin(n: int, n_clusters: int, engine: Any = SCIPY) -> Any:
            # Evenly spaced points, and centroids at one end of them: these go a long way.
            points = np.arange(float(n))[:, None]
            asked = compare_pb2.CompareRequest(
                points=tensor(points), n_clusters=n_clusters, engines=[engine], max_iter=1000
            )
            asked.init.centroids.CopyFrom(tensor(points[:n_clusters]))
            channel = stack.enter_context(grpc.insecure_channel(server.target, narrow))
            call = compare_pb2_grpc.CompareServiceStub(channel).Compare(asked, timeout=PATIENCE)
            stack.callback(call.cancel)
            return call

        yield begin


def _until_let_in(begin: Callable[..., Any]) -> None:
    """Compare again and again until the server isn't busy."""
    while True:
        try:
            assert list(begin(6, 2))[-1].HasField("result")
        except grpc.RpcError as error:
            if "try again" not in str(error.details()):
                raise
        else:
            return


def _until_none_computes(server: InProcessServer, meanwhile: Callable[[], object] = lambda: None) -> None:
    async def computing() -> bool:
        return any(task.get_name() == "comparing" for task in asyncio.all_tasks())

    while server.run(computing()):
        meanwhile()


def test_one_comparison_too_many_is_refused_until_another_has_ended(
    begin: Callable[..., Any], engine: GatedEngine
) -> None:
    running = [begin(6, 2, NUMBA) for _ in range(AT_ONCE)]
    for _ in running:
        assert engine.waiting.acquire(timeout=PATIENCE)

    status = refused_call(lambda: list(begin(6, 2)))

    BUSY.check(status)
    engine.gate.set()
    assert list(running[0])[-1].HasField("result")
    assert list(begin(6, 2))[-1].HasField("result")


def test_a_computed_comparison_occupies_no_place_while_it_is_read_slowly(begin: Callable[..., Any]) -> None:
    unread = [begin(*SOME) for _ in range(AT_ONCE)]
    assert all(next(call).HasField("start") for call in unread)

    _until_let_in(begin)

    assert all(list(call)[-1].HasField("result") for call in unread)


def test_a_comparison_that_is_never_read_frees_its_place(begin: Callable[..., Any], server: InProcessServer) -> None:
    unread = [begin(*MANY) for _ in range(AT_ONCE)]
    assert all(next(call).HasField("start") for call in unread)

    _until_none_computes(server, meanwhile=lambda: server.pass_time(READ_PATIENCE + 1))

    assert list(begin(6, 2))[-1].HasField("result")
    for call in unread:
        NOT_READ.check(refused_call(lambda call=call: list(call)))  # type: ignore[misc]


def test_a_computed_comparison_that_is_not_read_is_discarded(
    begin: Callable[..., Any], server: InProcessServer
) -> None:
    call = begin(*SOME)
    assert next(call).HasField("start")

    _until_let_in(begin)
    _until_none_computes(server, meanwhile=lambda: server.pass_time(READ_PATIENCE + 1))

    NOT_READ.check(refused_call(lambda: list(call)))


def test_a_cancelled_comparison_frees_its_place_while_its_step_is_still_computed(
    begin: Callable[..., Any], engine: GatedEngine, server: InProcessServer
) -> None:
    for _ in range(AT_ONCE):
        _give_up(begin(6, 2, NUMBA), engine, server)

    status = refused_call(lambda: list(begin(6, 2)))

    ENDING.check(status)  # so many calls of a library that can't be stopped
    engine.gate.set()
    _until_let_in(begin)
    assert len(engine.batches) == AT_ONCE  # and none makes another step


def test_another_comparison_runs_while_a_cancelled_one_finishes_its_step(
    begin: Callable[..., Any], engine: GatedEngine, server: InProcessServer
) -> None:
    _give_up(begin(6, 2, NUMBA), engine, server)
    others = [begin(6, 2, NUMBA)]
    assert engine.waiting.acquire(timeout=PATIENCE)

    assert list(begin(6, 2))[-1].HasField("result")

    engine.gate.set()
    assert list(others[0])[-1].HasField("result")


def _give_up(call: Any, engine: GatedEngine, server: InProcessServer) -> None:
    """Cancel a comparison while a library computes for it."""
    assert engine.waiting.acquire(timeout=PATIENCE)
    call.cancel()
    _until_none_computes(server)
