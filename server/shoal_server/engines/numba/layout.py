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
from shoal_server.engines.numba.decorators import Reals, compiled
from shoal_server.engines.numba.microkernel import CHUNK, TILE, group_rows
from shoal_server.engines.numba.scores import PARTIAL_SUMS, project
from shoal_server.engines.numba.simd import widest

PRECISIONS: dict[np.dtype[Any], Any] = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
# Keeping a row's scores costs a store each, and lets the doubtful ones be found; with few columns that isn't worth it,
# and with very many centroids they don't fit the cache.
_MIN_COLUMNS, _CENTROIDS_A_COLUMN = 16, 256
# The squares that a margin is made of are rounded too.
_ROUNDED_UP = 1.01


# How many of a layout's fields are numbers.
NUMBERS = 6

# The principal axes of a model that has none: every score is computed.
NO_AXES: Float64Array = np.empty((0, 0))


class Layout(NamedTuple):
    """The centroids that an engine is given, laid out: what the compiled functions take as one argument.

    Rows are padded with zeros to whole vectors, centroids with such as can't win.
    """

    tiles: Reals  # (k up to a multiple of TILE) · d: of each TILE centroids the first coordinates, the second, …
    offsets: Reals  # (k up to a multiple of TILE,) −‖c‖²/2; −∞ behind the last
    centroids: Reals  # (k, d up to whole vectors)
    norms: Float64Array  # (k,) ‖c‖²
    origin: Reals  # (d up to whole vectors,)
    axes: Float64Array  # (p, d) of the bounds; NO_AXES: every score is computed
    basis: Reals  # p · d: the axes in tiles
    rotation: Reals  # (p / group rounded up, d, group): the axes side by side, zeros behind the last
    short_tiles: Reals  # (k up to a multiple of TILE) · (p + 1): the centroids in the axes; empty without any
    margins: Float64Array  # see `_margins`
    max_value: float  # the largest absolute value of a point that can be computed with
    cosine: bool  # whether rows and centroids are scaled to length 1
    d: int
    group: int  # rows that the kernel works on at a time
    width: int  # values of a vector
    stored: int  # scores of a row that are kept
    numbers: Float64Array  # the NUMBERS before it once more: arguments.py says what for

    def copy(self) -> Layout:
        """Return one whose centroids can be changed."""
        return Layout(
            self.tiles.copy(),
            self.offsets.copy(),
            self.centroids.copy(),
            self.norms.copy(),
            self.origin,
            self.axes,
            self.basis,
            self.rotation,
            self.short_tiles.copy(),
            self.margins,
            self.max_value,
            self.cosine,
            self.d,
            self.group,
            self.width,
            self.stored,
            self.numbers,
        )


def layout_type(real: Any) -> Any:
    """Return Numba's type of a layout of a precision."""
    fields = {
        "tiles": real[::1],
        "offsets": real[::1],
        "centroids": real[:, ::1],
        "norms": types.float64[::1],
        "origin": real[::1],
        "axes": types.float64[:, ::1],
        "basis": real[::1],
        "rotation": real[:, :, ::1],
        "short_tiles": real[::1],
        "margins": types.float64[::1],
        "max_value": types.float64,
        "cosine": types.boolean,
        "d": types.int64,
        "group": types.int64,
        "width": types.int64,
        "stored": types.int64,
        "numbers": types.float64[::1],
    }
    return types.NamedTuple([fields[name] for name in Layout._fields], Layout)


def lay_out(frame: Frame, axes: Float64Array, lay_out_rows: Callable[[NDArray[np.int32], Layout], None]) -> Layout:
    """Return a frame's layout.

    Parameters
    ----------
    frame
        Whose centroids are laid out.
    axes
        Axes (p, d) of length 1 at right angles for the bounds, p a multiple of TILE, or NO_AXES.
    lay_out_rows
        The function below with its types declared.
    """
    (k, d), dtype = frame.centroids.shape, frame.dtype
    width = widest(PRECISIONS[dtype])
    padded, rows, group = -(-d // width) * width, -(-k // TILE) * TILE, group_rows(PRECISIONS[dtype])
    narrowed = axes.reshape(-1, d).astype(dtype)
    bounded = len(axes) > 0
    storing = bounded or (d >= _MIN_COLUMNS and k <= _CENTROIDS_A_COLUMN * d)
    layout = Layout(
        tiles=np.zeros(rows * d, dtype),
        offsets=np.full(rows, -np.inf, dtype),
        centroids=np.zeros((k, padded), dtype),
        norms=np.zeros(k),
        origin=np.zeros(padded, dtype),
        axes=axes,
        basis=in_tiles(narrowed),
        rotation=_in_groups(narrowed, group),
        short_tiles=np.zeros(rows * (len(axes) + 1) if bounded else 0, dtype),
        margins=_margins(d, len(axes), dtype),
        max_value=frame.max_value,
        cosine=frame.cosine,
        d=d,
        group=group,
        width=width,
        stored=rows if storing else 0,
        numbers=np.empty(NUMBERS),
    )
    layout.numbers[:] = layout[-1 - NUMBERS : -1]
    layout.centroids[:, :d] = frame.centroids
    layout.origin[:d] = frame.origin
    lay_out_rows(np.arange(k, dtype=np.int32), layout)
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
    # A score that is computed alone is added up lane by lane, the first partial sum with what the others leave over
    # and the rest of a vector, and then across partial sums and lanes.
    width = widest(PRECISIONS[dtype])
    whole = d // width
    terms = max(_terms(d), whole // PARTIAL_SUMS + whole % PARTIAL_SUMS + (d % width > 0) + PARTIAL_SUMS + width)
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
def lay_out_rows(labels: NDArray[np.int32], layout: Layout) -> None:
    """Lay out the centroids of some labels, which ascend."""
    centroids, d, tiles, offsets, norms = layout.centroids, layout.d, layout.tiles, layout.offsets, layout.norms
    rotation, short_tiles, margins = layout.rotation, layout.short_tiles, layout.margins
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
