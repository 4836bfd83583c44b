"""The kernels of the summary do what the oracle does, on any number of columns, and in pieces as in one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.engines.contract import run_in_order
from shoal_server.engines.numba.sampling import NumbaSummaryKernels
from tests import naive_summary
from tests.warm import warm_engine

DATA_TYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]
SPAN = 32.0
seeds = st.integers(0, 2**63 - 1)


def kernels_of(dtype: Any) -> NumbaSummaryKernels:
    return warm_engine().summary_kernels(np.dtype(dtype))


def sampled(
    kernels: NumbaSummaryKernels, block: Any, rows: Any, number: int, seed: int, rates: Any, begin: float, most: Any
) -> tuple[int, bool, Any]:
    """Give the compiled kernel what the oracle gets, and return what it makes of a block without rows."""
    points, weight, labels, ages, origin = rows
    k, d = block.reference.shape
    length = kernels.row_length(d)
    totals, counts, sums, squares = np.zeros(3), np.zeros(k), np.zeros((k, length)), np.zeros(k)
    padding = (0, length - d)
    origin, reference = np.pad(origin, padding), np.pad(block.reference, ((0, 0), padding))
    kept, kept_weight = np.empty(most[2], np.int64), np.empty(most[2])
    stop, found, full = kernels.sample_rows(
        points, weight, labels, ages, 0, len(points), number, seed, origin, reference, begin, SPAN, *rates,
        most[0], most[1], totals, counts, sums, squares, kept, kept_weight,
    )  # fmt: skip
    assert not sums[:, d:].any()
    return stop, full, (totals, counts, sums[:, :d], squares, kept[:found], kept_weight[:found])


@st.composite
def problems(draw: st.DrawFn) -> Any:
    random = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(DATA_TYPES))
    n, d, k = draw(st.integers(1, 60)), draw(st.integers(1, 21)), draw(st.integers(1, 5))
    origin = np.round(random.normal(size=d), 1).astype(dtype)
    points = random.normal(size=(n, d)).astype(dtype)
    weight = random.choice([0.0, 0.5, 1.0, 3.0], size=n)
    ages = 5.0 + np.cumsum(random.choice([0.0, 0.0, 0.25, 20.0], p=[0.7, 0.1, 0.19, 0.01], size=n))
    labels = random.integers(0, k, n).astype(np.int32)
    reference = random.normal(size=(k, d)).astype(dtype)
    rates = random.choice([0.0, 0.1, 0.3, np.inf]), random.choice([0.0, 0.05]), random.choice([0.0, 0.2], size=k)
    most = random.choice([5.0, np.inf]), int(random.choice([7, 10**9])), draw(st.integers(1, 70))
    return (points, weight, labels, ages, origin), reference, rates, most, draw(st.integers(0, 2**40)), draw(seeds)


@given(problems())
def test_sample_rows_adds_and_keeps_what_the_oracle_does(problem: Any) -> None:
    rows, reference, rates, most, number, seed = problem
    points, weight, labels, ages, origin = rows
    block = naive_summary.NaiveBlock(reference.astype(np.float64))

    expected = naive_summary.sample_rows(
        block, points - origin, weight, labels, ages, number, seed, rates, 5.0, SPAN, most
    )  # fmt: skip
    stop, full, (totals, counts, sums, squares, kept, kept_weight) = sampled(
        kernels_of(points.dtype), naive_summary.NaiveBlock(reference), rows, number, seed, rates, 5.0, most
    )

    assert (stop, full) == expected
    np.testing.assert_allclose(totals, [block.weight, block.decayed, block.rows], rtol=1e-12)
    np.testing.assert_allclose(counts, block.counts, rtol=1e-12)
    np.testing.assert_allclose(sums, block.sums, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(squares, block.squares, rtol=1e-9)
    np.testing.assert_array_equal(kept, block.kept)
    np.testing.assert_allclose(kept_weight, block.kept_weight, rtol=1e-9)


@pytest.mark.parametrize("dtype", DATA_TYPES, ids=str)
def test_rows_without_weights_and_of_one_age_are_sampled_like_others(dtype: Any) -> None:
    random = np.random.default_rng(0)
    points, labels = random.normal(size=(50, 6)).astype(dtype), random.integers(0, 3, 50).astype(np.int32)
    block = naive_summary.NaiveBlock(np.zeros((3, 6), dtype))
    origin, rates, most = np.zeros(6, dtype), (0.2, 0.02, np.full(3, 0.1)), (np.inf, 1000, 1000)

    ones = (points, np.ones(50), labels, np.full(50, 2.0), origin)
    short = (points, np.empty(0), labels, np.full(1, 2.0), origin)
    expected = sampled(kernels_of(dtype), block, ones, 0, 1, rates, 2.0, most)
    found = sampled(kernels_of(dtype), block, short, 0, 1, rates, 2.0, most)

    for one, other in zip(expected[2], found[2], strict=True):
        np.testing.assert_array_equal(one, other)


def split(problem: Any, work: int) -> Any:
    """Return what split_cells makes of sets of points, given by where each ends, and in how many calls."""
    points, weight, scatter, sets, allotted, seed, pairs = problem
    n, d = points.shape
    stack = np.zeros((n, 3), np.int64)
    ends = np.array(sets)
    stack[: len(ends)] = np.stack([np.r_[0, ends[:-1]], ends, allotted], axis=1)
    progress = np.array([len(ends), 0, 0])
    m = sum(allotted) * (2 if pairs else 1)
    means, weights, inner = np.empty((m, d), points.dtype), np.empty(m), np.empty(m)
    order, places, calls = np.arange(n), np.empty(n, np.int32), 1
    while not kernels_of(points.dtype).split_cells(
        points, weight, scatter, order, stack, progress, seed, pairs, work, np.empty(n), np.empty(n, np.int64),
        np.empty(n, np.int64), places, means, weights, inner,
    ):  # fmt: skip
        calls += 1
    made = progress[1]
    return means[:made], weights[:made], inner[:made], places, calls, order


@st.composite
def point_sets(draw: st.DrawFn) -> Any:
    random = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(DATA_TYPES))
    n, d = draw(st.integers(1, 150)), draw(st.integers(1, 9))
    points = random.normal(size=(n, d)).astype(dtype)
    if draw(st.booleans()):
        points = np.round(points).astype(dtype)  # most of them are equal to others
    weight, scatter = random.choice([1e-3, 1.0, 50.0], size=n), random.choice([0.0, 1.0], size=n)
    sets = sorted({*random.integers(1, n + 1, 3).tolist(), n})
    allotted = [draw(st.integers(1, 40)) for _ in sets]
    return points, weight, scatter, sets, allotted, draw(seeds), draw(st.booleans())


@given(point_sets())
def test_cells_keep_weight_mean_and_sum_of_squares_of_each_set(problem: Any) -> None:
    points, weight, scatter, sets, allotted, _, pairs = problem

    means, weights, inner, _, _, order = split(problem, 1 << 40)

    rounding = 1e-5 if points.dtype == np.float32 else 1e-10
    wide, found = points.astype(np.float64), means.astype(np.float64)
    assert sorted(order) == list(range(len(points)))
    most = 2 * np.array(allotted) if pairs else np.array(allotted)
    assert len(weights) <= np.minimum(np.diff([0, *sets]), most).sum()
    np.testing.assert_allclose(weights.sum(), weight.sum(), rtol=1e-12)
    np.testing.assert_allclose(weights @ found, weight @ wide, atol=rounding * weight.sum())
    squares = float((weight * (wide**2).sum(axis=1) + scatter).sum())
    np.testing.assert_allclose(float((weights * (found**2).sum(axis=1) + inner).sum()), squares, rtol=10 * rounding)
    for begin, end in pairwise([0, *sets]):  # a set's points stay among themselves
        assert sorted(order[begin:end]) == list(range(begin, end))


@given(point_sets())
def test_cells_are_the_same_in_pieces_of_any_size(problem: Any) -> None:
    whole = split(problem, 1 << 40)
    cut = split(problem, 1)

    for one, other in zip(whole[:4], cut[:4], strict=True):
        np.testing.assert_array_equal(one, other)


@given(point_sets())
def test_each_point_is_told_its_cell(problem: Any) -> None:
    points, weight, scatter, _, _, _, pairs = problem

    means, weights, inner, places, _, _ = split(problem, 1 << 40)

    firsts = np.unique(places)
    cells = np.split(np.arange(len(weights)), firsts[1:])  # the points that each of them became: one, or with pairs two
    assert all(len(cell) <= (2 if pairs else 1) for cell in cells)
    rounding = 1e-5 if points.dtype == np.float32 else 1e-10
    for first, cell in zip(firsts, cells, strict=True):
        members = places == first
        wide, found = points[members].astype(np.float64), means[cell].astype(np.float64)
        np.testing.assert_allclose(weights[cell].sum(), weight[members].sum(), rtol=1e-12)
        total = weight[members] @ wide
        np.testing.assert_allclose(weights[cell] @ found, total, atol=rounding * (1 + np.abs(total).max()))
        squares = weight[members] @ (wide**2).sum(axis=1) + scatter[members].sum()
        now = weights[cell] @ (found**2).sum(axis=1) + inner[cell].sum()
        np.testing.assert_allclose(now, squares, rtol=10 * rounding)


@st.composite
def labelled_rows(draw: st.DrawFn) -> Any:
    random = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(DATA_TYPES))
    n, d, k = draw(st.integers(1, 60)), draw(st.integers(1, 21)), draw(st.integers(1, 5))
    points, middles = random.normal(size=(n, d)).astype(dtype), random.normal(size=(k, d))
    labels, cut = random.integers(0, k, n).astype(np.int32), draw(st.integers(0, n))
    return points, random.choice([0.5, 1.0, 3.0], size=n), labels, middles, cut


@given(labelled_rows())
def test_deviations_and_squares_of_labels_are_those_of_the_rows_in_pieces_as_in_one(problem: Any) -> None:
    points, weight, labels, middles, cut = problem
    kernels, (k, d) = kernels_of(points.dtype), middles.shape
    reference = np.pad(middles, ((0, 0), (0, 3))).astype(points.dtype)
    wide, members = points.astype(np.float64), labels == np.arange(k)[:, None]

    pieces = [(0, cut), (cut, len(points))]
    sums, sums_at_once, squares, stretched = np.zeros((k, d)), np.zeros((k, d)), np.zeros(k), np.empty_like(points)
    for piece in pieces:
        kernels.add_deviations(points, weight, labels, *piece, reference, sums)
        kernels.add_squares(points, weight, labels, *piece, middles, squares)
        kernels.stretch_rows(points, labels, *piece, middles, np.full(k, 1.5), middles + 1, stretched)
    kernels.add_deviations(points, weight, labels, 0, len(points), reference, sums_at_once)

    deviations = wide - reference[labels, :d]
    np.testing.assert_allclose(sums, (members * weight) @ deviations, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(sums, sums_at_once)
    around = wide - middles[labels]
    np.testing.assert_allclose(squares, (members * weight) @ (around**2).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(stretched, middles[labels] + 1 + 1.5 * around, rtol=1e-5, atol=1e-5)


@given(labelled_rows())
def test_means_of_sets_are_those_of_their_rows_with_the_squares_around_them(problem: Any) -> None:
    points, weight, labels, _, cut = problem
    order, (present, counts) = np.argsort(labels, kind="stable"), np.unique(labels, return_counts=True)
    begins, sets = np.r_[0, np.cumsum(counts)], len(present)
    means, squares = np.empty((sets, points.shape[1]), points.dtype), np.empty(sets)

    for piece in ((0, min(cut, sets)), (min(cut, sets), sets)):
        kernels_of(points.dtype).write_means(points, weight, order, begins, *piece, means, squares)

    rounding = 1e-5 if points.dtype == np.float32 else 1e-10
    for label, mean, square in zip(present, means, squares, strict=True):
        own, own_weight = points[labels == label].astype(np.float64), weight[labels == label]
        expected = np.average(own, axis=0, weights=own_weight)
        np.testing.assert_allclose(mean, expected, rtol=rounding, atol=rounding)
        np.testing.assert_allclose(square, own_weight @ ((own - expected) ** 2).sum(axis=1), atol=1e-9)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("dtype", DATA_TYPES, ids=str)
def test_equal_points_become_one_cell(dtype: Any, pairs: bool) -> None:
    points = np.full((1000, 3), 0.1, dtype)

    means, weights, inner, _, _, _ = split((points, np.ones(1000), np.zeros(1000), [1000], [100], 7, pairs), 1 << 40)

    np.testing.assert_allclose(means, points[:1], rtol=1e-6 if dtype == np.float32 else 1e-13)
    np.testing.assert_array_equal(weights, [1000.0])
    np.testing.assert_allclose(inner, 0.0, atol=1e-12)


def test_distinct_points_fill_the_cells_that_they_may_make() -> None:
    points = np.random.default_rng(0).normal(size=(2000, 4))

    means, _, inner, _, calls, _ = split((points, np.ones(2000), np.zeros(2000), [2000], [500], 7, False), 10_000)

    assert len(means) >= 490
    assert calls > 5
    assert inner.sum() < 0.25 * (points**2).sum()  # far less than the points have around one mean


@pytest.mark.parametrize("dtype", DATA_TYPES, ids=str)
def test_nearest_are_those_of_the_engine(dtype: Any) -> None:
    random = np.random.default_rng(0)
    points, centroids = random.normal(size=(100, 5)).astype(dtype), random.normal(size=(7, 5)).astype(dtype)

    labels, squares = kernels_of(dtype).nearest(points, centroids, run_in_order)

    distances = ((points[:, None].astype(np.float64) - centroids[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))
    np.testing.assert_allclose(squares, distances.min(axis=1), rtol=1e-6)
