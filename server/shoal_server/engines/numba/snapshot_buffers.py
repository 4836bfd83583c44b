"""Arrays of versions that nobody looks at any more, for versions to come: so only what differs has to be copied.

Every version has arrays of its own, since readers may keep them. To copy all of the last one's for each call took
longer than a small batch itself. The arrays of the version before the last are behind by the rows that moved since, and
most often nobody holds them any more.
"""

from __future__ import annotations

import sys
from threading import local
from types import SimpleNamespace
from typing import cast

import numpy as np

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.arguments import Version
from shoal_server.engines.numba.layout import Layout

_MAX_KEPT = 1 << 20  # values of counts and sums that a thread keeps


class SnapshotBuffers:
    """Keeps the two newest versions of a model."""

    def __init__(self) -> None:
        self._newest: Version | None = None
        self._before: Version | None = None  # that the newest was made of

    def version(self, layout: Layout, centroids: Float64Array, weights: Float64Array) -> Version:
        """Return these arrays, or C-contiguous copies, as a version: the newest one if they are its own."""
        newest = self._newest
        if newest is not None and newest.layout is layout and newest.centroids is centroids:
            return newest if newest.weights is weights else newest._replace(weights=np.ascontiguousarray(weights))
        centroids, weights = np.ascontiguousarray(centroids), np.ascontiguousarray(weights)
        moved_rows = np.zeros(len(centroids), np.bool_)
        return Version(layout, centroids, layout.centroids[:, : layout.d], weights, weights, moved_rows)

    def writable(self, newest: Version) -> Version:
        """Return a version like the newest one but for the rows that moved in that, to be made the next one."""
        before, self._before = self._before, None
        if before is None or not self._is_newest(newest) or _is_held(before):
            return newest.copy()
        return before

    def keep(self, before: Version, after: Version) -> None:
        """Note that a version was made of another one."""
        self._before, self._newest = (self._newest if self._is_newest(before) else None), after

    def _is_newest(self, version: Version) -> bool:
        newest = self._newest
        return newest is not None and newest.layout is version.layout and newest.centroids is version.centroids


class SumBuffers(local):
    """Counts and sums for `apply_batches`, zero between calls; each thread has its own, if they aren't huge."""

    def __init__(self) -> None:
        self._buffer = np.zeros(0)
        self._arrays = np.zeros(0), np.zeros((0, 0))

    def zeroed(self, shape: tuple[int, ...]) -> tuple[Float64Array, Float64Array]:
        """Return counts (rows,) and sums (rows, columns) of this shape, all zero, and to be left so."""
        counts, sums = self._arrays
        if sums.shape == shape:
            return counts, sums
        rows, columns = shape
        size = rows * (columns + 1)
        buffer = self._buffer if size <= len(self._buffer) else np.zeros(size)
        counts, sums = buffer[:rows], buffer[rows:size].reshape(rows, columns)
        if size <= _MAX_KEPT:
            self._buffer, self._arrays = buffer, (counts, sums)
        return counts, sums

    def forget(self) -> None:
        """Let go of what may not be zero any more."""
        self._buffer, self._arrays = np.zeros(0), (np.zeros(0), np.zeros((0, 0)))


def _is_held(version: Version) -> bool:
    """Return whether anyone else holds a version's arrays, or a view of them: a view holds its array."""
    return _references(version) != _UNHELD


def _references(version: Version) -> tuple[int, ...]:
    layout, centroids, relative, weights, movement, moved_rows = version
    count = sys.getrefcount
    return (
        count(layout),
        count(layout.centroids),
        count(centroids),
        count(relative),
        count(weights),
        count(movement),
        count(moved_rows),
    )


def _sample() -> Version:
    layout = cast("Layout", SimpleNamespace(centroids=np.empty((1, 1))))
    relative = layout.centroids[:, :1]
    return Version(layout, np.empty(0), relative, np.empty(0), np.empty(0), np.empty(0, np.bool_))


# What this interpreter counts where nobody but the version itself holds its arrays.
_UNHELD = _references(_sample())
