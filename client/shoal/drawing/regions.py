"""The region of each centroid: what of a rectangle is nearer to it than to any other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def regions_of(centroids: Points, low: Points, high: Points) -> list[Points]:
    """Return a polygon (c, 2) a centroid (k, 2), within the rectangle from low to high (2,); with no corners: nothing.

    The polygon is cut by the line half way to each other centroid (Sutherland and Hodgman, 1974); of equal centroids
    the first one has the region.
    """
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    return [_region(place, centroids, corners) for place in range(len(centroids))]


def _region(place: int, centroids: Points, polygon: Points) -> Points:
    own = centroids[place]
    # The nearest others cut most of it away, and what is far is soon known to cut nothing.
    for other in np.argsort(((centroids - own) ** 2).sum(axis=1), kind="stable").tolist():
        normal = centroids[other] - own
        if other == place or not len(polygon):
            continue
        if not normal.any():
            if other < place:
                return polygon[:0]
            continue
        polygon = _cut(polygon, (centroids[other] + own) / 2, normal)
    return polygon


def _cut(polygon: Points, middle: Points, normal: Points) -> Points:
    """Return what of a polygon is on this side of a line through `middle`."""
    beyond = (polygon - middle) @ normal
    if (beyond <= 0).all():
        return polygon
    after, beyond_after = np.roll(polygon, -1, axis=0), np.roll(beyond, -1)
    kept: list[Points] = []
    for corner, following, here, there in zip(polygon, after, beyond, beyond_after, strict=True):
        if here <= 0:
            kept.append(corner)
        if here * there < 0:
            kept.append(corner + here / (here - there) * (following - corner))
    return np.array(kept).reshape(-1, 2)
