"""Collecting the points that the initial centroids need. None is lost: they all count in version 1."""

from __future__ import annotations

import numpy as np

from shoal_server.clustering.forgetting import Decay, without_tiny
from shoal_server.clustering.state import WarmupBatch, WarmupBuffer
from shoal_server.clustering.validation import ValidRows
from shoal_server.engines.contract import Float64Array, PointArray


def collect(warmup: WarmupBuffer, rows: ValidRows, decay: Decay) -> WarmupBuffer:
    """Return what has been collected with the rows of one more batch; those of weight 0 don't count."""
    weight = np.ones(len(rows.points)) if rows.sample_weight is None else rows.sample_weight
    counting = weight > 0
    age = warmup.age + decay.half_lives
    # Indexing copies: the points are a view of a message that may be much larger.
    points = rows.points[counting]
    if not len(points):
        return WarmupBuffer(warmup.batches, warmup.seen, age)
    batch = WarmupBatch(points, weight[counting], np.full(len(points), age))
    return WarmupBuffer(_appended(warmup.batches, batch), warmup.seen + len(points), age)


def together(warmup: WarmupBuffer) -> tuple[PointArray, Float64Array]:
    """Return all points, (n, d) in a type that holds every batch, and what they still weigh, (n,)."""
    whole = _joined(warmup.batches)
    return whole.points, without_tiny(whole.weights * 0.5 ** (warmup.age - whole.born))


def _appended(batches: tuple[WarmupBatch, ...], batch: WarmupBatch) -> tuple[WarmupBatch, ...]:
    """Return batches with one more, joined to the last ones as long as these have no more rows than twice its own.

    So there are at most log2(n) batches of n rows however they came, and each row is copied at most so often.
    """
    kept = len(batches)
    rows = len(batch.points)
    while kept and len(batches[kept - 1].points) <= 2 * rows:
        kept -= 1
        rows += len(batches[kept].points)
    return (*batches[:kept], _joined((*batches[kept:], batch)))


def _joined(batches: tuple[WarmupBatch, ...]) -> WarmupBatch:
    if len(batches) == 1:
        return batches[0]
    return WarmupBatch(
        np.concatenate([batch.points for batch in batches]),
        np.concatenate([batch.weights for batch in batches]),
        np.concatenate([batch.born for batch in batches]),
    )
