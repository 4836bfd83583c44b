"""A summary of a stream is bounded, exact in weight and mean, and the same however its rows came."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.clustering.reduction import MAX_BUCKETS
from shoal_server.clustering.state import _same_bits
from shoal_server.clustering.summary import (
    absorb,
    empty_summary,
    max_summary_bytes,
    total_weight,
)
from shoal_server.engines.contract import Task, run_in_order
from tests.clustering.summary_builders import (
    array_bytes,
    assert_exact,
    blobs,
    errors,
    kernels_of,
    labels_of,
    summarised,
    weighted_points,
)
from tests.engines.builders import unaligned

DATA_TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
Random = np.random.default_rng


# ------------------------------------------------------------------ grouping


@st.composite
def streams(draw: st.DrawFn) -> Any:
    random = Random(draw(st.integers(0, 2**32)))
    n, d, k = draw(st.integers(1, 900)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    points, centroids = blobs(random, n, d, k, dtype)
    if draw(st.booleans()):
        points = points[np.argsort(points[:, 0])]
    weight = draw(st.sampled_from([None, random.pareto(1.0, n), random.choice([0.0, 1.0], n)]))
    ages = np.cumsum(random.choice([0.0, 0.01, 40.0], p=[0.5, 0.49, 0.01], size=n)) if draw(st.booleans()) else 3.0
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=8)))
    return points, centroids, weight, ages, cuts, draw(st.sampled_from([16, 40, 200])), draw(st.integers(0, 2**40))


@given(streams())
def test_a_summary_has_the_same_bits_however_rows_are_grouped_into_calls(stream: Any) -> None:
    points, centroids, weight, ages, cuts, size, seed = stream
    summary = partial(summarised, points, centroids, size=size, weight=weight, ages=ages, seed=seed)

    whole = summary()

    assert _same_bits(summary(cuts=cuts), whole)
    assert _same_bits(summary(cuts=range(1, len(points))), whole)


def test_a_summary_has_the_same_bits_on_several_threads() -> None:
    points, centroids = blobs(Random(0), 40_000, 5, 9)

    with ThreadPoolExecutor(3) as pool:

        def run(task: Task, count: int) -> None:
            list(pool.map(lambda index: list(task(index) or ()), range(count)))

        threaded = summarised(points, centroids, run=run, cuts=range(7000, 40_000, 7000))

    assert _same_bits(threaded, summarised(points, centroids))


def test_another_seed_keeps_other_rows() -> None:
    points, centroids = blobs(Random(0), 5000, 3, 4)

    assert not _same_bits(summarised(points, centroids, seed=1), summarised(points, centroids, seed=2))


def test_rows_of_weight_0_change_no_estimate_and_no_weight() -> None:
    points, centroids = blobs(Random(0), 3000, 3, 4)
    weight = Random(1).choice([0.0, 2.0], 3000)
    points[weight == 0] = 1e6

    weighted = weighted_points(summarised(points, centroids, size=200, weight=weight), 0.0)

    assert_exact(weighted, points[weight > 0], weight[weight > 0])
    assert np.abs(weighted.points).max() < 1e3


def test_an_origin_is_subtracted_from_the_rows() -> None:
    points, centroids = blobs(Random(0), 5000, 3, 4)
    origin = np.array([3.0, -1.0, 0.5], np.float32)
    summary, labels = empty_summary(200, 3, points.dtype), labels_of(points - origin, centroids)
    for rows in (slice(0, 777), slice(777, 5000)):
        summary = absorb(
            summary, points[rows], None, labels[rows], centroids, 0.0, 0, kernels_of(points.dtype), run_in_order,
            origin=origin,
        )  # fmt: skip

    assert _same_bits(summary, summarised(points - origin, centroids, size=200, labels=labels))


def test_arrays_may_lie_anywhere_and_be_read_only() -> None:
    points, centroids = blobs(Random(0), 3000, 3, 4)
    weight = Random(0).pareto(1.0, 3000)

    elsewhere = summarised(unaligned(points), centroids, size=100, weight=unaligned(weight))

    assert _same_bits(elsewhere, summarised(points, centroids, size=100, weight=weight))


# ------------------------------------------------------------------ what is exact


@DATA_TYPES
@given(seed=st.integers(0, 2**32), weighted=st.booleans())
def test_total_weight_and_mean_are_exact_at_any_time(dtype: Any, seed: int, weighted: bool) -> None:
    random = Random(seed)
    points, centroids = blobs(random, int(random.integers(1, 4000)), int(random.integers(1, 6)), 5, dtype)
    weight = random.pareto(1.5, len(points)) + 1e-3 if weighted else np.ones(len(points))

    summary = summarised(points, centroids, size=100, weight=weight)

    assert_exact(weighted_points(summary, 0.0), points, weight)
    np.testing.assert_allclose(total_weight(summary, 0.0), weight.sum(), rtol=1e-9)


@given(seed=st.integers(0, 2**32))
def test_weights_and_mean_decay_exactly(seed: int) -> None:
    random = Random(seed)
    points, centroids = blobs(random, 3000, 3, 5)
    ages = np.cumsum(random.choice([0.0, 0.002], 3000))
    weight = 0.5 ** (ages[-1] + 1.5 - ages)

    summary = summarised(points, centroids, size=100, ages=ages)

    assert_exact(weighted_points(summary, ages[-1] + 1.5), points, weight)
    np.testing.assert_allclose(total_weight(summary, ages[-1] + 1.5), weight.sum(), rtol=1e-9)


def test_fewer_rows_than_its_size_are_kept_as_they_are() -> None:
    points, centroids = blobs(Random(0), 700, 3, 4)

    weighted = weighted_points(summarised(points, centroids, size=800), 0.0)

    np.testing.assert_array_equal(weighted.points, points)
    np.testing.assert_array_equal(weighted.weights, np.ones(700))
    np.testing.assert_array_equal(weighted.scatter, np.zeros(700))


@pytest.mark.parametrize("k", [1, 50, 3000])
def test_there_may_be_one_cluster_and_more_clusters_than_points(k: int) -> None:
    random = Random(0)
    points = random.normal(size=(2000, 1))

    summary = summarised(points, random.normal(size=(k, 1)), size=100)

    assert_exact(weighted_points(summary, 0.0), points, np.ones(2000))
    assert sum(len(bucket.weights) for bucket in summary.buckets) <= 100


def test_an_empty_summary_has_no_points_and_no_weight() -> None:
    summary = empty_summary(100, 3, np.dtype(np.float32))

    assert weighted_points(summary, 0.0).points.shape == (0, 3)
    assert total_weight(summary, 0.0) == 0


# ------------------------------------------------------------------ what is bounded


@pytest.mark.parametrize("order", ["shuffled", "sorted", "equal", "far"])
def test_a_summary_stays_within_its_size_however_the_rows_come(order: str) -> None:
    random = Random(0)
    points, centroids = blobs(random, 60_000, 2, 8)
    if order == "sorted":
        points = points[np.lexsort(points.T)]
    if order == "equal":
        points[:] = points[0]
    if order == "far":
        points[30_000:] += np.logspace(1, 4, 30_000)[:, None].astype(np.float32)  # ever farther than was expected
    labels = labels_of(points, centroids)
    summary, most = empty_summary(400, 2, points.dtype), max_summary_bytes(400, 8, 2, points.dtype)

    for begin in range(0, 60_000, 1000):
        rows = slice(begin, begin + 1000)
        summary = absorb(
            summary, points[rows], None, labels[rows], centroids, 0.0, 0, kernels_of(points.dtype), run_in_order
        )  # fmt: skip

        assert array_bytes(summary) <= most
        assert sum(len(bucket.weights) for bucket in summary.buckets) <= 400
        assert len(summary.buckets) <= MAX_BUCKETS


def test_forgotten_buckets_are_dropped() -> None:
    points, centroids = blobs(Random(0), 3000, 2, 3)

    summary = summarised(points, centroids, size=5000, ages=np.repeat([0.0, 60.0], [1000, 2000]))

    weighted = weighted_points(summary, 60.0)
    assert len(weighted.weights) == 2000
    np.testing.assert_allclose(total_weight(summary, 60.0), 2000, rtol=1e-9)


@pytest.mark.parametrize("half_lives_a_call", [0.3, 5.0, 50.0, 1e4])
def test_calls_of_one_row_that_are_forgotten_fast_leave_the_newest(half_lives_a_call: float) -> None:
    points, centroids = blobs(Random(0), 300, 2, 3)
    ages = half_lives_a_call * np.arange(300)
    weight = 0.5 ** (ages[-1] - ages)

    weighted = weighted_points(summarised(points, centroids, size=100, ages=ages), ages[-1])

    np.testing.assert_allclose(weighted.weights.sum(), weight.sum(), rtol=1e-9)
    np.testing.assert_allclose(
        weighted.weights @ weighted.points.astype(np.float64), weight @ points.astype(np.float64), rtol=1e-5, atol=1e-4
    )


def test_weights_that_decay_to_nothing_leave_no_points() -> None:
    points, centroids = blobs(Random(0), 2000, 2, 3)
    weight = np.where(np.arange(2000) % 2, 1.0, 1e-200)

    summary = summarised(points, centroids, size=5000, weight=weight)

    assert len(weighted_points(summary, 500.0).weights) == 1000
    assert len(weighted_points(summary, 1e4).weights) == 0


def test_equal_rows_are_one_place_whatever_their_number() -> None:
    points = np.full((20_000, 3), 0.1, np.float32)

    weighted = weighted_points(summarised(points, np.zeros((2, 3), np.float32), size=100), 0.0)

    np.testing.assert_allclose(weighted.points, 0.1, rtol=1e-6)
    np.testing.assert_allclose(weighted.weights.sum(), 20_000, rtol=1e-9)
    assert weighted.scatter.sum() <= 1e-6


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1e12, 1e150])
def test_the_scale_of_the_weights_changes_which_rows_are_kept_as_little_as_anything(scale: float) -> None:
    points, centroids = blobs(Random(0), 20_000, 3, 5)
    weight = np.ones(20_000)

    ones = weighted_points(summarised(points, centroids, weight=weight, size=400), 0.0)
    scaled = weighted_points(summarised(points, centroids, weight=weight * scale, size=400), 0.0)

    assert abs(len(scaled.weights) - len(ones.weights)) <= 0.1 * len(ones.weights)
    assert_exact(scaled, points, weight * scale)
    assert max(map(abs, errors(scaled._replace(weights=scaled.weights / scale, scatter=scaled.scatter / scale),
                               points, weight, 5))) < 0.1  # fmt: skip


def test_a_row_of_huge_weight_is_kept() -> None:
    points, centroids = blobs(Random(0), 20_000, 3, 5)
    weight = np.ones(20_000)
    weight[15_000] = 1e9
    points[15_000] = 77.0

    weighted = weighted_points(summarised(points, centroids, weight=weight, size=400), 0.0)

    heaviest = np.argmax(weighted.weights)
    np.testing.assert_allclose(weighted.points[heaviest], 77.0, rtol=1e-3)
    assert_exact(weighted, points, weight)


def test_values_near_the_largest_of_float64_stay_finite() -> None:
    points, centroids = blobs(Random(0), 5000, 3, 5, np.float64)

    weighted = weighted_points(summarised(points * 1e98, centroids * 1e98, size=200), 0.0)

    assert np.isfinite(weighted.points).all()
    assert np.isfinite(weighted.scatter).all()


def test_long_work_is_cut_in_pieces() -> None:
    points, centroids = blobs(Random(0), 60_000, 40, 3)
    pieces: list[int] = []

    def run(task: Task, count: int) -> None:
        pieces.extend(sum(1 for _ in task(index) or ()) for index in range(count))

    summarised(points, centroids, size=20_000, run=run)

    assert max(pieces) >= 2
