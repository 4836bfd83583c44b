"""Arrays of versions that nobody looks at any more, for versions to come: so only what differs has to be copied.

Every version has arrays of its own, since readers may keep them. To copy all of the last one's for each call took
longer than a small batch itself where there are many wide centroids. The arrays of the version before the last are
behind by the rows that moved since, and most often nobody holds them any more.
"""

from __future__ import annotations

import sys
from threading import local
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array
from shoal_server.engines.numba.layout import Layout
from shoal_server.engines.numba.microkernel import TILE

# Values of the centroids from which on it pays; and each such model keeps the arrays of two versions.
_MIN_VALUES = 1 << 13
_MAX_KEPT = 1 << 20  # values of counts and sums that a thread keeps
_FEW = 4  # of the rows one in so many, at most: more are copied faster all together


class Version(NamedTuple):
    """The arrays of a version that are large."""

    layout: Layout
    centroids: Float64Array  # (k, d)

    def copy(self) -> Version:
        """Return one whose arrays can be changed."""
        return Version(self.layout.copy(), self.centroids.copy())


class SnapshotBuffers:
    """Keeps the version before the newest one of a model."""

    def __init__(self) -> None:
        self._before: Version | None = None
        self._newest: Version | None = None  # that it led to,
        self._moved = np.empty(0, np.bool_)  # (k,) when these rows moved

    def writable(self, newest: Version) -> Version:
        """Return a version like the newest one whose arrays can be changed."""
        before, self._before = self._before, None
        if before is None or not self._is_newest(newest) or _is_held(before):
            return newest.copy()
        before.centroids.flags.writeable = True
        _copy_moved_rows(newest, before, self._moved)
        return before

    def keep(self, before: Version, newest: Version, moved: NDArray[np.bool_]) -> None:
        """Note that the newest version came of another one, and which rows (k,) moved."""
        if newest.centroids.size >= _MIN_VALUES:
            self._before, self._newest, self._moved = before, newest, moved

    def _is_newest(self, version: Version) -> bool:
        newest = self._newest
        return newest is not None and newest.layout is version.layout and newest.centroids is version.centroids


class SumBuffers(local):
    """Counts and sums for `apply_batches`, zero between calls; each thread has its own, if they aren't huge."""

    def __init__(self) -> None:
        self._buffer, self._counts, self._sums = np.zeros(0), np.zeros(0), np.zeros((0, 0))

    def zeroed(self, rows: int, columns: int) -> tuple[Float64Array, Float64Array]:
        """Return counts (rows,) and sums (rows, columns), all zero, and to be left so."""
        if self._sums.shape == (rows, columns):
            return self._counts, self._sums
        size = rows * (columns + 1)
        buffer = self._buffer if size <= len(self._buffer) else np.zeros(size)
        counts, sums = buffer[:rows], buffer[rows:size].reshape(rows, columns)
        if size <= _MAX_KEPT:
            self._buffer, self._counts, self._sums = buffer, counts, sums
        return counts, sums

    def forget(self) -> None:
        """Let go of what may not be zero any more."""
        self._buffer, self._counts, self._sums = np.zeros(0), np.zeros(0), np.zeros((0, 0))


def _is_held(version: Version) -> bool:
    """Return whether anyone else holds a version's arrays, or a view of them: a view holds its array."""
    return any(count > unheld for count, unheld in zip(_references(version), _UNHELD, strict=True))


def _references(version: Version) -> tuple[int, int, int]:
    return (
        sys.getrefcount(version.layout),
        sys.getrefcount(version.layout.centroids),
        sys.getrefcount(version.centroids),
    )


# What this interpreter counts where nobody but the version itself holds them.
_UNHELD = _references(Version(cast("Layout", SimpleNamespace(centroids=np.empty(0))), np.empty(0)))


def _copy_moved_rows(newest: Version, behind: Version, moved: NDArray[np.bool_]) -> None:
    """Copy the rows that moved, or all where that is less trouble."""
    rows = np.flatnonzero(moved)
    copy_all = len(rows) * _FEW > len(moved)
    tiles = np.unique(rows // TILE)
    for source, target, places in (
        (newest.centroids, behind.centroids, rows),
        (newest.layout.centroids, behind.layout.centroids, rows),
        (newest.layout.norms, behind.layout.norms, rows),
        (newest.layout.offsets, behind.layout.offsets, rows),
        (_by_tile(newest.layout.tiles, newest), _by_tile(behind.layout.tiles, behind), tiles),
        (_by_tile(newest.layout.short_tiles, newest), _by_tile(behind.layout.short_tiles, behind), tiles),
    ):
        if copy_all:
            np.copyto(target, source)
        else:
            target[places] = source[places]


def _by_tile(values: NDArray[Any], version: Version) -> NDArray[Any]:
    count = len(version.layout.offsets) // TILE
    return values.reshape(count, len(values) // count)
