"""Where points and centroids of any width are drawn: the plane, the same from frame to frame as long as it serves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

_SERVES = 0.8  # of the variance that the best plane would show


@dataclass(frozen=True)
class Plane:
    """Two axes in the space of the points."""

    origin: Points  # (d,)
    axes: Points  # (d, 2)
    names: tuple[str, str]

    def show(self, rows: NDArray[np.number]) -> Points:
        """Return where rows (n, d) are on the plane, (n, 2)."""
        shown: Points = (np.asarray(rows, np.float64) - self.origin) @ self.axes
        return shown


def plane_for(centroids: Points, before: Plane | None) -> Plane:
    """Return the plane for centroids (k, d): their columns if there are two, otherwise their principal axes.

    The one before is kept as long as it shows nearly as much as a new one would; a new one points the same way.
    """
    d = centroids.shape[1]
    if d <= 2:  # noqa: PLR2004  (the columns themselves)
        return before or Plane(np.zeros(d), np.eye(d, 2), ("column 0", "column 1" if d > 1 else ""))
    origin = centroids.mean(axis=0)
    spread = centroids - origin
    _, sizes, vectors = np.linalg.svd(spread, full_matrices=False)
    axes = np.zeros((d, 2))
    axes[:, : min(2, len(vectors))] = vectors[:2].T
    best = float((sizes[:2] ** 2).sum())
    if before is not None:
        shown = float(((spread @ before.axes) ** 2).sum())
        if best == 0 or shown >= _SERVES * best:
            return before
        axes *= np.where((axes * before.axes).sum(axis=0) < 0, -1.0, 1.0)
    return Plane(origin, axes, ("principal axis 1", "principal axis 2"))
