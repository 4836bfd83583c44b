"""Vector instructions for compiled functions: what LLVM is to emit, written down instead of hoped for.

A loop over points vectorises only as long as the compiler likes it. Here the vectors are explicit: `Lanes` writes
loads, shuffles and fused multiply-adds into the function that Numba compiles. Nothing here knows about clusters.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils

I32, I64, DOUBLE = ir.IntType(32), ir.IntType(64), ir.DoubleType()

_FLOATS = {types.float32: ir.FloatType(), types.float64: DOUBLE}
_WORDS = {types.float32: I32, types.float64: I64}


def vector_bytes() -> int:
    """Return the bytes of this machine's widest vector."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


def vector_registers() -> int:
    """Return how many vectors this machine has registers for."""
    many = binding.get_host_cpu_features().get("avx512f") or platform.machine() in {"aarch64", "arm64"}
    return 32 if many else 16


VECTOR_BYTES = vector_bytes()
VECTOR_REGISTERS = vector_registers()


def widest(real: Any) -> int:
    """Return how many values of numba.types.float32 or float64 a vector of this machine holds."""
    return int(VECTOR_BYTES * 8 // real.bitwidth)


class Lanes:
    """Writes vector code of one precision and width.

    Parameters
    ----------
    builder
        Where the code goes.
    real
        numba.types.float32 or float64.
    width
        Lanes of a vector, a power of two.
    """

    def __init__(self, builder: Any, real: Any, width: int) -> None:
        self.builder = builder
        self.width = width
        self.scalar = _FLOATS[real]
        self.word = _WORDS[real]  # the integer of the same size
        self.vector = ir.VectorType(self.scalar, width)
        self.words = ir.VectorType(self.word, width)
        self.labels = ir.VectorType(I32, width)
        self.wide = ir.VectorType(_FLOATS[types.float64], width)

    def full(self, value: float) -> Any:
        """Return a constant in every lane."""
        return ir.Constant(self.vector, [value] * self.width)

    def load(self, pointer: Any, offset: Any, vector: Any | None = None) -> Any:
        """Load from any address: points in a message lie where they lie."""
        kind = vector or self.vector
        place = self.builder.bitcast(self.builder.gep(pointer, [offset]), kind.as_pointer())
        loaded = self.builder.load(place)
        loaded.align = 1
        return loaded

    def store(self, value: Any, pointer: Any, offset: Any) -> None:
        """Store to any address."""
        place = self.builder.bitcast(self.builder.gep(pointer, [offset]), value.type.as_pointer())
        self.builder.store(value, place).align = 1

    def splat(self, scalar: Any) -> Any:
        """Put a scalar in every lane."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.width), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(first, undefined, self._numbers([0] * self.width))

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a * b + c, rounded once."""
        return self._call(f"fma.v{self.width}{_short(a.type.element)}", a.type, [a, b, c])

    def lower(self, a: Any, b: Any) -> Any:
        """Return the lower of two vectors, lane by lane."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def higher(self, a: Any, b: Any) -> Any:
        """Return the higher of two vectors, lane by lane."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def magnitude(self, vector: Any) -> Any:
        """Return the bits of the absolute values: integers in the order of the values, NaN behind all of them."""
        most = (1 << (self.word.width - 1)) - 1
        return self.builder.and_(self.builder.bitcast(vector, self.words), ir.Constant(self.words, [most] * self.width))

    def larger(self, a: Any, b: Any) -> Any:
        """Return the larger of two vectors of non-negative integers, lane by lane."""
        return self.builder.select(self.builder.icmp_unsigned(">", a, b), a, b)

    def part(self, parts: int) -> Any:
        """Return the type of a vector of which so many make a whole one."""
        return ir.VectorType(self.scalar, self.width // parts)

    def joined(self, vectors: Sequence[Any]) -> Any:
        """Put vectors one behind the other: one, two or more, a power of two."""
        joined = list(vectors)
        while len(joined) > 1:
            size = 2 * joined[0].type.count
            numbers = ir.Constant(ir.VectorType(I32, size), list(range(size)))
            joined = [
                self.builder.shuffle_vector(low, high, numbers)
                for low, high in zip(joined[::2], joined[1::2], strict=True)
            ]
        return joined[0]

    def repeated(self, vector: Any, parts: int) -> Any:
        """Fill a vector with its first lanes, again and again."""
        if parts == 1:
            return vector
        size = self.width // parts
        return self.builder.shuffle_vector(vector, vector, self._numbers(list(range(size)) * parts))

    def dealt(self, vectors: Sequence[Any]) -> list[Any]:
        """Return the columns of rows that lie one behind the other in as many vectors as they have values."""
        count = len(vectors)
        return [self._column(vectors, column, count) for column in range(count)]

    def transposed(self, rows: Sequence[Any]) -> list[Any]:
        """Transpose vectors, a power of two, by swapping ever smaller blocks; fewer than a square in several blocks."""
        swapped = list(rows)
        step = len(rows) // 2
        while step:
            swapped = self._swapped(swapped, step)
            step //= 2
        return swapped

    def any(self, conditions: Sequence[Any]) -> Any:
        """Return whether one of several vectors of truth values has a lane that is true."""
        some = conditions[0]
        for each in conditions[1:]:
            some = self.builder.or_(some, each)
        word = self.builder.bitcast(some, ir.IntType(self.width))
        return self.builder.icmp_unsigned("!=", word, word.type(0))

    def below(self, count: Any) -> Any:
        """Say of each lane whether its number is below a count (i64)."""
        numbers = self._numbers(list(range(self.width)))
        return self.builder.icmp_signed("<", numbers, self.splat(self.builder.trunc(count, I32)))

    def sum(self, vectors: Sequence[Any]) -> Any:
        """Add vectors, a power of two, lane by lane: neighbours first."""
        added = list(vectors)
        while len(added) > 1:
            added = [self.builder.fadd(one, other) for one, other in zip(added[::2], added[1::2], strict=True)]
        return added[0]

    def total(self, vector: Any) -> Any:
        """Add the lanes up, always in the same order."""
        element = vector.type.element
        name = f"vector.reduce.fadd.v{self.width}{_short(element)}"
        return self._call(name, element, [element(0.0), vector], fastmath=("reassoc",))

    def widened(self, vector: Any) -> Any:
        """As float64."""
        return vector if vector.type == self.wide else self.builder.fpext(vector, self.wide)

    def _column(self, vectors: Sequence[Any], column: int, count: int) -> Any:
        places = [divmod(row * count + column, self.width) for row in range(self.width)]
        dealt = vectors[0]
        for index in range(1, count):
            # The first time what the first vector holds is put in its place too.
            numbers = [
                self.width + lane if at == index else lane if index == 1 and at == 0 else row
                for row, (at, lane) in enumerate(places)
            ]
            dealt = self._mixed(dealt, vectors[index], numbers)
        return dealt

    def _swapped(self, rows: list[Any], step: int) -> list[Any]:
        swapped = list(rows)
        for index in range(len(rows)):
            if index & step:
                continue
            upper, lower = rows[index], rows[index + step]
            swapped[index] = self._mixed(upper, lower, [self._from_upper(lane, step) for lane in range(self.width)])
            lanes = [self.width + lane if lane & step else lane + step for lane in range(self.width)]
            swapped[index + step] = self._mixed(upper, lower, lanes)
        return swapped

    def _from_upper(self, lane: int, step: int) -> int:
        return self.width + lane - step if lane & step else lane

    def _mixed(self, upper: Any, lower: Any, lanes: list[int]) -> Any:
        return self.builder.shuffle_vector(upper, lower, self._numbers(lanes))

    def _numbers(self, numbers: list[int]) -> Any:
        return ir.Constant(ir.VectorType(I32, self.width), numbers)

    def _call(self, name: str, result: Any, arguments: list[Any], fastmath: tuple[str, ...] = ()) -> Any:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}")
        return self.builder.call(function, arguments, fastmath=fastmath)


def _short(element: Any) -> str:
    return "f32" if element == _FLOATS[types.float32] else "f64"
