"""Points that the server has, for whoever has none at hand."""

from __future__ import annotations

import numpy as np

from shoal_server.engines.contract import Float64Array
from shoal_server.libraries import library

SIX_POINTS = "six-points"
BLOBS = "blobs"
SHAPES: dict[str, tuple[int, int]] = {SIX_POINTS: (6, 2), BLOBS: (300, 2)}  # (n, d) of each


def example(name: str) -> Float64Array:
    """Return the points (n, d) of a name that is in SHAPES; a library may have to be loaded for them."""
    if name == SIX_POINTS:
        return np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 0.0], [10.0, 2.0], [10.0, 4.0], [10.0, 0.0]])
    n, d = SHAPES[BLOBS]
    points, _ = library("sklearn.datasets").make_blobs(n, d, centers=4, cluster_std=1.2, random_state=0)
    return np.asarray(points, dtype=np.float64).round(3)
