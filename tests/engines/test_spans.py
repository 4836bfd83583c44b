"""How a large batch is cut, and that threads change no bit of the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.engines.contract import Frame, run_in_order
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.spans import BLOCK_ROWS, MOST_SPANS, SPAN_ROWS, span_rows, spans
from shoal_server.sessions.compute import ComputePool
from tests.engines.framing import frame_of


@given(st.integers(0, 3_000_000))
def test_spans_cover_every_row_once_and_are_few(rows: int) -> None:
    cut = spans(rows, 8, 8)

    assert [span.start for span in cut] == [0, *(span.stop for span in cut[:-1])][: len(cut)]
    assert sum(span.stop - span.start for span in cut) == rows
    assert len(cut) <= MOST_SPANS


@given(st.integers(1, 100_000))
def test_blocks_cover_a_span_in_order(rows: int) -> None:
    blocks = [block for span in spans(rows, 8, 8) for block in span.blocks()]

    assert all(block.stop - block.start <= BLOCK_ROWS for block in blocks)
    assert sum(block.stop - block.start for block in blocks) == rows


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(60_000, 5)).astype(np.float32)
    frame = Frame(random.normal(size=(9, 5)).astype(np.float32), np.zeros(5, np.float32), np.zeros(9), cosine=False)
    engine = NumbaEngine()
    engine.warm_up()
    pool = ComputePool(threads)

    alone = engine.contribute(points, None, frame, run_in_order)
    shared = engine.contribute(points, None, frame, pool.run_tasks)
    pool.close()

    np.testing.assert_array_equal(shared.sums, alone.sums)
    np.testing.assert_array_equal(shared.counts, alone.counts)
    np.testing.assert_array_equal(shared.labels, alone.labels)
    assert shared.inertia == alone.inertia


@given(st.integers(0, 3_000_000), st.integers(1, 20_000), st.integers(1, 4096))
def test_all_spans_but_the_last_are_whole_groups_with_work_enough_and_about_as_long(rows: int, k: int, d: int) -> None:
    lengths = [span.stop - span.start for span in spans(rows, k, d)]

    assert sum(lengths) == rows
    assert len(lengths) <= MOST_SPANS
    assert all(length % SPAN_ROWS == 0 for length in lengths[:-1])
    assert len(set(lengths[:-1])) <= 1
    assert all(length <= lengths[0] for length in lengths)
    if len(lengths) > 1:
        assert lengths[0] * MOST_SPANS >= rows
        assert rows >= 2 * span_rows(k, d)


def test_wide_points_and_many_centroids_are_cut_finer() -> None:
    few, wide, many = (len(spans(4_000, k, d)) for k, d in ((8, 8), (8, 4096), (8192, 8)))

    assert few == 1
    assert wide > 1
    assert many > 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "k", "d"), [(1_300, 256, 384), (700, 1_000, 784), (2_500, 64, 1_100)])
@pytest.mark.parametrize("weighted", [False, True])
def test_nor_does_it_where_rows_are_wide_and_centroids_many(
    engine: NumbaEngine, dtype: Any, rows: int, k: int, d: int, weighted: bool
) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(rows, d)).astype(dtype)
    weight = random.exponential(size=rows) if weighted else None
    frame = frame_of(random.normal(size=(k, d)).astype(dtype))
    pool = ComputePool(3)
    assert len(spans(rows, k, d)) > 1

    alone = engine.contribute(points, weight, frame, run_in_order)
    shared = [engine.contribute(points, weight, frame, pool.run_tasks) for _ in range(3)]
    pool.close()

    for each in shared:
        np.testing.assert_array_equal(each.sums, alone.sums)
        np.testing.assert_array_equal(each.counts, alone.counts)
        np.testing.assert_array_equal(each.labels, alone.labels)
        assert each.inertia == alone.inertia
