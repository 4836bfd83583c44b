"""The memory that the kernels work in, whatever the number of rows, by the addresses where its arrays begin.

Numba counts the references to an array wherever one is handed on or taken out of a tuple. With a dozen arrays that
took, for each group of rows, as long as the scores with 16 centroids. Nothing counts who knows an address: the array is
to be `held` until after its last use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.decorators import Reals, compiled, generated
from shoal_server.engines.numba.layout import Layout
from shoal_server.engines.numba.scores import UNROLLED
from shoal_server.engines.numba.simd import I64

LINE = 64  # bytes of a cache line


class Workspace(NamedTuple):
    """Pointers to where everything begins; a group is the rows that are worked on at a time."""

    transposed: Any  # (d up to whole vectors, group): the points
    squares: Any  # (group,) ‖x‖²
    factors: Any  # (group,): what scales the rows
    labels: Any  # (group,)
    largest: Any  # (width,): the largest absolute values so far
    tail: Any  # (group · d + d up to whole vectors,): rows at the end of the message, and what may be read behind them
    scores: Any  # (stored, group)
    thresholds: Any  # (group,): the scores that may be as high as the highest; infinity: none
    nearest_squares: Any  # (group,): the least squared distances so far
    projected: Any  # (axes + 1, group): the points as the bounds see them, but for half the length of the rest
    highest: Any  # (group,): the scores of the centroids that are tried first
    candidates: Any  # (group, k): the labels to be tried then,
    candidate_counts: Any  # (group,): and how many these are
    selected: Any  # (UNROLLED,): those that are tried together,
    selected_scores: Any  # (UNROLLED,): and their scores


@compiled
def allocate_workspace(layout: Layout) -> Any:
    """Return the arrays of a workspace, in the order of its fields: they are to be `held` while it is used."""
    d, group, width, stored, origin = layout.d, layout.group, layout.width, layout.stored, layout.origin
    axes = len(layout.basis) // d
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
        np.empty(UNROLLED, np.int32),
        np.empty(UNROLLED, origin.dtype),
    )


@compiled
def workspace_of(arrays: Any) -> Workspace:
    """Return the workspace whose arrays `allocate_workspace` returned."""
    return Workspace(
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


@generated
def start_of(_typing: Any, array: Any) -> Any:
    """Return a pointer to an array's first element."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


@generated
def address_of(_typing: Any, pointer: Any) -> Any:
    """Return a pointer as a number."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], I64)

    return types.int64(pointer), generate


@generated
def pointer_to(_typing: Any, address: Any, like: Any) -> Any:
    """Return a number as a pointer of the type of another one."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(like))

    return like(address, like), generate


@generated
def held(_typing: Any, owned: Any) -> Any:
    """Do nothing: what is given stays alive up to here."""

    def generate(context: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
        return context.get_dummy_value()

    return types.void(owned), generate


@generated
def copy(_typing: Any, source: Any, target: Any, _start: Any, _count: Any) -> Any:
    """Copy elements behind a pointer to places from a number on behind another: source, target, start, count."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source_at, target_at, start_, count_ = arguments
        size = context.get_abi_sizeof(context.get_value_type(source.dtype))
        cgutils.raw_memcpy(builder, builder.gep(target_at, [start_]), source_at, count_, ir.Constant(I64, size))
        return context.get_dummy_value()

    return types.void(source, target, types.int64, types.int64), generate


@compiled
def _aligned(size: int, like: Reals) -> Reals:
    """Return an array whose first element begins a cache line: a vector that lies in two lines costs twice."""
    spare = LINE // like.itemsize
    wide = np.empty(size + spare, like.dtype)
    first = -address_of(start_of(wide)) % LINE // like.itemsize
    return wide[first : first + size]
