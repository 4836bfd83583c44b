"""Batches of all kinds to apply together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal_server.clustering.config import HalfLife, Metric, ModelConfig, OnInvalid
from shoal_server.clustering.state import Batch

K, D = 5, 6
HALF_LIVES: list[HalfLife | None] = [
    None,
    HalfLife(1.5, "batches"),
    HalfLife(20.0, "points"),
    HalfLife(3.0, "seconds"),
]
KINDS = ["plain"] * 6 + ["one row", "weighted", "zero weights", "float64", "uint8", "NaN", "zeros", "columns"]
KINDS += ["large", "late", "no time", "Fortran", "infinite", "NaN of weight 0"]
METRICS: list[Metric] = ["euclidean", "cosine"]
POLICIES: list[OnInvalid] = ["reject", "drop", "impute"]


@dataclass(frozen=True)
class FusedBatches:
    """Batches for one model, and where to cut them."""

    config: ModelConfig
    batches: list[Batch]
    cuts: list[int]


def _batch(kind: str, index: int, dtype: Any, random: np.random.Generator) -> Batch:
    rows = {"one row": 1, "large": 3000}.get(kind, int(random.integers(2, 40)))
    points: NDArray[Any] = random.normal(size=(rows, D + (kind == "columns"))).astype(dtype)
    time: float | None = float(index)
    weight = None
    if kind in {"weighted", "zero weights", "NaN of weight 0"}:
        weight = random.exponential(size=rows) if kind == "weighted" else np.zeros(rows)
    if kind in {"float64", "uint8"}:
        points = (100 * np.abs(points) % 200 + 1).astype(kind)
    if kind in {"NaN", "NaN of weight 0", "infinite"}:
        points[rows // 2, 3] = -np.inf if kind == "infinite" else np.nan
    if kind == "zeros":
        points[-1] = 0
    if kind in {"late", "no time"}:
        time = index - 2.5 if kind == "late" else None
    if kind == "Fortran":
        points = np.asfortranarray(points)
    return Batch(points, weight, time, return_labels=bool(random.integers(2)))


@st.composite
def fused_batch_sets(draw: st.DrawFn) -> FusedBatches:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12))
    config = ModelConfig(
        K,
        init=random.normal(size=(K, D)) if draw(st.booleans()) else "k-means++",
        random_state=1,
        metric=draw(st.sampled_from(METRICS)),
        on_invalid=draw(st.sampled_from(POLICIES)),
        half_life=draw(st.sampled_from(HALF_LIVES)),
        dtype="float32" if dtype is np.float32 else "float64",
    )
    batches = [_batch(kind, index, dtype, random) for index, kind in enumerate(kinds)]
    return FusedBatches(config, batches, draw(st.lists(st.integers(0, len(kinds)), max_size=5)))
