"""Where arrays begin: what the kernels work on in their loops, in place of the arrays.

Numba counts the references to an array wherever one is handed on or taken out of a tuple. With a dozen arrays that
took, for each group of rows, as long as the scores with 16 centroids. Nothing counts who knows an address: the array is
to be `held` until after its last use.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from shoal_server.engines.numba.compiling import generated
from shoal_server.engines.numba.simd import I64


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
