"""What a summary begins with where centroids are given with weights: these count as that many points."""

from __future__ import annotations

import numpy as np

from shoal_server.clustering.buckets import SummaryKernels, bucket_of, nearest_centroids
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.open_block import Reference
from shoal_server.clustering.refinement_schedule import RefinementSchedule
from shoal_server.clustering.summary import Summary, empty_summary
from shoal_server.engines.contract import Float64Array, Frame, PointArray, RunTasks

MAX_ROWS = 4096  # of the first batch that are looked at for how far points lie from their centroids
_MAX_SCATTER = 1e300


def first_schedule(config: ModelConfig) -> RefinementSchedule:
    """Return how far a model without points is from its first refinement."""
    if config.init_weights is None:
        return RefinementSchedule()
    weight = float(config.init_weights.sum())
    rows = int(np.count_nonzero(config.init_weights))
    return RefinementSchedule(rows=rows, weight=weight, new_weight=weight, new_weight_deep=weight)


def first_summary(
    config: ModelConfig,
    frame: Frame,
    points: PointArray,
    sample_weight: Float64Array | None,
    kernels: SummaryKernels,
    run: RunTasks,
) -> Summary:
    """Return the summary that a model has before its first batch.

    Given centroids are points of it, each with its weight. What they stand for is taken to lie around them as the rows
    of the first batch do: a summary that took it for the centroids themselves would say too low an inertia.

    Parameters
    ----------
    config
        Of the model.
    frame
        At the initial centroids.
    points, sample_weight
        Of the first batch, (n, d) as they came, n from 1 up, and (n,).
    kernels, run
        Compute.
    """
    summary = empty_summary(config.summary_points(points.shape[1]), points.shape[1], frame.dtype)
    if config.init_weights is None or not (live := config.init_weights > 0).any():
        return summary
    inertia = _inertia(frame, points, sample_weight, kernels, run)
    weights = config.init_weights[live]
    scatter = np.minimum(weights * inertia, _MAX_SCATTER)
    bucket = bucket_of(frame.centroids[live], weights, scatter, 0.0, float(len(weights)))
    reference = Reference(frame.centroids.copy(), config.init_weights, config.init_weights, 0.0, inertia)
    return summary._replace(buckets=(bucket,), reference=reference)


def _inertia(
    frame: Frame, points: PointArray, sample_weight: Float64Array | None, kernels: SummaryKernels, run: RunTasks
) -> float:
    """Return the inertia of a row of weight 1, of the first rows; 0 where these have no weight."""
    first = frame.transform(points[:MAX_ROWS])
    weights = np.ones(len(first)) if sample_weight is None else sample_weight[:MAX_ROWS]
    total = float(weights.sum())
    if total <= 0:
        return 0.0
    _, squares = nearest_centroids(first, frame.centroids, kernels, run)
    return min(float(np.dot(squares.astype(np.float64), weights / total)), _MAX_SCATTER)
