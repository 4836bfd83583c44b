"""Unusable values are noticed at every place; memory behind the last row is ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal_server.engines.contract import Frame, FusedBatches, UnusablePoints, max_value, run_in_order
from shoal_server.engines.numba import NumbaEngine
from tests.engines.builders import GROUPS, both_ways, bounded, frame_of, row_counts

DTYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]
DATA_TYPES = pytest.mark.parametrize("dtype", DTYPES, ids=str)
AXES = pytest.mark.parametrize("axes", [0, 4])
COLUMNS = pytest.mark.parametrize("d", [1, 5, 8, 17, 32, 130])


def _frame(d: int, dtype: Any, axes: int = 0, *, cosine: bool = False, k: int = 6) -> Frame:
    centroids = np.random.default_rng(d).normal(size=(k, d)).astype(dtype)
    return bounded(frame_of(centroids, cosine=cosine), axes)


def _assert_unusable(engine: NumbaEngine, points: Any, frame: Frame) -> None:
    with pytest.raises(UnusablePoints):
        engine.contribute(points, None, frame, run_in_order)
    with pytest.raises(UnusablePoints):
        engine.assign(points, frame, run_in_order, return_distances=False)


def _bad_values(dtype: Any, d: int) -> list[float]:
    most = max_value(dtype, d)
    return [np.nan, np.inf, -np.inf, float(np.finfo(dtype).max), 1.001 * most, -1.001 * most]


@DATA_TYPES
@AXES
@COLUMNS
def test_a_bad_value_is_noticed_at_every_place(engine: NumbaEngine, dtype: Any, axes: int, d: int) -> None:
    frame = _frame(d, dtype, axes)
    for n in row_counts(dtype):
        for value in _bad_values(dtype, d):
            for row, column in {(0, 0), (0, d - 1), (n // 2, d // 2), (n - 1, 0), (n - 1, d - 1)}:
                points = np.ones((n, d), dtype)
                points[row, column] = value
                _assert_unusable(engine, points, frame)


@DATA_TYPES
@pytest.mark.parametrize("d", [1, 9, 64])
def test_a_bad_value_is_noticed_in_every_row_and_column_of_a_group(engine: NumbaEngine, dtype: Any, d: int) -> None:
    frame = _frame(d, dtype)
    n = GROUPS[dtype] + 6
    for place in range(0, n * d, 1 if d < 10 else 5):
        points = np.zeros((n, d), dtype)
        points.flat[place] = -np.nan
        _assert_unusable(engine, points, frame)


@DATA_TYPES
@pytest.mark.parametrize("row", [0, 40_000, 79_999])
def test_a_bad_value_is_noticed_in_every_chunk(engine: NumbaEngine, dtype: Any, row: int) -> None:
    points = np.ones((80_000, 8), dtype)
    points[row, 7] = np.inf

    _assert_unusable(engine, points, _frame(8, dtype, k=64))


@DATA_TYPES
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("row", [0, 2047, 2048, 2999])
def test_a_bad_value_is_noticed_in_points_of_every_floating_type(
    engine: NumbaEngine, dtype: Any, kind: Any, row: int
) -> None:
    for value in (np.nan, np.inf, -np.inf):
        points = np.ones((3000, 3), kind)
        points[row, 1] = value
        _assert_unusable(engine, points, _frame(3, dtype))


@DATA_TYPES
@pytest.mark.parametrize("d", [1, 7, 40])
@pytest.mark.parametrize("n", [1, 4, 5, 100])
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_row_of_zeros_is_unusable_under_cosine(engine: NumbaEngine, dtype: Any, d: int, n: int, value: float) -> None:
    for row in {0, n // 2, n - 1}:
        points = np.ones((n, d), dtype)
        points[row] = value
        _assert_unusable(engine, points, _frame(d, dtype, cosine=True))


@DATA_TYPES
@COLUMNS
def test_the_largest_value_is_usable(engine: NumbaEngine, dtype: Any, d: int) -> None:
    frame = _frame(d, dtype)
    most = dtype.type(max_value(dtype, d))
    most = most if float(most) <= frame.max_value else np.nextafter(most, dtype.type(0))

    for n in row_counts(dtype):
        contribution, assignment = both_ways(engine, np.full((n, d), -most), None, frame)

        assert np.isfinite(contribution.sums).all()
        assert assignment.distances is not None
        assert np.isfinite(assignment.distances).all()


@DATA_TYPES
@AXES
@COLUMNS
@pytest.mark.parametrize("cosine", [False, True])
def test_memory_around_the_rows_changes_no_result(
    engine: NumbaEngine, dtype: Any, axes: int, d: int, cosine: bool
) -> None:
    random = np.random.default_rng(d)
    frame = _frame(d, dtype, axes, cosine=cosine)
    for n in row_counts(dtype):
        room = np.full((n + 200, d), np.nan, dtype)
        room[100:-100] = random.normal(size=(n, d))
        alone = room[100:-100].copy()

        (contribution, assignment), (expected, assigned) = (
            both_ways(engine, points, None, frame) for points in (room[100:-100], alone)
        )

        np.testing.assert_array_equal(contribution.labels, expected.labels)
        np.testing.assert_array_equal(contribution.sums, expected.sums)
        np.testing.assert_array_equal(contribution.counts, expected.counts)
        assert contribution.inertia == expected.inertia
        np.testing.assert_array_equal(assignment.labels, assigned.labels)
        np.testing.assert_array_equal(assignment.distances, assigned.distances)


@DATA_TYPES
@AXES
@pytest.mark.parametrize("bad", [0, 2, 4])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_batches_applied_together_stop_at_the_first_bad_batch(
    engine: NumbaEngine, dtype: Any, axes: int, bad: int, rows: int
) -> None:
    random = np.random.default_rng(bad)
    for value in _bad_values(dtype, 9):
        frame = _frame(9, dtype, axes)
        batches = [random.normal(size=(rows, 9)).astype(dtype) for _ in range(5)]
        batches[bad][-1, 3] = value

        fused_batches = FusedBatches(batches, np.ones(5), frame.centroids.astype(np.float64), frame, return_labels=True)
        result = engine.apply_batches(fused_batches, run_in_order)

        assert len(result.inertias) == bad
        assert result.moved.weights.sum() == bad * rows
        assert np.isfinite(result.moved.centroids).all()
