"""Models in the middle of refinements that take several batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.learning import Learning, PendingLight
from shoal_server.clustering.model import new_model
from shoal_server.clustering.refinement_schedule import Depth
from shoal_server.clustering.state import Batch, BatchResult, Model
from tests.clustering.streaming import applied, cut
from tests.clustering.test_refined import blobs

LARGE = ModelConfig(50, random_state=3, update_rule="refined")
# Light refinements that take long: one round is enough with few clusters of many columns, and not with many clusters.
WIDE = ModelConfig(16, random_state=3, update_rule="refined")
MANY = ModelConfig(500, random_state=3, update_rule="refined")
# One that takes too long beside other work, and not long enough for rounds.
ALONE = ModelConfig(32, random_state=3, update_rule="refined")
CASES: dict[str, tuple[ModelConfig, int, int, Depth]] = {
    "light, one round": (WIDE, 256, 1000, "light"),
    "light, many rounds": (MANY, 4, 1000, "light"),
    "light, directions": (replace(WIDE, metric="cosine"), 256, 1000, "light"),
    "deep": (LARGE, 8, 500, "deep"),
}


def batches_of(case: str, rows: int = 60_000) -> list[Batch]:
    config, d, batch_rows, depth = CASES[case]
    if depth == "deep":
        return cut(blobs(rows, config.n_clusters, d), [batch_rows])
    return cut(np.random.default_rng(0).normal(size=(rows, d)).astype(np.float32), [batch_rows])


def learning_of(model: Model) -> Learning:
    assert model.state.learning is not None
    return model.state.learning


def pends(model: Model, depth: Depth) -> bool:
    """Return whether a refinement is under way whose outcome isn't known."""
    learning = model.state.learning
    if learning is None:
        return False
    return learning.deep is not None if depth == "deep" else learning.light is not None and not learning.light.outcome


def until_pending(case: str) -> tuple[Model, list[Batch]]:
    """Return a model in the middle of a refinement, and the batches that are left."""
    config, _, _, depth = CASES[case]
    model, batches = new_model(config), batches_of(case)
    for number, batch in enumerate(batches):
        deep = model.state.learning.deep if model.state.learning else None
        if pends(model, "light") if depth == "light" else (deep is not None and deep.pieces > 0):
            return model, list(batches[number:])
        model, _ = applied(model, [batch], 1)
    raise AssertionError(f"no {depth} refinement takes several batches")


def until_end(
    model: Model, batches: Sequence[Batch], depth: Depth, *, refined: bool = False
) -> tuple[Model, Batch, Model, BatchResult]:
    """Return the model before a refinement ends, the batch with which it does, and the model and the result after.

    With `refined` it is one that has found better centroids.
    """
    for batch in batches:
        after, (result,) = applied(model, [batch], 1)
        if pends(model, depth) and not pends(after, depth) and result.refined >= refined:
            return model, batch, after, result
        model = after
    raise AssertionError(f"no {depth} refinement ends")


def after_a_round(case: str = "light, many rounds") -> tuple[Model, list[Batch], PendingLight]:
    """Return a model whose light refinement has done some work, the batches that are left, and that refinement."""
    model, batches = until_pending(case)
    light = learning_of(model).light
    while light is None or not light.work or not light.swaps_left:
        model, _ = applied(model, [batches.pop(0)], 1)
        light = learning_of(model).light
    return model, batches, light
