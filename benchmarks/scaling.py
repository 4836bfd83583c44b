"""Whether cost grows no faster than the work: rows, columns and centroids doubled, a second thread, idle sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import psutil

import shoal.aio
from benchmarks import peers
from benchmarks.datasets import random_sample
from benchmarks.pairing import Plan, Spread, ratios, spread, take_turns, timed
from benchmarks.processes import settled_server
from benchmarks.results import Row
from benchmarks.shoal_kernel import Kernel, ready_engine, threads
from shoal_server.engines.contract import Engine

_N, _D, _K = 8192, 16, 64  # of what isn't doubled
_IDLE_AT_ONCE = 64  # sessions that are made at the same time


def rows(plan: Plan) -> Iterator[Row]:
    """Measure every range of the plan."""
    engine = ready_engine()
    with peers.OneThread():
        yield from _doubled("n", plan.choose(range(8, 19), range(8, 17, 4)), engine, plan)
        yield from _doubled("d", plan.choose(range(1, 11), range(1, 10, 4)), engine, plan)
        yield from _doubled("k", plan.choose(range(1, 12), range(1, 10, 4)), engine, plan)
        yield from _second_thread(engine, plan)
    yield from _idle_sessions(plan)


def _doubled(axis: str, powers: range, engine: Engine, plan: Plan) -> Iterator[Row]:
    sizes = [2**power for power in powers]
    contestants = {str(size): _kernel(engine, **{axis: size}) for size in sizes}
    taken = take_turns(contestants, plan.with_rounds(9), f"scaling: {axis} doubled")
    for before, size in pairwise(sizes):
        ours, base = taken[str(size)], taken[str(before)]
        yield Row(
            case=f"{axis}={size:,}",
            peer=f"{axis}={before:,}",
            unit="ps",  # a row, column and centroid
            shoal=spread(ours),
            other=spread(base),
            ratio=ratios(ours, base),
            reading="times as dear, for each unit of work",
            facts={"axis": axis, "size": size},
        )


def _kernel(engine: Engine, n: int = _N, d: int = _D, k: int = _K) -> Callable[[], float]:
    """Return a contestant that measures picoseconds for each unit of work: row × column × centroid."""
    sample = random_sample(d, k, n)
    measure = timed(partial(Kernel(sample.centroids, engine).apply, sample.points))
    return lambda: measure() / (n * d * k) * 1e12


def _second_thread(engine: Engine, plan: Plan) -> Iterator[Row]:
    for d, k in plan.choose(((2, 8), (16, 64), (128, 1024)), ((16, 64),)):
        sample = random_sample(d, k, plan.choose(2**17, 2**16) if d < 128 else 2**15)  # noqa: PLR2004
        kernels = {count: Kernel(sample.centroids, engine, threads(count)) for count in (1, 2)}
        contestants = {str(count): timed(partial(kernel.apply, sample.points)) for count, kernel in kernels.items()}
        taken = take_turns(contestants, plan, f"scaling: threads, {sample.case}")
        yield Row(
            case=f"2 threads, {sample.case}",
            peer="1 thread",
            unit="ms",
            shoal=spread(1e3 * value for value in taken["2"]),
            other=spread(1e3 * value for value in taken["1"]),
            ratio=ratios(taken["1"], taken["2"]),
            reading="times faster",
        )


def _idle_sessions(plan: Plan) -> Iterator[Row]:
    with settled_server(max_sessions=10_000) as server:
        process = psutil.Process(server.pid)
        asyncio.run(_create(server.target, 0, 1))
        before, made = process.memory_info().rss, 1
        for count in plan.choose((10, 100, 1_000, 10_000), (10, 100, 1_000)):
            asyncio.run(_create(server.target, made, count))
            made = count
            each = (process.memory_info().rss - before) / (count - 1) / 1024
            yield _memory(count, each, before / 2**20)


async def _create(target: str, begin: int, end: int) -> None:
    centroids = np.zeros((_K, _D))
    async with shoal.aio.connect(target) as client:
        limit = asyncio.Semaphore(_IDLE_AT_ONCE)

        async def create(number: int) -> None:
            async with limit:
                await client.create_session(
                    f"idle-{number}", _K, init=centroids, durability="memory", update_rule="incremental"
                )

        await asyncio.gather(*(create(number) for number in range(begin, end)))


def _memory(count: int, kib_each: float, mib_before: float) -> Row:
    state = _K * (_D + 1) * 8 / 1024
    once, bare = Spread(kib_each, kib_each, kib_each, 1), Spread(state, state, state, 1)
    over = kib_each / state
    return Row(
        case=f"{count:,} idle sessions, d={_D} k={_K}",
        peer="centroids and weights alone",
        unit="KiB a session",
        shoal=once,
        other=bare,
        ratio=Spread(over, over, over, 1),
        reading="times the memory",
        facts={"MiB of the server with one session": mib_before},
    )
