"""How a large batch is cut, and that threads change no bit of the result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from shoal_server.engines.chunks import BLOCK_ROWS, MAX_CHUNKS, MAX_SUMS, OrderedReducer, chunks, min_chunk_rows
from shoal_server.engines.contract import Frame, UnusablePoints, run_in_order
from shoal_server.engines.numba import NumbaEngine
from shoal_server.sessions.compute import ComputePool
from tests.engines.builders import frame_of


@given(st.integers(0, 3_000_000))
def test_chunks_cover_every_row_once_and_are_few(rows: int) -> None:
    cut = chunks(rows, 8, 8, with_sums=True)

    assert [chunk.start for chunk in cut] == [0, *(chunk.stop for chunk in cut[:-1])][: len(cut)]
    assert sum(chunk.stop - chunk.start for chunk in cut) == rows
    assert len(cut) <= MAX_SUMS


@given(st.integers(1, 100_000))
def test_blocks_cover_a_chunk_in_order(rows: int) -> None:
    blocks = [block for chunk in chunks(rows, 8, 8, with_sums=True) for block in chunk.blocks()]

    assert all(block.stop - block.start <= BLOCK_ROWS for block in blocks)
    assert sum(block.stop - block.start for block in blocks) == rows


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_no_bit_of_a_contribution(engine: NumbaEngine, threads: int) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(60_000, 5)).astype(np.float32)
    frame = Frame(random.normal(size=(9, 5)).astype(np.float32), np.zeros(5, np.float32), np.zeros(9), cosine=False)
    pool = ComputePool(threads)

    alone = engine.contribute(points, None, frame, run_in_order)
    shared = engine.contribute(points, None, frame, pool.run_tasks)
    pool.close()

    np.testing.assert_array_equal(shared.sums, alone.sums)
    np.testing.assert_array_equal(shared.counts, alone.counts)
    np.testing.assert_array_equal(shared.labels, alone.labels)
    assert shared.inertia == alone.inertia


@given(
    st.integers(0, 3_000_000),
    st.integers(1, 20_000),
    st.integers(1, 4096),
    st.booleans(),
    st.sampled_from([12, 24, 64]),
)
def test_chunks_are_whole_groups_of_equal_length_with_enough_work_except_the_last(
    rows: int, k: int, d: int, with_sums: bool, group_rows: int
) -> None:
    cut = chunks(rows, k, d, with_sums=with_sums, group_rows=group_rows)
    lengths = [chunk.stop - chunk.start for chunk in cut]
    most = MAX_SUMS if with_sums else MAX_CHUNKS

    assert sum(lengths) == rows
    assert len(lengths) <= most
    assert all(length % group_rows == 0 for length in lengths[:-1])
    assert len(set(lengths[:-1])) <= 1
    assert all(length <= lengths[0] for length in lengths)
    if len(lengths) > 1:
        assert lengths[0] * most >= rows
        assert rows >= 2 * min_chunk_rows(k, d)


def test_chunks_are_shorter_for_wide_points_and_many_centroids() -> None:
    few, wide, many = (len(chunks(4_000, k, d, with_sums=False)) for k, d in ((8, 8), (8, 4096), (8192, 8)))

    assert few == 1
    assert wide > 1
    assert many > 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "k", "d"), [(1_300, 256, 384), (700, 1_000, 784), (2_500, 64, 1_100)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_number_of_threads_changes_no_bit_when_one_sum_is_shared(
    engine: NumbaEngine, dtype: Any, rows: int, k: int, d: int, weighted: bool
) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(rows, d)).astype(dtype)
    weight = random.exponential(size=rows) if weighted else None
    frame = frame_of(random.normal(size=(k, d)).astype(dtype))
    pool = ComputePool(3)
    call = engine._call(points, weight, frame)
    assert call.adds_separately
    assert len(call.chunks(with_sums=False)) > 1

    alone = engine.contribute(points, weight, frame, run_in_order)
    shared = [engine.contribute(points, weight, frame, pool.run_tasks) for _ in range(3)]
    pool.close()

    counted = np.bincount(alone.labels, weight, minlength=k)
    memberships = csr_array((np.ones(rows) if weight is None else weight, alone.labels, np.arange(rows + 1)), (rows, k))
    np.testing.assert_allclose(alone.counts, counted, rtol=1e-13)
    np.testing.assert_allclose(alone.sums, memberships.T @ points.astype(np.float64), rtol=1e-12, atol=1e-12)
    for each in shared:
        np.testing.assert_array_equal(each.sums, alone.sums)
        np.testing.assert_array_equal(each.counts, alone.counts)
        np.testing.assert_array_equal(each.labels, alone.labels)
        assert each.inertia == alone.inertia


@given(st.permutations(range(7)))
def test_ordered_reducer_calls_in_order_when_chunks_become_ready_in_any_order(readied: list[int]) -> None:
    called: list[int] = []
    in_order = OrderedReducer(called.append)

    for place, index in enumerate(readied):
        before = len(called)
        assert list(in_order.ready(index)) == [None] * (len(called) - before)
        ahead = set(readied[: place + 1])
        assert called == list(range(next(number for number in range(8) if number not in ahead)))


def test_ordered_reducer_makes_no_more_calls_after_one_failed() -> None:
    def fail(index: int) -> None:
        raise ArithmeticError(index)

    in_order = OrderedReducer(fail)
    with pytest.raises(ArithmeticError):
        list(in_order.ready(0))

    list(in_order.ready(1))  # nothing happens


@pytest.mark.parametrize("place", [0, 2_000, 3_999])
def test_an_unusable_row_is_noticed_at_any_place_when_one_sum_is_shared(engine: NumbaEngine, place: int) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(4_000, 384)).astype(np.float32)
    points[place, 5] = np.nan
    frame = frame_of(random.normal(size=(256, 384)).astype(np.float32))
    pool = ComputePool(2)

    for run in (run_in_order, pool.run_tasks):
        with pytest.raises(UnusablePoints):
            engine.contribute(points, None, frame, run)
    pool.close()


def test_ordered_reducer_leaves_chunks_that_become_ready_during_a_call_to_its_caller() -> None:
    called: list[int] = []
    pool = ThreadPoolExecutor(1)

    def call(index: int) -> None:
        if index == 0:
            pool.submit(lambda: list(in_order.ready(1))).result()  # comes back although this call goes on
            assert called == []
        called.append(index)

    in_order = OrderedReducer(call)
    list(in_order.ready(0))
    pool.shutdown()

    assert called == [0, 1]
