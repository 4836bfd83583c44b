"""The kernels read tuples of arrays where Python keeps them, unchecked: what is there has the types declared for it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from numba import literal_unroll, types
from numpy.typing import NDArray

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.model import new_model
from shoal_server.engines.contract import Contribution, Frame, FusedBatches, run_in_order
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.numba.arguments import (
    FusedArguments,
    Version,
    array_at,
    data_at,
    fused_arguments_at,
    fused_arguments_type,
    item_at,
    length_at,
    no_sample,
    sample_at,
    sample_type,
    version_at,
    version_type,
)
from shoal_server.engines.numba.compilation import Kernels
from shoal_server.engines.numba.decorators import callable_from_python
from shoal_server.engines.numba.layout import NUMBERS, PRECISIONS
from shoal_server.engines.numba.workspace import address_of, start_of
from tests.clustering.streaming import applied, cut
from tests.engines.builders import bounded, frame_of, unaligned

K, D = 9, 24
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@callable_from_python
def _arrays(items: Any) -> list[tuple[int, int]]:
    found = []
    for each in literal_unroll(items):
        found.append((address_of(start_of(each)), each.size))  # noqa: PERF401  (Numba unrolls no comprehension)
    return found


@callable_from_python
def _seen_layout(address: int, like: Any) -> Any:
    layout = version_at(address, like).layout
    numbers = (layout.max_value, layout.cosine, layout.d, layout.group, layout.width, layout.stored)
    return numbers, _arrays((*layout[:10], layout.numbers))


@callable_from_python
def _seen_arguments(address: int, sample_address: int, like: Any) -> Any:
    arguments = fused_arguments_at(address, like)
    before, after, others = _arrays(arguments.before[1:]), _arrays(arguments.after[1:]), _arrays(arguments[2:-1])
    return before, after, others, _arrays(arguments.sample), _arrays(sample_at(sample_address, like))


@callable_from_python
def _seen_items(address: int, index: int, like: Any) -> Any:
    item = item_at(address, index)
    array = array_at(item, like)
    return data_at(item), length_at(item), array.shape, array.strides, array.copy()


def _addresses(arrays: Any) -> list[tuple[int, int]]:
    return [(each.__array_interface__["data"][0], each.size) for each in arrays]


def _version(frame: Frame, engine: NumbaEngine) -> Version:
    layout = frame.prepared(engine._lay_out)
    centroids = frame.centroids.astype(np.float64)
    return Version(layout, centroids, frame.centroids, frame.weights, frame.weights, np.zeros(K, np.bool_)).copy()


def _frame(dtype: Any, axes: int = 4, *, cosine: bool = True) -> Frame:
    return bounded(frame_of(np.random.default_rng(0).normal(size=(K, D)).astype(dtype), cosine=cosine), axes)


@DTYPES
@pytest.mark.parametrize("cosine", [False, True])
def test_compiled_code_reads_every_field_of_a_layout(engine: NumbaEngine, dtype: Any, cosine: bool) -> None:
    version = _version(_frame(dtype, cosine=cosine), engine)
    layout = version.layout

    numbers, arrays = _seen_layout(id(version), layout.centroids)

    assert numbers == layout[-1 - NUMBERS : -1]
    assert [type(each) for each in numbers] == [float, bool, int, int, int, int]
    assert arrays == _addresses([*layout[:10], layout.numbers])


@DTYPES
def test_compiled_code_reads_every_array_of_the_arguments(engine: NumbaEngine, dtype: Any) -> None:
    before = _version(_frame(dtype), engine)
    arguments = FusedArguments(
        before, before.copy(), np.zeros(K), np.zeros((K, 32)), np.ones(3), np.zeros(5, np.int32), np.zeros(3),
        no_sample(np.dtype(dtype))._replace(factors=np.ones(3)),
    )  # fmt: skip

    seen_before, seen_after, others, sample, same_sample = _seen_arguments(
        id(arguments), id(arguments.sample), before.layout.centroids
    )

    assert seen_before == _addresses(before[1:])
    assert seen_after == _addresses(arguments.after[1:])
    assert others == _addresses(arguments[2:-1])
    assert sample == same_sample == _addresses(arguments.sample)


@pytest.mark.parametrize(
    "array",
    [np.arange(12.0).reshape(4, 3), unaligned(np.arange(12.0).reshape(4, 3)), np.empty((0, 3)), np.ones((1, 1))],
    ids=["whole", "unaligned and read-only", "no rows", "one value"],
)
def test_compiled_code_reads_the_arrays_of_a_tuple(array: NDArray[Any]) -> None:
    arrays = (np.zeros((7, 7)), array)

    address, length, shape, strides, copy = _seen_items(id(arrays), 1, np.empty((0, 0)))

    assert (address, length) == (array.__array_interface__["data"][0], len(array))
    assert (shape, strides) == (array.shape, array.strides)
    np.testing.assert_array_equal(copy, array)


class Checking(NumbaEngine):
    """Notes what the kernels are given to read where it is, with the types declared for it."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[Any, Any]] = []

    def _compiled(self, frame: Frame) -> Kernels:
        kernels, real = super()._compiled(frame), PRECISIONS[frame.dtype]

        def apply_batches(points: int, weights: int, count: int, arguments: int, like: Any) -> tuple[int, int]:
            self.given.append((_object(arguments), fused_arguments_type(real)))
            self.given.append((_object(points), types.UniTuple(real[:, ::1], count)))
            self.given.append((_object(weights), types.UniTuple(types.float64[::1], count)))
            return kernels.apply_batches(points, weights, count, arguments, like)

        def apply_contribution(counts: Any, sums: Any, before: int, after: int, like: Any) -> bool:
            self.given.extend((_object(each), version_type(real)) for each in (before, after))
            return kernels.apply_contribution(counts, sums, before, after, like)

        return replace(kernels, apply_batches=apply_batches, apply_contribution=apply_contribution)


def _object(address: int) -> Any:
    return ctypes.cast(address, ctypes.py_object).value


def _differences(value: Any, kind: Any, name: str) -> Iterator[str]:
    if isinstance(kind, types.BaseTuple):
        if len(value) != len(kind):
            yield f"{name} has {len(value)} items instead of {len(kind)}"
        for index, (each, item) in enumerate(zip(value, kind.types, strict=False)):
            yield from _differences(each, item, f"{name}[{index}]")
    elif isinstance(kind, types.Array):
        alike = value.dtype == numba.np.numpy_support.as_dtype(kind.dtype) and value.ndim == kind.ndim
        if not alike or (kind.layout == "C" and not value.flags.c_contiguous):
            yield f"{name} is {value.dtype} {value.shape} {value.strides} instead of {kind}"


def test_a_difference_between_an_array_and_its_type_is_noticed() -> None:
    kind = types.Tuple((types.float64[::1], types.float64[:, ::1]))

    assert not [*_differences((np.zeros(3), np.zeros((2, 2))), kind, "it")]
    assert len([*_differences((np.zeros(3, np.float32), np.zeros((2, 4))[:, :2]), kind, "it")]) == 2
    assert len([*_differences((np.zeros((3, 1)),), kind, "it")]) == 2


@DTYPES
@pytest.mark.parametrize("axes", [0, 4])
@pytest.mark.parametrize("labels", [False, True])
def test_the_kernels_are_given_the_types_that_are_declared(dtype: Any, axes: int, labels: bool) -> None:
    engine, frame = Checking(), _frame(dtype, axes, cosine=False)
    engine.warm_up()
    centroids = np.asfortranarray(frame.centroids.astype(np.float64))
    batches = [unaligned(np.ones((n, D), dtype)) for n in (1, 5, 100)]
    weights = [np.ones(2 * n)[::2] for n in (1, 5, 100)]

    for _ in range(4):
        for each in (None, weights):
            decays = None if each is None else np.full(3, 0.5)
            result = engine.apply_batches(FusedBatches(batches, decays, centroids, frame, labels, each), run_in_order)
            centroids, frame = result.moved.centroids, result.moved.frame
        contribution = Contribution(np.ones(K), np.ones((2 * K, D))[::2], 1.0, np.empty(0, np.int32))
        moved = engine.move(centroids, frame.with_weights(frame.weights / 2), contribution)
        assert moved is not None
        centroids, frame = moved.centroids, moved.frame

    assert len(engine.given) == 4 * (2 * 3 + 2)
    for value, kind in engine.given:
        assert not [*_differences(value, kind, str(kind))]


@DTYPES
def test_the_kernels_are_given_samples_of_the_types_that_are_declared(dtype: Any) -> None:
    engine = Checking()
    engine.warm_up()
    config = ModelConfig(K, random_state=0, update_rule="refined", dtype=np.dtype(dtype).name)
    random = np.random.default_rng(0)
    points = 10 * random.normal(size=(K, 3))[random.integers(K, size=30_000)] + random.normal(size=(30_000, 3))

    applied(new_model(config), cut(points.astype(dtype), [1000]), engine=engine)

    samples = [value.sample for value, _ in engine.given if isinstance(value, FusedArguments)]
    assert sum(len(each.factors) > 0 for each in samples) > 2
    for each in samples:
        assert not [*_differences(each, sample_type(PRECISIONS[np.dtype(dtype)]), "the sample")]
