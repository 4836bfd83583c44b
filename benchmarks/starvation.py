"""How long one client's small Push takes while others load the server as much as they can.

The client that is measured has a process, a connection and a session of its own. What the others do is in
`benchmarks.starving`, and each of it meets a server of its own.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import numpy as np
from rich.progress import track

import shoal
from benchmarks.datasets import random_sample
from benchmarks.pairing import Plan
from benchmarks.processes import Process, peak_mib, settled_server
from benchmarks.results import Limit, Row
from shoal.testing import LocalServer

_D, _K = 16, 64
_PAUSE = 0.005  # seconds between two calls
_LIMIT = Limit("50 ms", 50.0, "ms")
_MAX_SECONDS = 25.0  # of one scenario, after which it is cut short
_MAX_SESSIONS = 20_000


@dataclass(frozen=True)
class Scenario:
    """The load from the other clients."""

    case: str
    load: str  # of benchmarks.starving
    size: int
    quick_size: int
    limit: Limit | None = None  # of the seconds that it takes, where it comes to an end
    push_limit: Limit = _LIMIT


NOBODY = Scenario("beside nobody", "nothing", 0, 0)
SCENARIOS = (
    NOBODY,
    Scenario("beside 64 sessions ingesting, d=128 k=1,024", "ingest", 64, 16),
    Scenario("beside 20 sessions that are refined, d=16 k=64", "refine", 20, 20, push_limit=Limit("30 ms", 30.0, "ms")),
    Scenario("beside 8 clients that assign 60,000 rows, d=16 k=64", "assign-small", 8, 8),
    Scenario("beside 8 clients that assign 60,000 rows, d=128 k=1,024", "assign-large", 8, 4),
    Scenario("beside 1,000 watchers of 512 x 256 centroids", "watch", 1000, 100),
    Scenario("beside 1,000 such watchers that don't read", "stall", 1000, 100),
    Scenario("beside 1,000 watchers of 2 x 2 centroids", "watch-small", 1000, 100),
    Scenario("beside 266 watchers that ask for progress often", "progress", 266, 100),
    Scenario("beside lists of 1,000 sessions with given centroids", "list", 1000, 100),
    Scenario("while sessions are created", "create", 10_000, 500, Limit("20 s", 20.0, "s")),
    Scenario("while a session warms row by row", "warm", 100_000, 5_000, Limit("10 s", 10.0, "s")),
)


def rows(plan: Plan) -> Iterator[Row]:
    """Measure under each load of the plan's."""
    chosen = [scenario for scenario in SCENARIOS if re.search(plan.only, scenario.case)]
    for scenario in track(chosen, "starvation", console=plan.console, transient=True):
        with ExitStack() as stack:
            server = stack.enter_context(settled_server(max_sessions=_MAX_SESSIONS, log_level="warning"))
            client = stack.enter_context(shoal.connect(server.target, timeout=_MAX_SECONDS))
            session = client.create_session(
                "bystander", _K, init=random_sample(_D, _K).centroids, durability="memory", update_rule="incremental"
            )
            session.push(np.zeros((1, _D), np.float32))  # what is cold the first time isn't counted
            size = plan.choose(scenario.size, scenario.quick_size)
            load = stack.enter_context(Process("starving", scenario.load, server.target, str(size)))
            calls = _push_beside(session, load, plan.choose(10.0, 2.0), whole=scenario.limit is not None)
            yield from _rows(scenario, calls, load.end(), server)


def _push_beside(session: shoal.Session, load: Process, seconds: float, *, whole: bool) -> list[float]:
    """Return the seconds of each of several successive calls.

    Parameters
    ----------
    session, load
        What they go to, and what they are made beside.
    seconds
        How long.
    whole
        Whether to go on for as long as the load works, but not for ever.
    """
    point = np.zeros((1, _D), np.float32)
    taken = []
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + (_MAX_SECONDS if whole else seconds):
        with suppress(shoal.DeadlineExceededError):  # it took that long at least
            session.push(point)
        taken.append(time.perf_counter() - now)
        if whole and load.has_more_to_read():
            break
        time.sleep(_PAUSE)
    return taken


def _rows(scenario: Scenario, calls: list[float], said: str, server: LocalServer) -> Iterator[Row]:
    done = json.loads(said)
    p50, p99 = np.percentile(np.array(calls) * 1e3, [50, 99])
    facts: dict[str, float | str] = {
        "calls": len(calls),
        "longest, ms": max(calls) * 1e3,
        "the server's memory at its peak, MiB": peak_mib(server.pid),
        **done["facts"],
    }
    yield scenario.push_limit.row(f"Push of 1 row {scenario.case}, p50", [float(p50)], aimed=False, facts=facts)
    yield scenario.push_limit.row(f"Push of 1 row {scenario.case}, p99", [float(p99)], facts=facts)
    if scenario.limit:
        whole = done["seconds"] * done["of"] / max(1, done["done"])
        yield scenario.limit.row(f"{done['of']:,} {done['what']}, in all", [whole], facts={"done": done["done"]})
