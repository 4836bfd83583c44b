"""A comparison of 100,000 points: the time to its first step or message, and the delay of concurrent pushes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np
from numpy.typing import NDArray

import shoal
from benchmarks.crowd import COMPARED
from benchmarks.datasets import random_sample
from benchmarks.pairing import Plan, ratios, spread, take_turns, timed
from benchmarks.processes import Process, settled_server
from benchmarks.results import Limit, Row
from shoal import wire
from shoal.v1 import compare_pb2, compare_pb2_grpc

DURING, WITHOUT = "during a comparison", "without one"
_N, _K = 100_000, 50
_APART = 3.0  # standard deviations of a blob: as far apart are the centres of blobs in each column
_FIRST_STEP = Limit("0.5 s", 500.0, "ms")
_ROWS, _D, _CENTROIDS = 1024, 16, 64  # of what is pushed
_QUANTILES = {"p50": 50.0, "p99": 99.0}


def rows(plan: Plan) -> Iterator[Row]:
    """Compare in both widths."""
    sample = random_sample(_D, _CENTROIDS, _ROWS)
    with TemporaryDirectory() as folder, settled_server() as server, shoal.connect(server.target) as client:
        session = client.create_session(
            "pushed", _CENTROIDS, init=sample.centroids, durability="memory", update_rule="incremental"
        )
        push = timed(partial(session.push, sample.points), least=0.0)
        for d in (2, 16):
            points, path = blobs(_N, d, _K), Path(folder) / f"{d}.npy"
            np.save(path, points)
            yield _first_steps(client, points, plan)
            yield _first_messages(server.target, points, plan)
            yield from _beside(push, partial(Process, "crowd", "compare", server.target, str(path), str(_K)), d, plan)


def blobs(n: int, d: int, k: int) -> NDArray[np.float64]:
    """Return n points (n, d) around k centres, equally many around each on average; some blobs overlap."""
    random = np.random.default_rng([d, k])
    centres = _APART * random.standard_normal((k, d))
    return centres[random.integers(k, size=n)] + random.standard_normal((n, d))


def _first_steps(client: shoal.Client, points: NDArray[np.float64], plan: Plan) -> Row:
    def first_step() -> float:
        begin = time.perf_counter()
        with closing(client.compare(points, _K, random_state=0, engines=COMPARED)) as steps:
            next(steps)
            return 1e3 * (time.perf_counter() - begin)

    case = f"first step of {len(points):,} points, d={points.shape[1]} k={_K}"
    taken = take_turns({case: first_step}, plan.with_rounds(plan.choose(11, 3)), "comparing: first step")
    return _FIRST_STEP.row(case, taken[case])


def _first_messages(target: str, points: NDArray[np.float64], plan: Plan) -> Row:
    """Measure the time to the initial centroids, because scikit-learn's only step comes when its fit is done."""
    request = compare_pb2.CompareRequest(
        points=wire.tensor_message(points),
        n_clusters=_K,
        random_state=0,
        engines=[compare_pb2.COMPARE_ENGINE_SKLEARN],
        max_iter=10,
    )
    case = f"first message of {len(points):,} points, d={points.shape[1]} k={_K}, scikit-learn first"
    with grpc.insecure_channel(target, [("grpc.max_receive_message_length", -1)]) as channel:
        compare = compare_pb2_grpc.CompareServiceStub(channel).Compare

        def first_message() -> float:
            begin = time.perf_counter()
            messages = compare(request)
            next(messages)
            taken = 1e3 * (time.perf_counter() - begin)
            deque(messages, maxlen=0)  # a fit can't be stopped, and the next round would meet it
            return taken

        taken = take_turns({case: first_message}, plan.with_rounds(plan.choose(11, 3)), "comparing: first message")
    return _FIRST_STEP.row(case, taken[case])


def _beside(push: Callable[[], float], comparer: Callable[[], Process], d: int, plan: Plan) -> Iterator[Row]:
    def contestant(*, comparing: bool) -> Callable[[], list[float]]:
        def pushes() -> list[float]:
            with comparer() if comparing else nullcontext():
                return _seconds_of_each(push, plan.choose(3.0, 1.0))

        return pushes

    contestants = {WITHOUT: contestant(comparing=False), DURING: contestant(comparing=True)}
    few = plan.with_rounds(plan.choose(5, 2))
    taken = take_turns(contestants, few, f"comparing: pushes beside, d={d}", warm_ups=plan.choose(1, 0))
    for quantile, percent in _QUANTILES.items():
        ours, others = (_blocks(taken[name], percent) for name in (DURING, WITHOUT))
        yield Row(
            case=f"Push of {_ROWS:,} rows during a comparison, d={d} k={_K}",
            peer=f"{WITHOUT}, {quantile}",
            unit="µs",
            shoal=spread(ours),
            other=spread(others),
            ratio=ratios(ours, others),
            reading="times as long",
        )


def _seconds_of_each(call: Callable[[], float], seconds: float) -> list[float]:
    """Return the measurements of successive calls over some seconds."""
    end = time.perf_counter() + seconds
    taken = []
    while time.perf_counter() < end:
        taken.append(call())
    return taken


def _blocks(rounds: list[list[float]], percent: float) -> list[float]:
    """Return a quantile, in µs: the median of each round; p99 of all calls, because a round has few rarer ones."""
    blocks = rounds if percent == _QUANTILES["p50"] else [[seconds for block in rounds for seconds in block]]
    return [float(1e6 * np.percentile(block, percent)) for block in blocks]
