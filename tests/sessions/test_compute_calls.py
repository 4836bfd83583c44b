"""Calls of the event loop that run on the compute threads."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import pytest

from shoal_server.sessions.compute import ComputePool
from tests.sessions.engines import PATIENCE


async def test_a_compute_call_runs_on_a_thread_of_the_pool_and_returns_its_result() -> None:
    def greet(greeting: str, *, mark: str) -> str:
        return f"{greeting} {threading.current_thread().name}{mark}"

    with closing(ComputePool(1)) as pool:
        assert await pool.call(greet, "hello", mark="!") == "hello compute_0!"


async def test_a_compute_call_raises_the_exception_of_its_function() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with closing(ComputePool(1)) as pool, pytest.raises(ZeroDivisionError):
        await pool.call(fail)


async def test_a_cancelled_compute_call_still_runs_to_its_end() -> None:
    begun, free, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        free.wait(PATIENCE)
        ended.set()

    with closing(ComputePool(2)) as pool:
        call = asyncio.create_task(pool.call(work))
        await pool.call(begun.wait, PATIENCE)

        call.cancel()
        free.set()
        await asyncio.wait([call])

    assert call.cancelled()
    assert ended.is_set()
