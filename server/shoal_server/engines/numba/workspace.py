"""The memory that the kernels work in, whatever the number of rows, by the addresses where its arrays begin.

Numba counts the references to an array wherever one is handed on or taken out of a tuple. With a dozen arrays that
took, for each group of rows, as long as the scores with 16 centroids. Nothing counts who knows an address: what it
belongs to is to be `held` until after its last use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.decorators import ZERO, compiled, generated
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
    """Return a workspace and the array that it lies in, which is to be `held` while it is used.

    Fifteen arrays instead of one took as long as a batch of one row.
    """
    _, size = _lay_out_workspace(layout, ZERO)
    memory = np.empty(size + LINE, np.uint8)
    workspace, _ = _lay_out_workspace(layout, _next_line(address_of(start_of(memory))))
    factors, largest = numba.carray(workspace.factors, layout.group), numba.carray(workspace.largest, layout.width)
    factors[:] = 1
    largest[:] = 0
    return workspace, memory


@compiled
def _lay_out_workspace(layout: Layout, address: int) -> tuple[Workspace, int]:
    """Return the workspace that begins at an address, and where it ends."""
    d, group, width, stored, origin = layout.d, layout.group, layout.width, layout.stored, layout.origin
    axes, padded, real = len(layout.basis) // d, len(origin), origin.dtype
    transposed, at = _part(address, padded * group, real)
    squares, at = _part(at, group, real)
    factors, at = _part(at, group, real)
    labels, at = _part(at, group, np.int32)
    largest, at = _part(at, width, real)
    tail, at = _part(at, group * d + padded, real)
    scores, at = _part(at, stored * group, real)
    thresholds, at = _part(at, group, real)
    nearest_squares, at = _part(at, group, np.float64)
    projected, at = _part(at, (axes + 1) * group, real)
    highest, at = _part(at, group, real)
    candidates, at = _part(at, stored * group if axes > 0 else 0, np.int32)
    candidate_counts, at = _part(at, group, np.int64)
    selected, at = _part(at, UNROLLED, np.int32)
    selected_scores, at = _part(at, UNROLLED, real)
    workspace = Workspace(
        transposed, squares, factors, labels, largest, tail, scores, thresholds, nearest_squares, projected, highest,
        candidates, candidate_counts, selected, selected_scores,
    )  # fmt: skip
    return workspace, at


@generated
def _part(_typing: Any, _address: Any, _count: Any, kind: Any) -> Any:
    """Return a pointer to elements of a type at an address, and the next address behind them that begins a line.

    A vector that lies in two lines of the cache costs twice.
    """
    element = kind.dtype
    pointer = types.CPointer(element)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        begin, count_, _ = arguments
        size = context.get_abi_sizeof(context.get_data_type(element))
        end = builder.add(begin, builder.mul(count_, I64(size)))
        rounded = builder.and_(builder.add(end, I64(LINE - 1)), I64(-LINE))
        at = builder.inttoptr(begin, context.get_value_type(pointer))
        return context.make_tuple(builder, signature.return_type, [at, rounded])

    return types.Tuple((pointer, types.int64))(types.int64, types.int64, kind), generate


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
def _next_line(address: int) -> int:
    return address + -address % LINE
