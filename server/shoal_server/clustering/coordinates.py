"""What the first points settle: the precision of the computing, and the origin that keeps its digits.

The expanded form of a squared distance loses the digits that points far from zero share, and so does float32 itself.
Relative to an origin among the points nothing is lost. Points near zero keep zero as their origin, so that they are
computed with as they are; the origin lies on a coarse grid, so that round numbers stay round.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import Metric, ModelConfig
from shoal_server.clustering.state import CoordinateSystem, Model
from shoal_server.engines.contract import PointArray

# The grid's step is the column's spread times 4 to 8: so an origin is at most that far from the mean, which costs three
# of the 24 bits that float32 has.
_SPREADS = 4.0


def fit_coordinates(points: PointArray, model: Model) -> CoordinateSystem:
    """Return the precision and the origin that the first points (n, d) settle.

    The precision follows them as in scikit-learn: float64 stays; float32, float16 and the integers that float32 holds
    exactly are computed in float32; wider integers in float64. `dtype` in the configuration overrides.
    """
    precision = precision_for(points.dtype, model.config)
    if model.snapshot is not None:
        # Given centroids say where the points will lie, too: a first row that is far off must not settle it alone.
        points = np.concatenate([model.snapshot.centroids, points])
    return CoordinateSystem(precision, origin_among(points, precision, model.config.metric))


def precision_for(dtype: np.dtype[Any], config: ModelConfig) -> np.dtype[Any]:
    """Return the precision in which a model computes whose first points have this type."""
    if config.dtype:
        return np.dtype(config.dtype)
    return np.dtype(np.float32 if np.can_cast(dtype, np.float32, "safe") else np.float64)


def origin_among(points: PointArray, precision: np.dtype[Any], metric: Metric) -> NDArray[np.floating[Any]]:
    """Return an origin (d,) near the mean of finite points (n, d); under cosine zero, where directions begin."""
    if metric == "cosine":
        return np.zeros(points.shape[1], precision)
    first = points[0].astype(np.float64)
    offsets = points - first
    mean = first + offsets.mean(axis=0)
    spread = offsets.std(axis=0)
    spreads = spread > 0
    step = np.exp2(np.ceil(np.log2(_SPREADS * spread, where=spreads, out=np.zeros_like(spread))))
    origin: NDArray[np.floating[Any]] = np.where(spreads, np.round(mean / step) * step, mean).astype(precision)
    return origin
