"""After the warm-up nothing is compiled, and no array is made that grows with the number of rows but the labels."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import event

from shoal_server.clustering.summary import absorb, empty_summary, relabelled, weighted_points
from shoal_server.engines.chunks import MAX_SUMS
from shoal_server.engines.contract import Contribution, Frame, FusedBatches, run_in_order, to_sphere
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.numba.search import NumbaSearch
from tests.engines.builders import bounded, frame_of, unaligned
from tests.warm import warm_engine

DTYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]
DATA_TYPES = pytest.mark.parametrize("dtype", DTYPES, ids=str)
WAYS = pytest.mark.parametrize(("cosine", "axes"), [(False, 0), (True, 0), (False, 4), (True, 4)])
K, D = 20, 32  # few enough centroids that no look at a sample takes memory of its own
SPANS = 2 * MAX_SUMS * K * (D + 1) * 8  # bytes: of each the sums and counts, and Python's own


@contextmanager
def _compilations() -> Iterator[list[event.Event]]:
    with event.install_recorder("numba:compile") as recorder:
        yield recorder.buffer


def _frame(dtype: Any, axes: int, *, cosine: bool) -> Frame:
    centroids = to_sphere(np.random.default_rng(0).normal(size=(K, D)))
    return bounded(frame_of(centroids.astype(dtype), cosine=cosine), axes)


def _use(engine: NumbaEngine, points: Any, weight: Any, frame: Frame) -> None:
    contribution = engine.contribute(points, weight, frame, run_in_order)
    engine.assign(points, frame, run_in_order, return_distances=True)
    engine.assign(points, frame, run_in_order, return_distances=False)
    centroids = frame.centroids.astype(np.float64)
    assert engine.move(centroids, frame, contribution) is not None
    _freeze(contribution)
    assert engine.move(_frozen(centroids), frame, contribution) is not None


def _freeze(contribution: Contribution) -> None:
    _frozen(contribution.counts)
    _frozen(contribution.sums)


def _frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


def test_the_recorder_of_the_tests_sees_a_compilation() -> None:
    with _compilations() as seen:
        numba.njit(lambda value: value + 1)(1)

    assert seen


@DATA_TYPES
@WAYS
def test_no_call_of_contribute_or_assign_compiles(engine: NumbaEngine, dtype: Any, cosine: bool, axes: int) -> None:
    random = np.random.default_rng(0)
    with _compilations() as seen:
        for kind in (np.float16, np.float32, np.float64, np.uint8, np.int16, np.int64):
            for n in (1, 5, 500):
                points = np.abs(100 * random.normal(size=(n, D)) + 1).astype(kind)
                swapped = points.astype(points.dtype.newbyteorder())
                for pushed in (points, unaligned(points), np.asfortranarray(points), swapped):
                    _use(engine, pushed, None, _frame(dtype, axes, cosine=cosine))
                    _use(engine, pushed, _frozen(np.ones(n)), _frame(dtype, axes, cosine=cosine))

    assert not seen


@DATA_TYPES
@WAYS
def test_no_call_of_apply_batches_compiles(engine: NumbaEngine, dtype: Any, cosine: bool, axes: int) -> None:
    frame = _frame(dtype, axes, cosine=cosine)
    batches = [unaligned(np.ones((n, D), dtype)) for n in (1, 5, 500)]
    with _compilations() as seen:
        for labels in (False, True):
            engine.apply_batches(
                FusedBatches(batches, np.ones(3), _frozen(np.ones((K, D))), frame, labels), run_in_order
            )

    assert not seen


@DATA_TYPES
def test_no_call_of_the_kernels_of_a_summary_compiles(dtype: Any) -> None:
    random = np.random.default_rng(0)
    labels = _frozen(random.integers(0, K, 3000).astype(np.int32))
    ages, centroids = _frozen(np.arange(3000) / 1000), _frozen(random.normal(size=(K, D)).astype(dtype))
    kernels = warm_engine().summary_kernels(dtype)
    with _compilations() as seen:
        for columns in (2, D):
            points = _frozen(random.normal(size=(3000, columns)).astype(dtype))
            for weight in (None, _frozen(np.ones(3000))):
                summary = empty_summary(100, columns, dtype)
                for _ in range(2):
                    summary = absorb(
                        summary, points, weight, labels, centroids[:, :columns], ages, 0, kernels, run_in_order
                    )
                relabelled(summary, centroids[:, :columns], np.ones(K), 1.0, 3.0, 0, kernels, run_in_order)
                weighted_points(summary, 3.0, kernels, run_in_order)

    assert not seen


@DATA_TYPES
def test_no_call_of_the_search_compiles(engine: NumbaEngine, dtype: Any) -> None:
    points = np.random.default_rng(0).normal(size=(300, D)).astype(dtype)
    with _compilations() as seen:
        for pushed in (points, _frozen(points.copy()), unaligned(points)):
            for cosine in (False, True):
                _search(engine.search, pushed, cosine=cosine)

    assert not seen


def _search(search: NumbaSearch, points: Any, *, cosine: bool) -> None:
    partition = search.partition(points, _frozen(np.ones(len(points))), K)
    groups, draws = len(partition.lanes), np.full((K, search.candidates), 0.5)
    search.pack(partition, 0, groups)
    search.seed(partition, draws, np.empty(K, np.int64), 0, K)
    search.find_nearest_two(partition, 0, groups)
    search.add_members(partition, 0, len(points), np.zeros(K), np.zeros((K, D)))
    search.try_swaps(partition, draws, np.ones((2, search.candidates)), 0, 1 << 40, allowed=0.1, cosine=cosine)


def _most_memory(call: Callable[[], object]) -> int:
    """Return the peak of bytes that a call allocates in NumPy and Python."""
    tracemalloc.start()
    call()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    made = call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return peak - before


@DATA_TYPES
@WAYS
@pytest.mark.parametrize("weighted", [False, True])
def test_points_in_the_session_precision_take_memory_only_for_their_labels(
    engine: NumbaEngine, dtype: Any, cosine: bool, axes: int, weighted: bool
) -> None:
    few, many = np.ones((40_000, D), dtype), np.ones((240_000, D), dtype)

    def framed() -> Frame:
        return _frame(dtype, axes, cosine=cosine)  # anew: no call leaves its regime

    def contributing(points: Any) -> int:
        weight = np.ones(len(points)) if weighted else None
        return _most_memory(lambda: engine.contribute(points, weight, framed(), run_in_order))

    def assigning(points: Any) -> int:
        return _most_memory(lambda: engine.assign(points, framed(), run_in_order, return_distances=True))

    a_label, a_distance = 4, dtype.itemsize
    rows = len(many) - len(few)
    assert contributing(many) - contributing(few) <= a_label * rows + SPANS
    assert assigning(many) - assigning(few) <= (a_label + a_distance) * rows + SPANS


@DATA_TYPES
def test_points_of_other_types_take_memory_for_one_block_at_a_time(engine: NumbaEngine, dtype: Any) -> None:
    frame = _frame(dtype, 0, cosine=False)

    def contributing(rows: int) -> int:
        points = np.ones((rows, D), np.int16)
        return _most_memory(lambda: engine.contribute(points, None, frame, run_in_order))

    assert contributing(240_000) - contributing(40_000) <= 4 * 200_000 + SPANS
