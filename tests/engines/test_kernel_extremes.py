"""Exact ties, and numbers so small, so large or so different in length that squares of them get lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal_server.engines.contract import run_in_order, to_sphere
from shoal_server.engines.numba import NumbaEngine
from tests import naive
from tests.engines.builders import GROUPS, both_ways, bounded, check, check_labels, frame_of

DTYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]
WAYS = pytest.mark.parametrize("axes", [0, 4])
SHAPES = pytest.mark.parametrize(("k", "d"), [(5, 1), (9, 4), (64, 5), (7, 17), (33, 32), (64, 130)])


@pytest.mark.parametrize("n", [1, 4, 5, 300])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@WAYS
@SHAPES
def test_a_point_equally_near_to_several_centroids_gets_the_lowest_label(
    engine: NumbaEngine, n: int, dtype: Any, axes: int, k: int, d: int
) -> None:
    random = np.random.default_rng(n)
    # Few values in a few columns: many ties, all of them exact.
    points, centroids = np.zeros((n, d), dtype), np.zeros((k, d), dtype)
    points[1:, :3] = random.integers(-1, 2, (n - 1, d))[:, :3]
    centroids[:, :3] = random.choice([-2, 2], (k, d))[:, :3]
    squares = naive.squared_distances(points.astype(np.float64), centroids.astype(np.float64))
    assert ((squares == squares.min(axis=1)[:, None]).sum(axis=1) > 1).any()

    contribution, assignment = both_ways(engine, points, None, bounded(frame_of(centroids), axes))

    np.testing.assert_array_equal(assignment.labels, squares.argmin(axis=1))
    np.testing.assert_array_equal(contribution.labels, squares.argmin(axis=1))
    np.testing.assert_array_equal(assignment.distances, squares.min(axis=1))
    assert contribution.inertia == squares.min(axis=1).sum()


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e-20])
@pytest.mark.parametrize("n", [1, 4, 5, 150])
@WAYS
@SHAPES
def test_float32_points_whose_squares_underflow_get_exact_labels(
    engine: NumbaEngine, size: float, n: int, axes: int, k: int, d: int
) -> None:
    random = np.random.default_rng(n)
    points, centroids = ((size * random.normal(size=(rows, d))).astype(np.float32) for rows in (n, k))
    frame = bounded(frame_of(centroids), axes)

    contribution, assignment = both_ways(engine, points, None, frame)

    check(contribution, assignment, points, None, frame)


@pytest.mark.parametrize("size", [1e-22, 1e-21, 1e-20, 1e-19, 1e-18])
@pytest.mark.parametrize("n", [4, 150])
@WAYS
@SHAPES
def test_float32_points_on_a_border_whose_squares_have_few_digits_get_exact_labels(
    engine: NumbaEngine, size: float, n: int, axes: int, k: int, d: int
) -> None:
    random = np.random.default_rng(n)
    centroids = (size * random.normal(size=(k, d))).astype(np.float32)
    middles = (centroids[random.integers(0, k, n)] + centroids[random.integers(0, k, n)]) / 2
    points = np.nextafter(middles, random.choice([-np.inf, np.inf], (n, d)).astype(np.float32))
    frame = bounded(frame_of(centroids), axes)

    contribution, assignment = both_ways(engine, points, None, frame)

    check(contribution, assignment, points, None, frame)


@WAYS
@SHAPES
def test_float64_points_whose_squares_underflow_get_the_first_label(
    engine: NumbaEngine, axes: int, k: int, d: int
) -> None:
    random = np.random.default_rng(d)
    points, centroids = (5e-320 * random.normal(size=(rows, d)) for rows in (150, k))

    contribution, assignment = both_ways(engine, points, None, bounded(frame_of(centroids), axes))

    assert assignment.distances is not None
    assert not contribution.labels.any()
    assert not assignment.labels.any()
    assert not assignment.distances.any()


@pytest.mark.parametrize("n", [1, 5, 150])
@pytest.mark.parametrize(("dtype", "size"), [(DTYPES[0], 1e17), (DTYPES[1], 1e30), (DTYPES[1], 1e99)], ids=str)
@WAYS
@SHAPES
def test_points_of_the_largest_valid_size_get_exact_labels(
    engine: NumbaEngine, n: int, dtype: Any, size: float, axes: int, k: int, d: int
) -> None:
    random = np.random.default_rng(n)
    points, centroids = (random.uniform(-size, size, (rows, d)).astype(dtype) for rows in (n, k))
    frame = bounded(frame_of(centroids), axes)

    contribution, assignment = both_ways(engine, points, None, frame)

    check(contribution, assignment, points, None, frame)


@pytest.mark.parametrize(
    ("dtype", "lowest", "highest"),
    [
        (DTYPES[0], -15, 15),
        (DTYPES[0], -42, 16),  # rows that are nearly zero take a detour
        (DTYPES[0], -39.5, -37.5),  # and these just don't, or do
        (DTYPES[1], -30, 30),
        (DTYPES[1], -318, 90),
        (DTYPES[1], -140.5, -139.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [1, 5, 200])
@WAYS
@SHAPES
def test_cosine_labels_do_not_depend_on_the_length_of_a_row(
    engine: NumbaEngine, dtype: Any, lowest: float, highest: float, n: int, axes: int, k: int, d: int
) -> None:
    random = np.random.default_rng(n)
    sizes = 10.0 ** random.uniform(lowest, highest, (n, 1))
    points = (sizes * to_sphere(random.normal(size=(n, d)))).astype(dtype)
    points = points[points.any(axis=1)]
    centroids = to_sphere(random.normal(size=(k, d)))
    frame = bounded(frame_of(centroids.astype(dtype), cosine=True), axes)
    inside = to_sphere(points.astype(np.float64))

    contribution, assignment = both_ways(engine, points, None, frame)

    rounding = (d + 8) * float(np.finfo(dtype).eps)
    squares = naive.squared_distances(inside, frame.centroids.astype(np.float64))
    chosen = np.take_along_axis(squares, assignment.labels[:, None].astype(np.intp), axis=1)[:, 0]
    # A row of length 1 is rounded to the frame's type, which labels are exact for.
    assert (chosen <= squares.min(axis=1) + rounding).all()
    np.testing.assert_array_equal(contribution.labels, assignment.labels)
    assert assignment.distances is not None
    np.testing.assert_allclose(assignment.distances, chosen, rtol=0, atol=rounding)
    counts, sums = naive.added(inside, np.ones(len(inside)), assignment.labels, k)
    np.testing.assert_array_equal(contribution.counts, counts)
    np.testing.assert_allclose(contribution.sums, sums, rtol=0, atol=rounding * len(inside))
    np.testing.assert_allclose(contribution.inertia, chosen.sum(), rtol=0, atol=rounding * len(inside))


@WAYS
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_row_between_a_thousand_centroids_gets_its_exact_label(engine: NumbaEngine, axes: int, dtype: Any) -> None:
    random = np.random.default_rng(0)
    centroids = random.normal(size=(1001, 33)).astype(dtype)
    points = (centroids[::5][: GROUPS[dtype] + 1] + centroids[1::5][: GROUPS[dtype] + 1]) / 2

    assignment = engine.assign(points, bounded(frame_of(centroids), axes), run_in_order, return_distances=False)

    check_labels(assignment.labels, points.astype(np.float64), centroids.astype(np.float64))
    assert assignment.distances is None
