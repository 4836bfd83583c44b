"""Centroids as the kernels read them: in tiles, with what else a score needs.

A score is x·c − ‖c‖²/2: the centroid of the highest score is the nearest. Rounding can decide between two scores only
if they differ by less than slack · ‖x‖² + least: by Higham, "Accuracy and Stability of Numerical Algorithms" (2002),
section 3.1, a sum of m products errs by m·u·Σ|products| at most, up to terms in u², and Σ|x·c| + ‖c‖²/2 is no more than
‖x‖²/2 + ‖c‖².
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array, Frame
from shoal_server.engines.numba.compiling import compiled
from shoal_server.engines.numba.lanes import widest
from shoal_server.engines.numba.vectors import CHUNK, TILE, group_rows

Reals = NDArray[np.floating[Any]]

PRECISIONS = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
# The squares that a score's margin is made of are rounded too.
_ROUNDED_UP = 1.01


@dataclass(frozen=True)
class Layout:
    """A frame's centroids, laid out. Rows are padded with zeros to whole vectors, centroids with such as can't win."""

    tiles: Reals  # (k up to a multiple of TILE) · d: of each TILE centroids the first coordinates, the second, …
    offsets: Reals  # (k up to a multiple of TILE,) −‖c‖²/2; −∞ behind the last
    centroids: Reals  # (k, d up to whole vectors)
    norms: Float64Array  # (k,) ‖c‖²
    origin: Reals  # (d up to whole vectors,)
    d: int
    group: int  # rows that the kernel works on at a time
    width: int  # values of a vector
    slack: float
    floor: float  # of `least`, for where the squares underflow

    @property
    def least(self) -> float:
        """See above."""
        return 2 * self.slack * float(self.norms.max()) + self.floor

    def copy(self) -> Layout:
        """Return one whose centroids can be changed."""
        return replace(
            self,
            tiles=self.tiles.copy(),
            offsets=self.offsets.copy(),
            centroids=self.centroids.copy(),
            norms=self.norms.copy(),
        )


def lay_out(frame: Frame, lay: Callable[..., None]) -> Layout:
    """Return a frame's layout; `lay` is `lay_rows` with its types declared."""
    k, d = frame.centroids.shape
    dtype = frame.dtype
    width = widest(PRECISIONS[dtype])
    padded, rows = -(-d // width) * width, -(-k // TILE) * TILE
    centroids = np.zeros((k, padded), dtype)
    centroids[:, :d] = frame.centroids
    origin = np.zeros(padded, dtype)
    origin[:d] = frame.origin
    # The columns of a chunk, the chunks, and what goes before and after.
    terms = min(d, CHUNK) + -(-d // CHUNK) + 2
    limits = np.finfo(dtype)
    layout = Layout(
        tiles=np.zeros(rows * d, dtype),
        offsets=np.full(rows, -np.inf, dtype),
        centroids=centroids,
        norms=np.zeros(k),
        origin=origin,
        d=d,
        group=group_rows(PRECISIONS[dtype]),
        width=width,
        slack=_ROUNDED_UP * terms * float(limits.eps) / 2,
        floor=2 * terms * float(limits.tiny),
    )
    lay(layout.centroids, d, np.arange(k, dtype=np.int32), layout.tiles, layout.offsets, layout.norms)
    return layout


@compiled
def lay_rows(
    centroids: Reals, d: int, labels: NDArray[np.int32], tiles: Reals, offsets: Reals, norms: Float64Array
) -> None:
    """Lay out the centroids of some labels."""
    for label in labels:
        tile, place = divmod(label, TILE)
        at = tile * TILE * d + place
        norm = 0.0
        for feature in range(d):
            coordinate = centroids[label, feature]
            tiles[at + feature * TILE] = coordinate
            norm += np.float64(coordinate) * np.float64(coordinate)
        norms[label] = norm
        offsets[label] = -0.5 * norm
