"""One batch's tasks, and how the compute threads share them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor, Future
from contextlib import closing, nullcontext
from typing import Any

import pytest

from shoal_server.sessions.compute import ComputePool, _run_all
from tests.sessions.engines import PATIENCE

A_WHILE = 0.3  # seconds that a helper still works while another one has failed


@pytest.mark.parametrize("count", [0, 1, 2, 7, 500])
@pytest.mark.parametrize("threads", [1, 2, 5])
async def test_every_compute_task_runs_once(threads: int, count: int) -> None:
    ran: list[int] = []

    with closing(ComputePool(threads)) as pool:
        await pool.call(pool.run_tasks, ran.append, count)

    assert sorted(ran) == list(range(count))


async def test_tasks_run_at_the_same_time_on_as_many_threads_as_there_are() -> None:
    together = threading.Barrier(3)

    with closing(ComputePool(3)) as pool:
        await pool.call(pool.run_tasks, lambda _: meet(together), 3)

    assert not together.broken


async def test_a_pool_of_one_thread_runs_all_tasks_in_order() -> None:
    ran: list[tuple[int, str]] = []

    with closing(ComputePool(1)) as pool:
        await pool.call(pool.run_tasks, lambda index: ran.append((index, threading.current_thread().name)), 5)

    assert ran == [(index, "compute_0") for index in range(5)]


@pytest.mark.parametrize("fails", ["caller", "helper"])
async def test_the_failure_of_a_task_is_raised_from_any_thread(fails: str) -> None:
    together = threading.Barrier(2)

    def run() -> None:
        caller = threading.current_thread()

        def task(_: int) -> None:
            meet(together)
            if ("caller" if threading.current_thread() is caller else "helper") == fails:
                raise ZeroDivisionError(fails)

        pool.run_tasks(task, 2)

    with closing(ComputePool(2)) as pool, pytest.raises(ZeroDivisionError, match=fails):
        await pool.call(run)


async def test_a_compute_pool_works_after_a_task_failed() -> None:
    ran: list[int] = []

    def fail(_: int) -> None:
        raise ZeroDivisionError

    with closing(ComputePool(2)) as pool:
        with pytest.raises(ZeroDivisionError):
            await pool.call(pool.run_tasks, fail, 4)
        await pool.call(pool.run_tasks, ran.append, 4)

    assert sorted(ran) == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [2, 3])
async def test_batches_that_need_helpers_on_every_thread_do_not_deadlock_the_pool(threads: int) -> None:
    all_busy = threading.Barrier(threads)
    ran: list[tuple[int, int]] = []

    def run(batch: int) -> None:
        meet(all_busy)
        pool.run_tasks(lambda index: ran.append((batch, index)), 20)

    with closing(ComputePool(threads)) as pool:
        await asyncio.gather(*(pool.call(run, batch) for batch in range(threads)))

    assert sorted(ran) == [(batch, index) for batch in range(threads) for index in range(20)]


async def test_a_batch_without_helpers_runs_its_tasks_itself() -> None:
    busy, free = threading.Event(), threading.Event()
    ran: list[int] = []

    def keep_busy() -> None:
        busy.set()
        free.wait(PATIENCE)

    with closing(ComputePool(2)) as pool:
        other = asyncio.create_task(pool.call(keep_busy))
        await pool.call(busy.wait, PATIENCE)

        await pool.call(pool.run_tasks, ran.append, 5)
        alone = list(ran)
        free.set()
        await other

    assert ran == alone == [0, 1, 2, 3, 4]


def test_helpers_that_have_not_begun_are_cancelled_when_the_tasks_are_done() -> None:
    helpers: list[Future[None]] = [Future(), Future()]
    pool = ComputePool(3)
    pool._executor = _Scripted(helpers)  # type: ignore[assignment]

    pool.run_tasks(lambda _: None, 3)

    assert [helper.cancelled() for helper in helpers] == [True, True]


def test_a_failure_is_raised_after_all_running_tasks_have_ended() -> None:
    failed: Future[None] = Future()
    failed.set_exception(ZeroDivisionError())
    running: Future[None] = Future()
    running.set_running_or_notify_cancel()
    pool = ComputePool(3)
    pool._executor = _Scripted([failed, running])  # type: ignore[assignment]
    raised, raised_early = threading.Event(), threading.Event()

    def work() -> None:
        if raised.wait(A_WHILE):
            raised_early.set()
        running.set_result(None)

    worker = threading.Thread(target=work)
    worker.start()
    with pytest.raises(ZeroDivisionError):
        pool.run_tasks(lambda _: None, 3)
    raised.set()
    worker.join()

    assert not raised_early.is_set()


def test_no_further_task_begins_after_one_failed() -> None:
    indices = iter(range(5))

    def fail(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _run_all(fail, indices, lambda: None)

    assert list(indices) == []


def meet(barrier: threading.Barrier) -> None:
    """Wait until every thread has come."""
    barrier.wait(PATIENCE)


class _Scripted(Executor):
    """Gives out helpers that are made already: when a thread begins and ends is chance otherwise."""

    def __init__(self, helpers: list[Future[None]]) -> None:
        self._helpers = iter(helpers)

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        return next(self._helpers)

    def checkpoint(self, held: int = 0) -> None:
        pass

    def released(self) -> nullcontext[None]:
        return nullcontext()
