"""Centroids as the kernels read them: in tiles, with what else a score needs, and the margins of its rounding.

A score is x·c − ‖c‖²/2: the centroid of the highest score is the nearest. By Higham, "Accuracy and Stability of
Numerical Algorithms" (2002), section 3.1, a sum of m products errs by m·u·Σ|products| at most, up to terms in u², and
‖x‖·‖c‖ ≤ ‖x‖²/2 + ‖c‖²/2. So all margins have the form a·‖x‖² + b·‖c‖².
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array, Frame
from shoal_server.engines.numba.bounds import project
from shoal_server.engines.numba.compiling import Reals, compiled
from shoal_server.engines.numba.microkernel import CHUNK, TILE, group_rows
from shoal_server.engines.numba.simd import widest
from shoal_server.engines.numba.vectors import STRANDS

PRECISIONS: dict[np.dtype[Any], Any] = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
# Keeping a row's scores costs a store each, and lets the doubtful ones be found; with few columns that isn't worth it,
# and with very many centroids they don't fit the cache.
_MIN_COLUMNS, _CENTROIDS_A_COLUMN = 16, 256
# The squares that a margin is made of are rounded too.
_ROUNDED_UP = 1.01


class Layout(NamedTuple):
    """A frame's centroids, laid out. Rows are padded with zeros to whole vectors, centroids with such as can't win."""

    tiles: Reals  # (k up to a multiple of TILE) · d: of each TILE centroids the first coordinates, the second, …
    offsets: Reals  # (k up to a multiple of TILE,) −‖c‖²/2; −∞ behind the last
    centroids: Reals  # (k, d up to whole vectors)
    norms: Float64Array  # (k,) ‖c‖²
    origin: Reals  # (d up to whole vectors,)
    basis: Reals  # p · d: the axes of the bounded regime in tiles; empty: the plain one
    rotation: Reals  # (p / group rounded up, d, group): the same axes side by side, zeros behind the last
    chosen: Float64Array | None  # (p, d): what they were made from; None: the plain regime
    short_tiles: Reals  # (k up to a multiple of TILE) · (p + 1): the centroids in it
    margins: Float64Array  # see `_margins`
    d: int
    group: int  # rows that the kernel works on at a time
    width: int  # values of a vector
    stored: int  # scores of a row that are kept

    @property
    def axes(self) -> int:
        """How many axes the bounds use; 0 in the plain regime."""
        return len(self.basis) // self.d

    def copy(self) -> Layout:
        """Return one whose centroids can be changed."""
        return self._replace(
            tiles=self.tiles.copy(),
            offsets=self.offsets.copy(),
            centroids=self.centroids.copy(),
            norms=self.norms.copy(),
            short_tiles=self.short_tiles.copy(),
        )


def lay_out(frame: Frame, chosen: Float64Array | None, lay: Callable[..., None]) -> Layout:
    """Return a frame's layout.

    Parameters
    ----------
    frame
        Whose centroids are laid out.
    chosen
        Axes (p, d) of length 1 at right angles, for the bounded regime, p a multiple of TILE; None: the plain one.
    lay
        `lay_rows` with its types declared.
    """
    (k, d), dtype = frame.centroids.shape, frame.dtype
    width = widest(PRECISIONS[dtype])
    padded, rows, group = -(-d // width) * width, -(-k // TILE) * TILE, group_rows(PRECISIONS[dtype])
    axes = np.empty((0, d)) if chosen is None else chosen
    bounded = len(axes) > 0
    storing = bounded or (d >= _MIN_COLUMNS and k <= _CENTROIDS_A_COLUMN * d)
    layout = Layout(
        tiles=np.zeros(rows * d, dtype),
        offsets=np.full(rows, -np.inf, dtype),
        centroids=np.zeros((k, padded), dtype),
        norms=np.zeros(k),
        origin=np.zeros(padded, dtype),
        basis=in_tiles(axes.astype(dtype)),
        rotation=_in_groups(axes.astype(dtype), group),
        chosen=chosen,
        short_tiles=np.zeros(rows * (len(axes) + 1) if bounded else 0, dtype),
        margins=_margins(d, len(axes), dtype),
        d=d,
        group=group,
        width=width,
        stored=rows if storing else 0,
    )
    layout.centroids[:, :d] = frame.centroids
    layout.origin[:d] = frame.origin
    lay(
        layout.centroids,
        d,
        np.arange(k, dtype=np.int32),
        layout.tiles,
        layout.offsets,
        layout.norms,
        layout.rotation,
        layout.short_tiles,
        layout.margins,
    )
    return layout


def in_tiles(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows (m, d), m a multiple of TILE, in tiles: of each TILE rows the first coordinates, and so on."""
    m, d = rows.shape
    return np.ascontiguousarray(rows.reshape(m // TILE, TILE, d).transpose(0, 2, 1)).reshape(-1)


def _in_groups(rows: NDArray[Any], group: int) -> NDArray[Any]:
    """Return rows (m, d) side by side, a group at a time: (m / group rounded up, d, group)."""
    m, d = rows.shape
    blocks = -(-m // group)
    padded = np.zeros((blocks * group, d), rows.dtype)
    padded[:m] = rows
    return np.ascontiguousarray(padded.reshape(blocks, group, d).transpose(0, 2, 1))


def _margins(d: int, p: int, dtype: np.dtype[Any]) -> Float64Array:
    """Return how far rounding can go.

    Two scores are told apart if they differ by more than [0]·‖x‖² + [1]·‖c‖² + [2]. A bound is right but for
    [3]·‖x‖² + [4]·‖c‖² + [2]. Lengths of what the axes leave are right but for [5]·‖x‖² in the square, and [6]·‖c‖².
    """
    limits = np.finfo(dtype)
    unit = float(limits.eps) / 2
    # A score that is computed alone is added up lane by lane, the first strand with what the others leave over and the
    # rest of a vector, and then across strands and lanes.
    width = widest(PRECISIONS[dtype])
    whole = d // width
    terms = max(_terms(d), whole // STRANDS + whole % STRANDS + (d % width > 0) + STRANDS + width)
    # What is computed in float64, a sum of d: ‖c‖², the axes and the angles between them.
    wide = d * float(np.finfo(np.float64).eps / limits.eps)
    # A coordinate errs by (terms + 2)·u times the length of the row or centroid, the axes' own rounding included.
    projected = np.sqrt(p + 1) * (terms + 2)
    crossed = projected + wide / 2
    relative = [
        terms,
        2 * terms + wide,
        0,
        _terms(p + 2) / 2 + crossed + 2,
        _terms(p + 2) + crossed + wide + 2,
        d + 2 * projected + p + wide + 4,
        2 * projected + 3 * wide + 2,
    ]
    margins = _ROUNDED_UP * unit * np.array(relative, dtype=np.float64)
    margins[2] = 4 * (terms + p) * float(limits.tiny)
    return margins


def _terms(d: int) -> int:
    """Return m of the bound above: the columns of a chunk, the chunks, and what goes before and after."""
    return min(d, CHUNK) + -(-d // CHUNK) + 2


@compiled
def largest_norm(norms: Float64Array) -> float:
    """Return the largest ‖c‖²."""
    largest = 0.0
    for norm in norms:
        largest = max(largest, norm)
    return largest


@compiled
def lay_rows(
    centroids: Reals,
    d: int,
    labels: NDArray[np.int32],
    tiles: Reals,
    offsets: Reals,
    norms: Float64Array,
    rotation: Reals,
    short_tiles: Reals,
    margins: Float64Array,
) -> None:
    """Lay out the centroids of some labels, which ascend."""
    coordinates = np.empty((len(rotation), TILE, rotation.shape[2]), rotation.dtype)
    laid = -1
    for label in labels:
        tile, place = divmod(label, TILE)
        if tile != laid:
            _lay_tile(centroids, d, tile, tiles)
            for block in range(len(rotation)):
                project(rotation[block], tiles[tile * TILE * d :], TILE, d, coordinates[block])
            laid = tile
        norm = _squared_length(centroids, d, label)
        norms[label] = norm
        offsets[label] = -0.5 * norm
        if len(rotation) > 0:
            _lay_short(label, norm, coordinates[:, place], short_tiles, len(short_tiles) // len(offsets) - 1, margins)


@compiled
def _lay_tile(centroids: Reals, d: int, tile: int, tiles: Reals) -> None:
    """Write the TILE centroids of a tile, or as many as there are."""
    at, first = tile * TILE * d, tile * TILE
    if first + TILE <= len(centroids):
        for feature in range(d):  # a loop that compilers can write in vectors
            for place in range(TILE):
                tiles[at + feature * TILE + place] = centroids[first + place, feature]
        return
    for label in range(first, len(centroids)):
        for feature in range(d):
            tiles[at + feature * TILE + label - first] = centroids[label, feature]


@compiled
def _squared_length(centroids: Reals, d: int, label: int) -> float:
    """Return ‖c‖²."""
    norm = 0.0
    for feature in range(d):
        norm += np.float64(centroids[label, feature]) * np.float64(centroids[label, feature])
    return norm


@compiled
def _lay_short(label: int, norm: float, coordinates: Reals, short_tiles: Reals, p: int, margins: Float64Array) -> None:
    """Lay out a centroid for the bounds: its coordinates (blocks, group), and the length of the rest, rounded up."""
    tile, place = divmod(label, TILE)
    at = tile * TILE * (p + 1) + place
    rest = norm * (1 + margins[6])
    blocks, group = coordinates.shape
    for block in range(blocks):
        first = block * group
        for axis in range(first, min(first + group, p)):
            coordinate = coordinates[block, axis - first]
            short_tiles[at + axis * TILE] = coordinate
            rest -= np.float64(coordinate) * np.float64(coordinate)
    short_tiles[at + p * TILE] = np.sqrt(max(rest, 0.0)) * (1 + margins[6])
