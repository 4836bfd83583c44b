"""How a large batch is cut, and that threads change no bit of the result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.engines.contract import Frame, run_in_order
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.spans import BLOCK_ROWS, MOST_SPANS, spans
from shoal_server.sessions.compute import ComputePool


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
