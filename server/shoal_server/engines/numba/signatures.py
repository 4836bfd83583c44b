"""The functions that Python calls: their types are declared, and they are compiled before the first batch.

A call with any other type is an error, never a compilation. Both of the large ones give `sweep` the same types, so that
it is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import types

from shoal_server.engines.numba.cache import compile_cached, is_kept, part_of_cache
from shoal_server.engines.numba.compiling import FASTMATH, FLAGS
from shoal_server.engines.numba.kernels import add, cover
from shoal_server.engines.numba.layout import PRECISIONS, lay_rows
from shoal_server.engines.numba.parallel_compile import helping
from shoal_server.engines.numba.update_kernel import follow, move


@dataclass(frozen=True)
class Entries:
    """Of one precision."""

    cover: Callable[..., tuple[float, float, bool, int]]
    add: Callable[..., float]
    follow: Callable[..., tuple[int, int]]
    move: Callable[..., bool]
    lay_rows: Callable[..., None]


def compile_entries() -> dict[np.dtype[Any], Entries]:
    """Compile every signature, or load it from the cache on disk."""
    return compile_cached(_compile_all)


def compile_precision(dtype: np.dtype[Any]) -> Entries:
    """Compile the signatures of a precision, or load them from its part of the cache in use."""
    real = PRECISIONS[dtype]
    with part_of_cache(dtype.name):
        return Entries(
            cover=_compile(cover, _cover_signature(real)),
            add=_compile(add, _add_signature(real)),
            follow=_compile(follow, _follow_signature(real)),
            move=_compile(move, _move_signature(real)),
            lay_rows=_compile(lay_rows, _lay_rows_signature(real)),
        )


def _compile_all() -> dict[np.dtype[Any], Entries]:
    first, *others = PRECISIONS
    with helping(others):
        entries = {first: compile_precision(first)}
    return entries | {dtype: compile_precision(dtype) for dtype in others}


def _compile(function: Any, signature: Any) -> Any:
    return numba.njit([signature], cache=is_kept(), fastmath=FASTMATH, **FLAGS)(function.py_func)


_BOOL, _INT, _FLOAT = types.boolean, types.int64, types.float64


def _cover_signature(real: Any) -> Any:
    return types.Tuple((_FLOAT, _FLOAT, _BOOL, _INT))(
        _INT,  # points
        _INT,  # n
        _INT,  # d
        _read(types.float64),  # weight
        real[::1],  # tiles
        real[::1],  # offsets
        real[:, ::1],  # centroids
        real[::1],  # origin
        real[::1],  # basis
        real[::1],  # short_tiles
        types.float64[::1],  # margins
        types.float64[::1],  # norms
        _BOOL,  # cosine
        _INT,  # group
        _INT,  # width
        _INT,  # stored
        types.int32[::1],  # labels
        real[::1],  # distances
        types.float64[::1],  # counts
        types.float64[:, ::1],  # sums
    )


def _add_signature(real: Any) -> Any:
    return _FLOAT(
        _INT,  # points
        _INT,  # n
        _INT,  # d
        _read(types.float64),  # weight
        real[:, ::1],  # centroids
        real[::1],  # origin
        _INT,  # group
        types.int32[::1],  # labels
        types.float64[::1],  # counts
        types.float64[:, ::1],  # sums
    )


def _follow_signature(real: Any) -> Any:
    return types.UniTuple(_INT, 2)(
        _read(types.int64),  # addresses
        _read(types.int64),  # rows
        _read(types.float64),  # decays
        _read(types.float64),  # unweighted
        _INT,  # d
        real[::1],  # tiles
        real[::1],  # offsets
        real[:, ::1],  # centroids
        types.float64[::1],  # norms
        real[::1],  # origin
        real[::1],  # basis
        real[:, :, ::1],  # rotation
        real[::1],  # short_tiles
        types.float64[::1],  # margins
        _BOOL,  # cosine
        _INT,  # group
        _INT,  # width
        _INT,  # stored
        _FLOAT,  # most
        types.float64[::1],  # counts
        types.float64[:, ::1],  # sums
        types.float64[:, ::1],  # means
        types.float64[::1],  # weights
        types.float64[::1],  # movement
        types.boolean[::1],  # moved_rows
        types.int32[::1],  # labels
        types.float64[::1],  # inertias
    )


def _move_signature(real: Any) -> Any:
    return _BOOL(
        _read(types.float64),  # counts
        types.Array(types.float64, 2, "A", readonly=True),  # sums
        _INT,  # d
        real[::1],  # tiles
        real[::1],  # offsets
        real[:, ::1],  # centroids
        types.float64[::1],  # norms
        real[::1],  # origin
        real[:, :, ::1],  # rotation
        real[::1],  # short_tiles
        types.float64[::1],  # margins
        _BOOL,  # cosine
        types.float64[:, ::1],  # means
        types.float64[::1],  # weights
        types.float64[::1],  # movement
    )


def _lay_rows_signature(real: Any) -> Any:
    return types.void(
        _read(real, 2),  # centroids
        _INT,  # d
        _read(types.int32),  # labels
        real[::1],  # tiles
        real[::1],  # offsets
        types.float64[::1],  # norms
        real[:, :, ::1],  # rotation
        real[::1],  # short_tiles
        types.float64[::1],  # margins
    )


def _read(element: Any, dimensions: int = 1) -> Any:
    """Return the type of an array that may be read-only."""
    return types.Array(element, dimensions, "C", readonly=True)
