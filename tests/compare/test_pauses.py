"""A cancelled comparison ends before its next call of a library."""

from __future__ import annotations

from time import perf_counter
from typing import get_args

import numpy as np
import pytest

from shoal import CompareEngine
from shoal_server.compare.request import ComparisonRequest, check, prepare
from shoal_server.compare.running import run, runners
from shoal_server.engines.contract import Halted
from shoal_server.errors import DomainError
from tests.warm import warm_engine

POINTS = np.random.default_rng(0).normal(size=(5000, 2))


def request(engine: CompareEngine, *, max_iter: int = 50, init: str = "random") -> ComparisonRequest:
    return ComparisonRequest(POINTS, 20, init, 0, (engine,), max_iter, tol=0.0)  # type: ignore[arg-type]


class Patience:
    """A pause that raises when it has been called so often."""

    def __init__(self, pauses: int) -> None:
        self.left = pauses

    def __call__(self) -> None:
        if not self.left:
            raise Halted
        self.left -= 1


@pytest.mark.parametrize("engine", get_args(CompareEngine))
def test_a_comparison_stops_at_its_next_pause(engine: CompareEngine) -> None:
    comparison = prepare(request(engine), Patience(0))
    steps = run(comparison, runners(warm_engine()), perf_counter)

    with pytest.raises(Halted):
        list(steps)


def test_choosing_initial_centroids_stops_at_its_next_pause() -> None:
    with pytest.raises(Halted):
        prepare(request("numba", init="k-means++"), Patience(5))


def test_a_comparison_of_too_much_work_is_refused() -> None:
    work = 5000 * (20 * 2 + 32)

    check(request("scipy", max_iter=10), 10**9, 10 * work)
    with pytest.raises(DomainError, match="max_iter 10 at most") as raised:
        check(request("scipy", max_iter=11), 10**9, 10 * work)
    with pytest.raises(DomainError, match="compare on a sample"):
        check(request("scipy", max_iter=1), 10**9, work - 1)

    assert raised.value.refusal.reason == "WORK_TOO_LARGE"
