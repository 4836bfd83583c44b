"""Collecting the points that the initial centroids need. None is lost: they all count in version 1."""

from __future__ import annotations

import numpy as np

from shoal_server.clustering.admission import Admitted
from shoal_server.clustering.forgetting import Decay
from shoal_server.clustering.state import Collected
from shoal_server.engines.contract import Float64Array, PointArray


def collect(collected: Collected, rows: Admitted, fading: Decay) -> Collected:
    """Return what has been collected with the rows of one more batch; those of weight 0 don't count."""
    weight = np.ones(len(rows.points)) if rows.sample_weight is None else rows.sample_weight
    counting = weight > 0
    older = collected.weights if fading.before == 1 else tuple(each * fading.before for each in collected.weights)
    # Indexing copies: the points are a view of a message that may be much larger.
    return Collected((*collected.points, rows.points[counting]), (*older, weight[counting] * fading.batch))


def together(collected: Collected) -> tuple[PointArray, Float64Array]:
    """Return all points, (n, d) in a type that holds every batch, and their weights, (n,)."""
    return np.concatenate(collected.points), np.concatenate(collected.weights)
