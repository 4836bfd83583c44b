"""The cost of a client that sends hostile messages: p99 of another client's Push, and the server's memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Thread

import numpy as np
import psutil

import shoal
from benchmarks.datasets import Float32Array, random_sample
from benchmarks.pairing import Plan
from benchmarks.processes import Process, settled_server
from benchmarks.results import Limit, Row

_D, _K, _ROWS = 16, 64, 32
_ALONE = 1000  # calls
_P99 = Limit("100 ms", 100.0, "ms")
_GROWTH = Limit("64 MiB", 64.0, "MiB")
_PAUSE = 0.002  # seconds between two calls: the client's own work must not be what is measured
_SETTLING = 10.0  # seconds in which memory goes back


def rows(plan: Plan) -> Iterator[Row]:
    """Measure one client's calls alone, and while another one sends every hostile message of the tests."""
    sample = random_sample(_D, _K, _ROWS)
    with settled_server() as server, shoal.connect(server.target) as client:
        session = client.create_session(
            "pushed-into", _K, init=sample.centroids, durability="memory", update_rule="incremental"
        )
        process = psutil.Process(server.pid)
        _once(server.target, 100)  # what the server keeps of its first calls isn't counted
        alone = [_push(session, sample.points) for _ in range(plan.choose(_ALONE, _ALONE // 5))]
        for what, count in (("table", 0), ("heavy", 0), ("fuzz", plan.choose(5000, 500))):
            before = process.memory_info().rss
            times, sent = _beside(server.target, what, count, session, sample.points)
            facts: dict[str, float | str] = {
                "messages": sent,
                "calls": len(times),
                "p50, ms": float(np.median(times)),
                "max, ms": max(times),
                "p99 alone, ms": float(np.percentile(alone, 99)),
            }
            yield _P99.row(f"p99 of a Push beside {what}", [float(np.percentile(times, 99))], facts=facts)
            yield _GROWTH.row(f"memory more than before {what}", [_growth(process, before)])


def _once(target: str, count: int) -> None:
    with Process("hostile_sender", target, "fuzz", str(count)) as sender:
        sender.end()


def _beside(
    target: str,
    what: str,
    count: int,
    session: shoal.Session,
    points: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> tuple[list[float], int]:
    """Return the ms of calls while another process sent messages, and the number of these messages."""
    said: list[str] = []
    with Process("hostile_sender", target, what, str(count)) as sender:
        waiting = Thread(target=lambda: said.append(sender.end()))
        waiting.start()
        times = []
        while waiting.is_alive():
            times.append(_push(session, points))
        waiting.join()
    return times, int(said[0])


def _push(session: shoal.Session, points: Float32Array) -> float:
    """Return the duration of a call in ms."""
    time.sleep(_PAUSE)
    begin = time.perf_counter()
    session.push(points)
    return 1e3 * (time.perf_counter() - begin)


def _growth(process: psutil.Process, before: int) -> float:
    """Return the growth of a process's memory in MiB, after it had time to free some."""
    end = time.monotonic() + _SETTLING
    while (grown := process.memory_info().rss - before) > 0 and time.monotonic() < end:
        time.sleep(_PAUSE)
    return max(0.0, grown / 2**20)
