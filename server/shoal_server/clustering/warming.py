"""Collecting the points that the initial centroids need. None is lost: they all count in version 1."""

from __future__ import annotations

import numpy as np

from shoal_server.clustering.forgetting import Decay
from shoal_server.clustering.state import WarmupBatch, WarmupBuffer
from shoal_server.clustering.validation import ValidRows
from shoal_server.engines.contract import Float64Array, PointArray


def collect(collected: WarmupBuffer, rows: ValidRows, fading: Decay) -> WarmupBuffer:
    """Return what has been collected with the rows of one more batch; those of weight 0 don't count."""
    weight = np.ones(len(rows.points)) if rows.sample_weight is None else rows.sample_weight
    counting = weight > 0
    age = collected.age + fading.half_lives
    # Indexing copies: the points are a view of a message that may be much larger.
    batch = WarmupBatch(rows.points[counting], weight[counting] * fading.batch, age)
    return WarmupBuffer((*collected.batches, batch), collected.seen + len(batch.points), age)


def together(collected: WarmupBuffer) -> tuple[PointArray, Float64Array]:
    """Return all points, (n, d) in a type that holds every batch, and what they still weigh, (n,)."""
    points = np.concatenate([batch.points for batch in collected.batches])
    weights = [batch.weights * 0.5 ** (collected.age - batch.born) for batch in collected.batches]
    return points, np.concatenate(weights)
