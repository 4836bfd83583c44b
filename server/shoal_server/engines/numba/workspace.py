"""What the kernels work in, whatever the number of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from shoal_server.engines.numba.addresses import address_of, start_of
from shoal_server.engines.numba.compiling import Reals, compiled
from shoal_server.engines.numba.vectors import ABREAST

LINE = 64  # bytes of a cache line


class Room(NamedTuple):
    """Where everything begins; a group is of the rows that are worked on at a time."""

    lanes: Any  # (d up to whole vectors, group): the points transposed
    squares: Any  # (group,) ‖x‖²
    factors: Any  # (group,): what scales the rows
    found: Any  # (group,): their labels
    most: Any  # (width,): the largest absolute values so far
    spill: Any  # (group · d + d up to whole vectors,): rows at the end of the message, and what may be read behind them
    scores: Any  # (stored, group)
    thresholds: Any  # (group,): the scores that may be as high as the highest; infinity: none
    near: Any  # (group,): the least squared distances so far
    short: Any  # (axes + 1, group): the points as the bounds see them, but for half the length of the rest
    highest: Any  # (group,): the scores of the centroids that are tried first
    candidates: Any  # (group, k): the labels to be tried then,
    listed: Any  # (group,): and how many these are
    abreast: Any  # (ABREAST,): those that are tried together,
    abreast_scores: Any  # (ABREAST,): and their scores


@compiled
def make_room(d: int, group: int, width: int, stored: int, axes: int, origin: Reals) -> Any:
    """Return the arrays of a room, in the order of its fields: they are to be `held` while it is used.

    Parameters
    ----------
    d, group, width, origin
        See layout.py.
    stored, axes
        How many scores of a row are kept, and how many axes the bounds use; 0: none.
    """
    padded = len(origin)
    factors = _aligned(group, origin)
    factors[:] = 1
    return (
        _aligned(padded * group, origin),
        _aligned(group, origin),
        factors,
        np.empty(group, np.int32),
        np.zeros(width, origin.dtype),
        np.empty(group * d + padded, origin.dtype),
        _aligned(stored * group, origin),
        _aligned(group, origin),
        np.empty(group),
        _aligned((axes + 1) * group, origin),
        _aligned(group, origin),
        np.empty(stored * group if axes > 0 else 0, np.int32),
        np.empty(group, np.int64),
        np.empty(ABREAST, np.int32),
        np.empty(ABREAST, origin.dtype),
    )


@compiled
def enter(arrays: Any) -> Room:
    """Return the room that arrays of `make_room` are."""
    return Room(
        start_of(arrays[0]),
        start_of(arrays[1]),
        start_of(arrays[2]),
        start_of(arrays[3]),
        start_of(arrays[4]),
        start_of(arrays[5]),
        start_of(arrays[6]),
        start_of(arrays[7]),
        start_of(arrays[8]),
        start_of(arrays[9]),
        start_of(arrays[10]),
        start_of(arrays[11]),
        start_of(arrays[12]),
        start_of(arrays[13]),
        start_of(arrays[14]),
    )


@compiled
def _aligned(size: int, like: Reals) -> Reals:
    """Return an array whose first element begins a cache line: a vector that lies in two lines costs twice."""
    spare = LINE // like.itemsize
    wide = np.empty(size + spare, like.dtype)
    first = -address_of(start_of(wide)) % LINE // like.itemsize
    return wide[first : first + size]
