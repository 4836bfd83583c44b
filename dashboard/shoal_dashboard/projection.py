"""The plane on which points and centroids are drawn; it stays the same as long as it fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shoal_presentation.views.projection import Projection, column_projection, principal_projection

_SERVES = 0.8  # of the variance that the best plane would show


def plane_for(centroids: NDArray[np.float64], before: Projection | None) -> Projection:
    """Return the plane for centroids (k, d): their columns if there are two, otherwise their principal axes.

    The previous plane is kept while it shows nearly as much variance as the best one. A new plane points the same way.
    """
    if centroids.shape[1] <= 2:  # noqa: PLR2004  (the columns themselves)
        return before or column_projection(centroids.shape[1])
    spread = centroids - centroids.mean(axis=0)
    # No plane shows more than the whole variance, so the best one rarely needs to be computed.
    if before is not None and _shown(spread, before) >= _SERVES * _squares(spread):
        return before
    best = principal_projection(centroids)
    if before is None:
        return best
    if _shown(spread, before) >= _SERVES * _shown(spread, best):
        return before
    turned = np.where((best.components * before.components).sum(axis=0) < 0, -1.0, 1.0)
    return replace(best, components=best.components * turned)


def _shown(spread: NDArray[np.float64], plane: Projection) -> float:
    return _squares(spread @ plane.components)


def _squares(values: NDArray[np.float64]) -> float:
    return float((values**2).sum())
