"""Batches of very many rows: computed in many pieces, and what is held of all rows at once is little."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.model import apply, assign, new_model
from shoal_server.clustering.outliers import CHUNK_ROWS
from shoal_server.clustering.scoring import PART_ROWS
from shoal_server.clustering.state import Batch, Model
from shoal_server.engines.contract import PointArray, Task, run_in_order
from shoal_server.sessions.row_memory import rows_bytes
from shoal_server.sessions.session_memory import paused_bytes, workspace_bytes
from shoal_server.sessions.summary_memory import learning_bytes, swap_bytes
from tests.warm import warm_engine

ROWS = 8 * PART_ROWS + 5
LABELS, SCORES = 4, 8  # bytes of a row
KINDS: dict[str, tuple[dict[str, Any], type, int]] = {
    "uint8": ({}, np.uint8, 1),
    "cosine": ({"metric": "cosine"}, np.float16, 4),
    "scored": ({"outlier_threshold": 0.01}, np.uint8, 1),
    "scored, cosine": ({"outlier_threshold": 0.01, "metric": "cosine"}, np.float16, 4),
}


class Pieces:
    """Runs tasks in order, and counts their pieces."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, task: Task, count: int) -> None:
        for index in range(count):
            for _ in task(index) or ():
                self.count += 1


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


def batch_of(kind: str, rows: int = ROWS) -> Batch:
    _, dtype, d = KINDS[kind]
    return Batch(np.random.default_rng(0).integers(1, 200, size=(rows, d)).astype(dtype))


def model_of(kind: str) -> Model:
    """Return a model that has seen a few rows, and done once all that is to be measured."""
    config = ModelConfig(4, random_state=0, update_rule="refined", **KINDS[kind][0])
    model, engine = new_model(config), warm_engine()
    for _ in range(3):
        model, _ = apply(model, batch_of(kind, 3000), engine, run_in_order, engine)
    if config.outlier_threshold:
        assign(model, batch_of(kind, 3000).points, engine, run_in_order, return_scores=True)
    return model


def peak_of(function: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def besides(model: Model, points: PointArray) -> int:
    """Return what is reserved for computing whatever the number of rows."""
    config, d = model.config, points.shape[1]
    fixed = paused_bytes(config, d) + workspace_bytes(config, d, 0)
    return fixed + learning_bytes(config, d, 4) + swap_bytes(config, d, 4)


@pytest.mark.parametrize("asked", [False, True])
def test_a_large_batch_takes_no_more_than_is_reserved_for_its_rows(kind: str, asked: bool) -> None:
    scores = asked and "scored" in kind
    model, engine = model_of(kind), warm_engine()
    batch = batch_of(kind)._replace(return_labels=asked, return_scores=scores)
    pieces = Pieces()

    peak = peak_of(lambda: apply(model, batch, engine, pieces, engine))

    answer = (LABELS * asked + SCORES * scores) * ROWS
    assert peak <= answer + rows_bytes(model.config, batch) + besides(model, batch.points)
    assert peak >= LABELS * ROWS
    assert pieces.count >= ROWS / CHUNK_ROWS


@pytest.mark.parametrize("return_distances", [False, True])
@pytest.mark.parametrize("kind", ["scored", "scored, cosine"], indirect=True)
def test_assigning_many_rows_with_scores_takes_little_more_than_the_answer(kind: str, return_distances: bool) -> None:
    model, points, pieces = model_of(kind), batch_of(kind).points, Pieces()

    peak = peak_of(
        lambda: assign(model, points, warm_engine(), pieces, return_distances=return_distances, return_scores=True)
    )

    answer = (LABELS + SCORES + model.frame.dtype.itemsize * return_distances) * ROWS
    assert answer <= peak <= answer + besides(model, points)
    assert pieces.count >= ROWS / CHUNK_ROWS


def test_rows_are_scored_as_if_they_were_no_part_of_many() -> None:
    model, points, engine = model_of("scored"), batch_of("scored").points, warm_engine()
    start = PART_ROWS + 3

    all_rows, some = (
        assign(model, rows, engine, run_in_order, return_scores=True) for rows in (points, points[start:])
    )

    for found, expected in ((some.labels, all_rows.labels), (some.scores, all_rows.scores)):
        np.testing.assert_array_equal(found, np.asarray(expected)[start:])
    np.testing.assert_array_equal(some.distances, np.asarray(all_rows.distances)[start:])
