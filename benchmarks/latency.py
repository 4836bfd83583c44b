"""The time of one call compared with an empty call: alone, and while another process ingests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np

import shoal
from benchmarks.datasets import random_sample
from benchmarks.pairing import Plan, ratios, spread, take_turns, timed
from benchmarks.processes import Bare, Process, settled_server
from benchmarks.results import Row, Target

EMPTY = "an empty call"
ALONE, LOADED = "alone", "during full ingest"
_QUANTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9}
_BLOCKS = 15  # of calls, whose quantiles make the quartiles
_D, _K = 16, 64
_POURED_ROWS = 4096  # of each batch that another process pours in


def rows(plan: Plan) -> Iterator[Row]:
    """Compare calls of every kind."""
    sample = random_sample(_D, _K)
    with ExitStack() as stack:
        server = stack.enter_context(settled_server())
        client = stack.enter_context(shoal.connect(server.target))
        process = stack.enter_context(Process("bare_server"))
        bare = stack.enter_context(Bare(process.said))
        names = ("called", "poured")
        session, _ = (
            client.create_session(name, _K, init=sample.centroids, durability="memory", update_rule="incremental")
            for name in names
        )
        calls = _calls(session, sample.points, bare)
        for load, count in ((ALONE, plan.choose(3000, 300)), (LOADED, plan.choose(1500, 200))):
            with _pouring(server.target) if load == LOADED else nullcontext():
                yield from _compare(load, take_turns(calls, replace(plan, rounds=count), f"latency: {load}"))


def _pouring(target: str) -> Process:
    return Process("crowd", "pour", target, "poured", str(_POURED_ROWS))


def _calls(session: shoal.Session, points: np.ndarray, bare: Bare) -> dict[str, Callable[[], float]]:
    calls: dict[str, Callable[[], object]] = {EMPTY: bare.nothing}
    for n in (1, 32, 1024):
        calls[f"Push of {_rows(n)}"] = partial(session.push, points[:n])
    for n in (1, 32):
        calls[f"Assign of {_rows(n)}"] = partial(session.assign, points[:n])
    return {name: timed(call, least=0.0) for name, call in calls.items()}


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"


def _compare(load: str, taken: dict[str, list[float]]) -> Iterator[Row]:
    empty = taken.pop(EMPTY)
    for name, seconds in taken.items():
        for quantile, percent in _QUANTILES.items():
            ours, others = _blocks(seconds, percent), _blocks(empty, percent)
            aimed = (load, name, quantile) == (ALONE, "Assign of 1 row", "p50")
            yield Row(
                case=f"{name}, {load}",
                peer=f"{EMPTY}, {quantile}",
                unit="µs",
                shoal=spread(ours),
                other=spread(others),
                ratio=ratios(ours, others),
                reading="times as long",
                target=Target(1.2, "at most") if aimed else None,
                headline=quantile == "p50" and load == ALONE,
            )


def _blocks(seconds: list[float], percent: float) -> list[float]:
    """Return a quantile, in µs: the median of each block of calls; rarer quantiles over all calls.

    A block is too short for a thousandth: its largest value would stand for that.
    """
    calls = np.array(seconds) * 1e6
    blocks = np.array_split(calls, _BLOCKS) if percent == _QUANTILES["p50"] else [calls]
    return [float(np.percentile(block, percent)) for block in blocks]
