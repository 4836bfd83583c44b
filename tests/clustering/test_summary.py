"""A summary of a stream is bounded, exact in weight and mean, unbiased, and the same however its rows came."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.clustering.buckets import WeightedPoints
from shoal_server.clustering.reduction import MAX_BUCKETS
from shoal_server.clustering.state import _same_bits
from shoal_server.clustering.summary import (
    Summary,
    absorb,
    empty_summary,
    max_summary_bytes,
    merge,
    relabelled,
    summary_bytes,
    total_weight,
)
from shoal_server.clustering.summary import weighted_points as summary_points
from shoal_server.engines.contract import Task, run_in_order, to_sphere
from tests.clustering.summary_builders import (
    blobs,
    centre_sets,
    cost,
    estimated,
    kernels_of,
    labels_of,
    summarised,
)
from tests.engines.builders import unaligned

DATA_TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
Random = np.random.default_rng


def points_in(summary: Summary) -> int:
    return len(weighted_points(summary, latest(summary)).weights)


def weighted_points(summary: Summary, age: float) -> WeightedPoints:
    return summary_points(summary, age, run_in_order)


def latest(summary: Summary) -> float:
    block, waiting = summary.block, summary.waiting
    ages = [bucket.age for bucket in summary.buckets] + ([] if block is None else [block.latest])
    return max([*ages, *waiting.ages.tolist()], default=0.0)


def assert_exact(weighted: WeightedPoints, points: Any, weight: Any) -> None:
    """Check total weight and mean."""
    np.testing.assert_allclose(weighted.weights.sum(), weight.sum(), rtol=1e-9)
    rounding = 1e-6 if points.dtype == np.float32 else 1e-12
    spread = np.abs(points).max()
    np.testing.assert_allclose(
        weighted.weights @ weighted.points.astype(np.float64) / weight.sum(),
        weight @ points.astype(np.float64) / weight.sum(),
        atol=rounding * spread,
    )
    assert (weighted.weights > 0).all()
    assert (weighted.scatter >= 0).all()


def errors(weighted: WeightedPoints, points: Any, weight: Any, k: int) -> list[float]:
    sets = centre_sets(Random(1), points, k)
    return [estimated(weighted, centres) / cost(points, weight, centres) - 1 for centres in sets]


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

        assert summary_bytes(summary) <= most
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


# ------------------------------------------------------------------ what is unbiased


@pytest.mark.parametrize("order", ["shuffled", "sorted"])
@pytest.mark.parametrize("weighting", ["none", "pareto"])
def test_inertia_is_estimated_within_a_few_percent(order: str, weighting: str) -> None:
    random = Random(3)
    points, centroids = blobs(random, 60_000, 3, 12)
    if order == "sorted":
        points = points[np.argsort(points[:, 0])]
    weight = np.ones(60_000) if weighting == "none" else random.pareto(1.5, 60_000) + 0.1

    summary = summarised(points, centroids, weight=weight, size=2000)

    found = errors(weighted_points(summary, 0.0), points, weight, 12)
    assert max(map(abs, found)) < 0.06
    assert abs(float(np.mean(found))) < 0.03


def test_inertia_is_estimated_where_old_rows_are_forgotten() -> None:
    points, centroids = blobs(Random(3), 60_000, 3, 12)
    points[30_000:] += 3.0
    ages = np.arange(60_000) // 100 * (100 / 15_000)
    weight = 0.5 ** (ages[-1] - ages)

    summary = summarised(points, centroids, ages=ages, size=2000)

    found = errors(weighted_points(summary, ages[-1]), points, weight, 12)
    assert max(map(abs, found)) < 0.06


def test_inertia_of_directions_is_estimated() -> None:
    random = Random(3)
    raw, middles = blobs(random, 40_000, 8, 10, np.float64)
    points, centroids = to_sphere(raw).astype(np.float32), to_sphere(middles).astype(np.float32)

    weighted = weighted_points(summarised(points, centroids, size=2000), 0.0)

    sets = [to_sphere(each.astype(np.float64)) for each in centre_sets(random, points, 10)]
    found = [estimated(weighted, each) / cost(points, np.ones(40_000), each) - 1 for each in sets]
    assert max(map(abs, found)) < 0.06


def test_no_sample_is_biased_over_many_seeds() -> None:
    points, centroids = blobs(Random(3), 6000, 2, 6)
    sets = centre_sets(Random(1), points, 6)[:3]
    truth = [cost(points, np.ones(6000), each) for each in sets]

    found = []
    for seed in range(30):
        weighted = weighted_points(summarised(points, centroids, size=240, seed=seed), 0.0)
        found.append([estimated(weighted, each) for each in sets])

    assert np.abs(np.mean(found, axis=0) / truth - 1).max() < 0.03


def test_a_small_cluster_keeps_its_weight() -> None:
    random = Random(0)
    points, centroids = blobs(random, 100_000, 3, 6)
    rare = random.choice(100_000, 100, replace=False)
    points[rare] = 200 + random.normal(size=(100, 3))
    centroids = np.concatenate([centroids, np.full((1, 3), 200, np.float32)])

    weighted = weighted_points(summarised(points, centroids, size=1000), 0.0)

    near = np.abs(weighted.points - 200).max(axis=1) < 20
    np.testing.assert_allclose(weighted.weights[near].sum(), 100, rtol=1e-3)
    assert near.sum() >= 3


# ------------------------------------------------------------------ relabelling and merging


@given(seed=st.integers(0, 2**32), k=st.integers(1, 9))
def test_labels_may_mean_other_clusters_from_any_row_on(seed: int, k: int) -> None:
    random = Random(seed)
    points, centroids = blobs(random, 3000, 3, 5)
    others = random.normal(size=(k, 3)).astype(np.float32)
    kernels, cut = kernels_of(points.dtype), int(random.integers(0, 3000))

    summary = summarised(points[:cut], centroids, size=100)
    summary = relabelled(summary, others, np.full(k, cut / k), 1.0, 0.0, 0, kernels, run_in_order)
    summary = absorb(
        summary, points[cut:], None, labels_of(points[cut:], others), others, 0.0, 0, kernels, run_in_order
    )  # fmt: skip

    assert_exact(weighted_points(summary, 0.0), points, np.ones(3000))
    assert sum(len(bucket.weights) for bucket in summary.buckets) <= 100


def test_relabelling_at_every_row_keeps_few_buckets() -> None:
    points, centroids = blobs(Random(0), 300, 2, 3)
    kernels, labels = kernels_of(points.dtype), labels_of(points, centroids)
    summary = empty_summary(400, 2, points.dtype)

    for row in range(300):
        summary = absorb(
            summary, points[row : row + 1], None, labels[row : row + 1], centroids, 0.0, 0, kernels, run_in_order
        )  # fmt: skip
        summary = relabelled(summary, centroids, np.ones(3), 1.0, 0.0, 0, kernels, run_in_order)

    assert len(summary.buckets) <= MAX_BUCKETS
    np.testing.assert_array_equal(weighted_points(summary, 0.0).points, points)


def test_merged_summaries_stand_for_the_rows_of_both() -> None:
    points, centroids = blobs(Random(0), 40_000, 3, 6)
    shift = np.array([5.0, 0.0, -2.0])
    one = summarised(points[:25_000], centroids, size=1000)
    other = summarised(points[25_000:] - shift.astype(np.float32), centroids, size=3000, ages=7.0)

    merged = merge(one, other, 0.0, 7.0, shift, 0, kernels_of(points.dtype), run_in_order)

    weighted = weighted_points(merged, 0.0)
    assert len(weighted.weights) <= 1000
    assert_exact(weighted, points, np.ones(40_000))
    assert max(map(abs, errors(weighted, points, np.ones(40_000), 6))) < 0.06


def test_a_merged_summary_weighs_rows_by_how_long_ago_they_came() -> None:
    points, centroids = blobs(Random(0), 2000, 2, 3)
    one = summarised(points[:1000], centroids, ages=10.0)
    other = summarised(points[1000:], centroids, ages=100.0)

    merged = merge(one, other, 11.0, 103.0, np.zeros(2), 0, kernels_of(points.dtype), run_in_order)

    np.testing.assert_allclose(total_weight(merged, 11.0), 1000 / 2 + 1000 / 8, rtol=1e-9)


def test_a_summary_may_be_merged_into_an_empty_one_and_go_on() -> None:
    points, centroids = blobs(Random(0), 20_000, 2, 3)
    kernels, empty, nothing = kernels_of(points.dtype), empty_summary(500, 2, points.dtype), np.zeros(2)
    other = summarised(points[:10_000], centroids, size=500)

    merged = merge(empty, other, 0.0, 0.0, nothing, 0, kernels, run_in_order)
    unchanged = merge(merged, empty, 0.0, 0.0, nothing, 0, kernels, run_in_order)
    rest = points[10_000:]
    whole = absorb(
        unchanged, rest, None, labels_of(rest, centroids), centroids, 0.0, 0, kernels, run_in_order
    )  # fmt: skip

    assert _same_bits(unchanged, merged)
    assert _same_bits(merge(empty, empty, 0.0, 0.0, nothing, 0, kernels, run_in_order), empty)
    assert_exact(weighted_points(whole, 0.0), points, np.ones(20_000))


@given(seed=st.integers(0, 2**32), chain=st.booleans())
def test_many_merges_in_any_order_estimate_inertia(seed: int, chain: bool) -> None:
    random = Random(seed)
    points, centroids = blobs(random, 16_000, 2, 5)
    kernels = kernels_of(points.dtype)
    parts = [summarised(each, centroids, size=500) for each in np.array_split(points, 40)]

    while len(parts) > 1:
        first, second = (0, 1) if chain else sorted(random.choice(len(parts), 2, replace=False))
        other = parts.pop(second)
        parts[first] = merge(parts[first], other, 0.0, 0.0, np.zeros(2), 0, kernels, run_in_order)

    weighted = weighted_points(parts[0], 0.0)
    assert_exact(weighted, points, np.ones(16_000))
    assert max(map(abs, errors(weighted, points, np.ones(16_000), 5))) < 0.1


def test_long_work_is_cut_in_pieces() -> None:
    points, centroids = blobs(Random(0), 60_000, 40, 3)
    pieces: list[int] = []

    def run(task: Task, count: int) -> None:
        pieces.extend(sum(1 for _ in task(index) or ()) for index in range(count))

    summarised(points, centroids, size=20_000, run=run)

    assert max(pieces) >= 2
