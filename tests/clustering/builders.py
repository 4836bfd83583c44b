"""Small steps that the tests of the mathematics share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import HalfLife, HalfLifeUnit, ModelConfig
from shoal_server.clustering.model import apply, new_model
from shoal_server.clustering.state import Batch, BatchResult, Model, Snapshot
from shoal_server.engines.contract import Engine, run_in_order
from shoal_server.errors import Refusal, internal


def push(
    model: Model,
    points: Any,
    engine: Engine,
    *,
    sample_weight: Any = None,
    event_time: float | None = None,
    dtype: Any = None,
) -> tuple[Model, BatchResult]:
    """Apply one batch."""
    weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
    batch = Batch(np.atleast_2d(np.asarray(points, dtype)), weight, event_time, return_labels=True)
    return apply(model, batch, engine, run_in_order)


def pushed(config: ModelConfig, batches: list[NDArray[Any]], engine: Engine) -> Model:
    """Return a model after some batches."""
    model = new_model(config)
    for batch in batches:
        model, _ = push(model, batch, engine)
    return model


def snapshot(model: Model) -> Snapshot:
    """Return the newest version, which must exist."""
    assert model.snapshot is not None
    return model.snapshot


def on_bug(_: Exception) -> Refusal:
    """Return the message for a bug."""
    return internal()


def half_life(value: float, unit: HalfLifeUnit = "batches") -> HalfLife:
    return HalfLife(value, unit)
