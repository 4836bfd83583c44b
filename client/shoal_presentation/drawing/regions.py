"""The region of each centroid: the part of a rectangle that is nearer to it than to any other."""

from __future__ import annotations

from collections.abc import Iterator
from math import dist, hypot

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Corner = tuple[float, float]


def regions_of(centroids: Points, low: Points, high: Points) -> list[Points]:
    """Return a polygon (c, 2) for each centroid (k, 2), within the rectangle from low to high (2,); c = 0: no region.

    The polygon is cut by the line half way to each other centroid (Sutherland and Hodgman, 1974), from the nearest on,
    until what is left is nearer than half the way to all that follow; of equal centroids the first has the region.
    """
    (left, bottom), (right, top) = low.tolist(), high.tolist()
    corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
    places: list[Corner] = [(x, y) for x, y in centroids.tolist()]
    return [np.array(_region(index, places, order, corners)).reshape(-1, 2) for index, order in _nearest(centroids)]


def _nearest(centroids: Points) -> Iterator[tuple[int, list[int]]]:
    """Yield each centroid and all of them, the nearest to it first."""
    for index, own in enumerate(centroids):
        yield index, np.argsort(np.hypot(*(centroids - own).T), kind="stable").tolist()


# In plain floats: of a handful of corners they are many times as fast as arrays.
def _region(index: int, centroids: list[Corner], order: list[int], polygon: list[Corner]) -> list[Corner]:
    own = centroids[index]
    reach = max(dist(own, corner) for corner in polygon)
    for other in order:
        apart = dist(own, centroids[other])
        if apart / 2 > reach or not polygon:
            break
        if apart == 0:
            if other < index:
                return []
            continue
        cut = _cut(polygon, own, centroids[other])
        if cut is not polygon:
            polygon, reach = cut, max((dist(own, corner) for corner in cut), default=0.0)
    return polygon


def _cut(polygon: list[Corner], own: Corner, other: Corner) -> list[Corner]:
    """Return the part of a polygon that is nearer to its own centroid than to another one."""
    across, up = other[0] - own[0], other[1] - own[1]
    apart = hypot(across, up)
    across, up = across / apart, up / apart  # or the products of tiny numbers vanish
    middle = ((own[0] + other[0]) / 2, (own[1] + other[1]) / 2)
    beyond = [(x - middle[0]) * across + (y - middle[1]) * up for x, y in polygon]
    if max(beyond) <= 0:
        return polygon
    kept: list[Corner] = []
    ends = list(zip(polygon, beyond, strict=True))
    for (corner, here), (following, there) in zip(ends, [*ends[1:], ends[0]], strict=True):
        if here <= 0:
            kept.append(corner)
        if here < 0 < there or there < 0 < here:
            part = here / (here - there)
            kept.append((corner[0] + part * (following[0] - corner[0]), corner[1] + part * (following[1] - corner[1])))
    return kept
