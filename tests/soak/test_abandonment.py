"""Thousands of streams that are dropped in every way leave nothing behind in the server."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.effort import choose
from tests.rpc.inprocess import InProcessServer
from tests.soak.abandoning import (
    STREAMS_A_ROUND,
    abandon_floods,
    abandon_streams,
    apply_batches,
    create_session,
    describe_session,
)
from tests.soak.measuring import MIB, Measured
from tests.warm import warm_engine

pytestmark = pytest.mark.soak

ROUNDS = -(-choose(1500, 5000) // STREAMS_A_ROUND)
SLICES = choose(5, 10)  # memory goes up and down all the time: its lowest points are compared
# The tasks of a server and of a session that nobody uses.
OWN = Counter(["Receiver._watch", "Writer._run", "Sessions._end_idle_sessions"])
STUCK = 30.0  # seconds after which a task is one that stays


@pytest.fixture
def inside(caplog: pytest.LogCaptureFixture) -> Iterator[InProcessServer]:
    """Run a server in this process, where its tasks can be counted."""
    with InProcessServer(warm_engine()) as server:
        yield server
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_abandoned_calls_leave_no_task_thread_or_object(inside: InProcessServer) -> None:
    await create_session(inside.target)
    await abandon_streams(inside.target, rounds=5)
    await _tasks_left(inside)
    threads, objects = _threads(), _objects()

    await abandon_streams(inside.target, ROUNDS)

    assert await _tasks_left(inside) == OWN
    assert _threads() == threads
    assert _objects() - objects < 500


async def test_abandoned_calls_leave_no_watcher_or_queued_batch(inside: InProcessServer) -> None:
    await create_session(inside.target)

    await abandon_streams(inside.target, rounds=choose(8, 20))

    await _tasks_left(inside)
    session = await describe_session(inside.target)
    assert (session.watchers, session.queued_batches, session.queued_bytes) == (0, 0, 0)
    assert session.version > 0


async def test_batches_that_wait_for_room_end_with_their_stream(inside: InProcessServer) -> None:
    await create_session(inside.target)

    await abandon_floods(inside.target, streams=8)

    assert await _tasks_left(inside) == OWN


async def test_abandoned_calls_leave_no_memory_open_file_or_log_entry(measured: Measured) -> None:
    await create_session(measured.server.target)
    settled = await _lowest_memory(measured)
    files, threads = measured.process.num_fds(), measured.process.num_threads()

    left = await _lowest_memory(measured) - settled

    assert left < 5 * MIB
    assert measured.process.num_fds() < files + 20
    assert measured.process.num_threads() < threads + 5
    assert {json.loads(line)["level"] for line in measured.server.log_path.read_text().splitlines()} == {"info"}


async def _lowest_memory(measured: Measured) -> int:
    lowest = measured.memory()
    for _ in range(SLICES):
        await abandon_streams(measured.server.target, -(-ROUNDS // SLICES))
        await apply_batches(measured.server.target)
        lowest = min(lowest, measured.memory())
    return lowest


async def _tasks_left(server: InProcessServer) -> Counter[str]:
    """Wait for every task of the server that comes to an end by itself, and return which are left."""
    await apply_batches(server.target)
    gc.collect()  # asyncio complains of a task that nobody holds any more
    return await asyncio.wrap_future(server.begin(_staying_tasks()))


async def _staying_tasks() -> Counter[str]:
    while passing := [task for task in _tasks() if _name(task) not in OWN]:
        _, staying = await asyncio.wait(passing, timeout=STUCK)
        assert not staying
    return Counter(map(_name, _tasks()))


def _tasks() -> list[asyncio.Task[object]]:
    """Return all tasks but this one and those with which gRPC waits for calls."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return [task for task in others if not _name(task).startswith("AioServer.")]


def _name(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")


def _threads() -> Counter[str]:
    # Those that compute begin when they are needed, as many as there may be.
    return Counter(thread.name for thread in threading.enumerate() if not thread.name.startswith("compute"))


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())
