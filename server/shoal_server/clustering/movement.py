"""How far centroids have moved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.state import Snapshot
from shoal_server.engines.contract import Float64Array


def movement(before: Float64Array, after: Float64Array) -> Float64Array:
    """Return how far each centroid (k, d) has moved, (k,), Euclidean."""
    distance: Float64Array = np.linalg.norm(after - before, axis=1)
    return distance


def largest_shift(before: Snapshot, after: Snapshot) -> float:
    """Return how far the centroid that moved most has moved between two versions."""
    return float(movement(before.centroids, after.centroids).max())


def moved_rows(before: Snapshot, after: Snapshot) -> NDArray[np.int32]:
    """Return the labels of the centroids that differ between two versions, ascending."""
    return np.flatnonzero((before.centroids != after.centroids).any(axis=1)).astype(np.int32)
