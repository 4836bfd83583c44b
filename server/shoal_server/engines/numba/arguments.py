"""What the update rule's kernels are given: named tuples of arrays, which they read where Python keeps them.

Numba takes each array apart that a compiled function is given, looks up its type and notes that it is held. For the
fifty arrays of `apply_batches` that took longer than a small batch. So the function gets the address of a named tuple,
and finds the arrays behind it: their types are declared here, once. Nothing is checked then and nothing is held, so
that whoever calls makes arrays of these types, and keeps the tuple until the call returns.

The offsets belong to the ABIs that extension modules are compiled for: `ob_item` of PyTupleObject, and `data`,
`dimensions` and `strides` of PyArrayObject.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import populate_array

from shoal_server.engines.contract import BoolArray, Float64Array, LabelArray, PointArray, RowSample
from shoal_server.engines.numba.decorators import Reals, generated
from shoal_server.engines.numba.layout import Layout, layout_type
from shoal_server.engines.numba.simd import DOUBLE, I64

_WORD = ctypes.sizeof(ctypes.c_void_p)
_ITEMS = tuple.__basicsize__
_DATA = object.__basicsize__
_DIMENSIONS, _STRIDES = _DATA + 2 * _WORD, _DATA + 3 * _WORD  # behind `data` and `nd`


class Version(NamedTuple):
    """The arrays of a version of a model. Python sees those as read-only that belong to a snapshot."""

    layout: Layout
    centroids: Float64Array  # (k, d)
    relative: Reals  # (k, d) those of the layout, without what fills its vectors
    weights: Float64Array  # (k,)
    movement: Float64Array  # (k,) Euclidean
    moved_rows: BoolArray  # (k,) whether the others differ from those of the version that this one was made of

    def copy(self) -> Version:
        """Return one with arrays of its own."""
        layout = self.layout.copy()
        centroids, weights, movement = self.centroids.copy(), self.weights.copy(), np.zeros_like(self.weights)
        for array in (centroids, weights, movement):
            array.setflags(write=False)
        moved_rows = np.zeros(len(weights), np.bool_)
        return Version(layout, centroids, layout.centroids[:, : layout.d], weights, movement, moved_rows)


class FusedArguments(NamedTuple):
    """What `apply_batches` works on, but for the batches."""

    before: Version  # its weights may be forgotten as far as they are to be
    after: Version  # like the version before but for rows that moved in that, and weights
    counts: Float64Array  # (k,) to work in, zero, and left so,
    sums: Float64Array  # (k, d up to whole vectors) likewise
    decays: Float64Array  # (m,) what of the weights before it each batch leaves; empty: all of them
    labels: LabelArray  # gets those of all rows, one batch after the other, unless it is empty
    inertias: Float64Array  # (m,) gets each batch's
    sample: RowSample  # without factors: none is to be drawn


@cache
def no_sample(precision: np.dtype[Any]) -> RowSample:
    """Return what says that no sample is to be drawn."""
    none, numbers, rows = np.empty(0), np.empty(0, np.int64), np.empty((0, 0), precision)
    return RowSample(
        rows, none, none, none, numbers, none, none, none, np.empty((0, 0)), none, rows, none, np.empty(0, np.int32),
        numbers, np.empty(0, precision), np.empty(0, np.int32), none, none, numbers,
    )  # fmt: skip


def check_sample(sample: RowSample, batches: Sequence[PointArray]) -> None:
    """Raise ValueError if a sample has too little place for rows or batches: the kernels write without looking."""
    kept = len(sample.kept)
    if (
        len(sample.factors) < len(batches)
        or not len(sample.labels) == len(sample.distances) >= max(map(len, batches))
        or not len(sample.draws) == len(sample.chosen) > 0
        or not kept == len(sample.kept_weight) == len(sample.kept_label) > 0
    ):
        raise ValueError(
            f"a sample with {len(sample.factors)} factors, {len(sample.distances)} distances, {len(sample.labels)} "
            f"labels, room for {kept} rows, {len(sample.kept_weight)} weights and {len(sample.kept_label)} labels of "
            f"these, and {len(sample.draws)} draws of {len(sample.chosen)} rows is too short for {len(batches)} "
            f"batches of up to {max(map(len, batches))} rows"
        )


def sample_type(real: Any) -> Any:
    """Return Numba's type of a RowSample of a precision."""
    reals, numbers, integers = real[::1], types.float64[::1], types.int64[::1]
    fields = {
        "reference": real[:, ::1],
        "rates": numbers,
        "by_label": numbers,
        "max_weight": numbers,
        "numbers": integers,
        "factors": numbers,
        "totals": numbers,
        "counts": numbers,
        "sums": types.float64[:, ::1],
        "squares": numbers,
        "kept": real[:, ::1],
        "kept_weight": numbers,
        "kept_label": types.int32[::1],
        "found": integers,
        "distances": reals,
        "labels": types.int32[::1],
        "batch_squares": numbers,
        "draws": numbers,
        "chosen": integers,
    }
    return types.NamedTuple([fields[name] for name in RowSample._fields], RowSample)


def version_type(real: Any) -> Any:
    """Return Numba's type of a version of a precision."""
    fields = {
        "layout": layout_type(real),
        "centroids": types.float64[:, ::1],
        "relative": real[:, :],
        "weights": types.float64[::1],
        "movement": types.float64[::1],
        "moved_rows": types.boolean[::1],
    }
    return types.NamedTuple([fields[name] for name in Version._fields], Version)


def fused_arguments_type(real: Any) -> Any:
    """Return Numba's type of FusedArguments of a precision."""
    fields = {
        "before": version_type(real),
        "after": version_type(real),
        "counts": types.float64[::1],
        "sums": types.float64[:, ::1],
        "decays": types.Array(types.float64, 1, "C", readonly=True),
        "labels": types.int32[::1],
        "inertias": types.float64[::1],
        "sample": sample_type(real),
    }
    return types.NamedTuple([fields[name] for name in FusedArguments._fields], FusedArguments)


@generated
def version_at(_typing: Any, address: Any, like: Any) -> Any:
    """Return the version whose tuple is at an address; `like`: an array of its precision."""
    kind = version_type(like.dtype)
    return kind(types.int64, like), _reader(kind)


@generated
def fused_arguments_at(_typing: Any, address: Any, like: Any) -> Any:
    """Return the FusedArguments whose tuple is at an address; `like`: an array of their precision."""
    kind = fused_arguments_type(like.dtype)
    return kind(types.int64, like), _reader(kind)


@generated
def sample_at(_typing: Any, address: Any, like: Any) -> Any:
    """Return the RowSample whose tuple is at an address; `like`: an array of its precision."""
    kind = sample_type(like.dtype)
    return kind(types.int64, like), _reader(kind)


@generated
def array_at(_typing: Any, address: Any, like: Any) -> Any:
    """Return the array whose object is at an address, and whose type is that of another one."""
    return like(types.int64, like), _reader(like)


@generated
def item_at(_typing: Any, address: Any, index: Any) -> Any:
    """Return the address of an item of the tuple at an address."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        owner, place = arguments
        return _word(builder, builder.add(owner, builder.mul(place, I64(_WORD))), _ITEMS)

    return types.int64(types.int64, types.int64), generate


@generated
def data_at(_typing: Any, address: Any) -> Any:
    """Return where the first element is of the array at an address; it need not be aligned."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _word(builder, arguments[0], _DATA)

    return types.int64(types.int64), generate


@generated
def length_at(_typing: Any, address: Any) -> Any:
    """Return the length of the array at an address, which has one dimension at least."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _word(builder, _word(builder, arguments[0], _DIMENSIONS), 0)

    return types.int64(types.int64), generate


def _reader(kind: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _read(context, builder, kind, arguments[0])

    return generate


def _read(context: Any, builder: Any, kind: Any, address: Any) -> Any:
    """Write the reading of an object of a type: an array, or a tuple of such and of numbers."""
    if isinstance(kind, types.Array):
        return _read_array(context, builder, kind, address)
    objects = [_word(builder, address, _ITEMS + index * _WORD) for index in range(len(kind))]
    # Python's own numbers have no offset to rely on: a tuple that has any ends with an array of them.
    numbers = builder.inttoptr(_word(builder, objects[-1], _DATA), DOUBLE.as_pointer())
    read, found = [], 0
    for each, item in zip(objects, kind.types, strict=True):
        if isinstance(item, types.Array | types.BaseTuple):
            read.append(_read(context, builder, item, each))
            continue
        number = builder.load(builder.gep(numbers, [I64(found)]))
        read.append(context.cast(builder, number, types.float64, item))
        found += 1
    return context.make_tuple(builder, kind, read)


def _read_array(context: Any, builder: Any, kind: Any, address: Any) -> Any:
    array = context.make_array(kind)(context, builder)
    shape, strides = (
        [_word(builder, _word(builder, address, offset), axis * _WORD) for axis in range(kind.ndim)]
        for offset in (_DIMENSIONS, _STRIDES)
    )
    element = context.get_data_type(kind.dtype)
    populate_array(
        array,
        data=builder.inttoptr(_word(builder, address, _DATA), element.as_pointer()),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=I64(context.get_abi_sizeof(element)),
        meminfo=None,
    )
    return array._getvalue()  # noqa: SLF001  (as Numba's own code does)


def _word(builder: Any, address: Any, offset: int) -> Any:
    return builder.load(builder.inttoptr(builder.add(address, I64(offset)), I64.as_pointer()))
