"""The precision and the origin that a model computes with: what the first points settle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import Metric, ModelConfig
from shoal_server.clustering.state import CoordinateSystem, Model
from shoal_server.engines.chunks import BLOCK_ROWS
from shoal_server.engines.contract import PointArray, RunTasks

# The grid's step is the column's spread times 4 to 8: so an origin is at most that far from the mean, which costs three
# of the 24 bits that float32 has.
_SPREADS = 4.0
_BLOCK_VALUES = 1 << 18  # whose mean is computed at once: 2 MiB in float64, and less than a millisecond


def fit_coordinates(points: PointArray, model: Model, run: RunTasks) -> CoordinateSystem:
    """Return the precision and the origin that the first points (n, d) settle.

    The precision follows them as in scikit-learn: float64 stays; float32, float16 and the integers that float32 holds
    exactly are computed in float32; wider integers in float64. `dtype` in the configuration overrides.
    """
    precision = precision_for(points.dtype, model.config)
    # Given centroids say where the points will lie, too: a first row that is far off must not settle it alone.
    parts = [points] if model.snapshot is None else [model.snapshot.centroids, points]
    return CoordinateSystem(precision, origin_among(parts, precision, model.config.metric, run))


def precision_for(dtype: np.dtype[Any], config: ModelConfig) -> np.dtype[Any]:
    """Return the precision in which a model computes whose first points have this type."""
    if config.dtype:
        return np.dtype(config.dtype)
    return np.dtype(np.float32 if np.can_cast(dtype, np.float32, "safe") else np.float64)


def origin_among(
    parts: Sequence[PointArray], precision: np.dtype[Any], metric: Metric, run: RunTasks
) -> NDArray[np.floating[Any]]:
    """Return an origin (d,) near the mean of finite points, parts of (n, d); under cosine zero, where directions begin.

    It is computed block by block, since it is computed in float64, and others may go first between two.
    """
    columns = parts[0].shape[1]
    if metric == "cosine":
        return np.zeros(columns, precision)
    first = parts[0][0].astype(np.float64)
    count = sum(len(part) for part in parts)
    mean, variance = np.zeros(columns), np.zeros(columns)  # of the offsets from the first point

    def compute(_: int) -> Iterator[None]:
        for block in _blocks(parts):
            mean[:] += (block - first).sum(axis=0)
            yield
        mean[:] /= count
        for block in _blocks(parts):
            offsets = block - first
            offsets -= mean
            variance[:] += np.multiply(offsets, offsets, out=offsets).sum(axis=0)
            yield
        variance[:] /= count

    run(compute, 1)
    mean += first
    spread = np.sqrt(variance)
    spreads = spread > 0
    step = np.exp2(np.ceil(np.log2(_SPREADS * spread, where=spreads, out=np.zeros_like(spread))))
    origin: NDArray[np.floating[Any]] = np.where(spreads, np.round(mean / step) * step, mean).astype(precision)
    return origin


def _blocks(parts: Sequence[PointArray]) -> Iterator[PointArray]:
    for part in parts:
        rows = min(BLOCK_ROWS, max(_BLOCK_VALUES // part.shape[1], 1))
        for start in range(0, len(part), rows):
            yield part[start : start + rows]
