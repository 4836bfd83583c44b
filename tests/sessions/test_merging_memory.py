"""The memory reserved for a merge covers what it takes."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.merging import merged_model
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch
from shoal_server.clustering.summarised import SummarisedModel, summarised_model
from shoal_server.engines.contract import run_in_order
from shoal_server.sessions.merging import needed_bytes
from tests.clustering.builders import on_bug
from tests.warm import warm_engine


def filled(config: ModelConfig, points: Any) -> SummarisedModel:
    engine = warm_engine()
    batches = [Batch(points[start : start + 2000]) for start in range(0, len(points), 2000)]
    model, _ = apply_batches(new_model(config), batches, engine, run_in_order, lambda: False, on_bug, engine)
    return summarised_model(model)


@pytest.mark.parametrize(("k", "d", "size"), [(4, 2, 100), (8, 3, 5000), (64, 16, 2000), (32, 128, 1000)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_merge_takes_no_more_than_is_reserved_for_it(k: int, d: int, size: int, dtype: Any) -> None:
    config = ModelConfig(k, random_state=0, update_rule="incremental", summary_size=size)
    points = np.random.default_rng(0).normal(size=(16_000, d)).astype(dtype)
    sources = [filled(config, part) for part in np.split(points, 2)]
    merged = replace(config, update_rule="refined", n_clusters=2 * k)
    gc.collect()

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        model = merged_model(sources, merged, warm_engine(), run_in_order)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert model.version == 1
    assert peak <= needed_bytes(sources, merged) <= 12 * peak + 2**20
