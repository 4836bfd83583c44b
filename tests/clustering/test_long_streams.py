"""What a session keeps of its stream doesn't grow with the stream, and stays exact: after a hundred million points."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch, Model
from shoal_server.clustering.summary import Summary, max_summary_bytes, total_weight
from shoal_server.engines.contract import run_in_order
from shoal_server.sessions.session_memory import kept_bytes
from tests.clustering.builders import half_life, on_bug
from tests.clustering.summary_builders import array_bytes, cost, estimated, weighted_points
from tests.warm import warm_engine

ROWS = 50_000  # of a batch
SETTLED = 100  # batches, after which nothing may grow any more
CONFIG = ModelConfig(4, random_state=0, update_rule="refined", summary_size=400)


@pytest.mark.parametrize(
    "points",
    [5 * 10**6, pytest.param(10**8, marks=[pytest.mark.torture, pytest.mark.timeout(0)])],
    ids=lambda points: f"{points:,}",
)
@pytest.mark.parametrize("forgets", [False, True])
def test_memory_is_bounded_however_many_points_come(points: int, forgets: bool) -> None:
    config = replace(CONFIG, half_life=half_life(1e6, "points") if forgets else None)
    batches, seen = _endless_batches(), _distinct_batches()
    model, held = new_model(config), []
    tracemalloc.start()
    try:
        for number in range(1, points // ROWS + 1):
            model = _applied(model, next(batches))
            if number in {SETTLED, points // ROWS}:
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()

    state = model.state
    summary = _summary(model)
    assert (state.points_accepted, summary.rows) == (points, points)
    assert array_bytes(summary) <= max_summary_bytes(400, 4, 2, np.dtype(np.float32))
    assert held[-1] <= held[0] + kept_bytes(model)
    if not forgets:
        weighted = weighted_points(summary, _age(model))
        np.testing.assert_allclose(total_weight(summary, _age(model)), points, rtol=1e-9)
        np.testing.assert_allclose(weighted.weights @ weighted.points / points, _mean_of(seen), atol=1e-4)
        one_round = np.concatenate([batch.points for batch in seen])
        exact = cost(one_round, np.ones(len(one_round)), model.frame.centroids) * points / len(one_round)
        assert abs(estimated(weighted, model.frame.centroids) / exact - 1) < 0.05


def _distinct_batches() -> list[Batch]:
    random = np.random.default_rng(0)
    middles = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [40.0, 40.0]])
    drawn = [random.choice(4, ROWS, p=[0.5, 0.3, 0.19, 0.01]) for _ in range(4)]
    return [Batch((middles[each] + random.normal(size=(ROWS, 2))).astype(np.float32)) for each in drawn]


def _endless_batches() -> Iterator[Batch]:
    return itertools.cycle(_distinct_batches())


def _applied(model: Model, batch: Batch) -> Model:
    engine = warm_engine()
    model, (result,) = apply_batches(model, [batch], engine, run_in_order, lambda: False, on_bug, engine)
    assert result.refusal is None
    return model


def _summary(model: Model) -> Summary:
    assert model.state.learning is not None
    return model.state.learning.summary


def _age(model: Model) -> float:
    assert model.state.learning is not None
    return model.state.learning.schedule.age


def _mean_of(batches: list[Batch]) -> Any:
    return np.mean([batch.points.mean(axis=0, dtype=np.float64) for batch in batches], axis=0)
