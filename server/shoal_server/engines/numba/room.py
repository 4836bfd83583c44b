"""What the kernels work in, whatever the number of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from shoal_server.engines.numba.addresses import address_of, start_of
from shoal_server.engines.numba.compiling import Reals, compiled

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
    short: Any  # (axes + 1, group): the points as the bounds see them
    first: Any  # (group,): the labels of the highest bounds,
    highest: Any  # (group,): the highest scores so far,
    doubtful: Any  # (group,): whether rounding may decide,
    scored: Any  # (group,): what it can do to a score,
    allowed: Any  # (group,): and to a score and a bound


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
        np.empty(group, np.int32),
        _aligned(group, origin),
        np.empty(group, np.bool_),
        np.empty(group, origin.dtype),
        np.empty(group, origin.dtype),
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
