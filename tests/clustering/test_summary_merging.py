"""A summary goes on when labels mean other clusters, and two become one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shoal_server.clustering.buckets import WeightedPoints
from shoal_server.clustering.reduction import MAX_BUCKETS, reduced
from shoal_server.clustering.state import _same_bits
from shoal_server.clustering.summary import (
    absorb,
    empty_summary,
    merge,
    relabelled,
    total_weight,
)
from shoal_server.engines.contract import run_in_order
from tests.clustering.analysis_builders import as_rows, estimate_of
from tests.clustering.summary_builders import (
    assert_exact,
    blobs,
    centre_sets,
    cost,
    errors,
    kernels_of,
    labels_of,
    summarised,
    weighted_points,
)
from tests.effort import examples

Random = np.random.default_rng


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


ORDERS = ["one after another", "oldest two first", "any two"]
KINDS = ["blobs", "noise", "skewed"]


@examples(50)
@given(
    seed=st.integers(0, 2**32),
    d=st.integers(1, 8),
    k=st.integers(1, 8),
    order=st.sampled_from(ORDERS),
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_a_thousand_merges_in_any_order_estimate_inertia_within_five_percent(
    seed: int, d: int, k: int, order: str, kind: str, dtype: Any
) -> None:
    random = Random(seed)
    points, centroids = _stream(random, kind, 20_020, d, k, dtype)

    weighted = _merged_thousandfold(points, centroids, order, random)

    assert_exact(weighted, points, np.ones(len(points)))
    assert max(map(abs, errors(weighted, points, np.ones(len(points)), k))) < 0.05


@examples(50)
@given(
    seed=st.integers(0, 2**32),
    d=st.integers(9, 24),
    k=st.integers(1, 8),
    order=st.sampled_from(ORDERS),
    kind=st.sampled_from(KINDS),
)
@example(seed=196, d=14, k=8, order="one after another", kind="skewed")  # 5.3 % with half of the points left
def test_a_thousand_merges_in_many_columns_estimate_inertia_within_five_percent_once_it_is_corrected(
    seed: int, d: int, k: int, order: str, kind: str
) -> None:
    random = Random(seed)
    points, centroids = _stream(random, kind, 20_020, d, k, np.float32)

    weighted = _merged_thousandfold(points, centroids, order, random)

    assert_exact(weighted, points, np.ones(len(points)))
    for centres in centre_sets(np.random.default_rng(1), points, k):
        estimate = estimate_of(as_rows(weighted.points, weighted.weights, scatter=weighted.scatter), centres)
        assert abs(estimate.inertia / cost(points, np.ones(len(points)), centres) - 1) < 0.05


def _merged_thousandfold(points: Any, centroids: Any, order: str, random: np.random.Generator) -> WeightedPoints:
    """Return what is left of 1,001 summaries of as many parts of points, after 1,000 merges."""
    kernels, nothing = kernels_of(points.dtype), np.zeros(points.shape[1])
    parts = [summarised(each, centroids, size=1000) for each in np.array_split(points, 1001)]
    for _ in range(1000):
        first, second = (0, 1) if order != "any two" else sorted(random.choice(len(parts), 2, replace=False))
        other, one = parts.pop(second), parts.pop(first)
        merged = merge(one, other, 0.0, 0.0, nothing, 0, kernels, run_in_order)
        parts.insert(len(parts) if order == "oldest two first" else first, merged)
    (whole,) = parts
    weighted = weighted_points(whole, 0.0)
    assert len(weighted.weights) <= 1000
    return weighted


def _stream(random: np.random.Generator, kind: str, n: int, d: int, k: int, dtype: Any) -> tuple[Any, Any]:
    """Return points (n, d) and where k clusters of them may be."""
    if kind == "blobs":
        return blobs(random, n, d, k, dtype)
    drawn = random.normal(size=(n, d)) if kind == "noise" else random.gamma(0.5, size=(n, d))
    points = drawn.astype(dtype)
    return points, points[:k]


@pytest.mark.parametrize("size", [0, -1])
def test_buckets_are_not_reduced_to_no_points(size: int) -> None:
    points, centroids = blobs(Random(0), 300, 2, 3)
    buckets = summarised(points, centroids, size=100).buckets

    with pytest.raises(ValueError, match="at least"):
        reduced(buckets, size, 0.0, centroids, 0, kernels_of(points.dtype), run_in_order)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_buckets_are_reduced_to_however_few_points(size: int) -> None:
    points, centroids = blobs(Random(0), 300, 2, 3)
    buckets = summarised(points, centroids, size=100).buckets

    few = reduced(buckets, size, 0.0, centroids, 0, kernels_of(points.dtype), run_in_order)

    assert 1 <= sum(len(bucket.weights) for bucket in few) <= size
    assert sum(bucket.weight for bucket in few) == pytest.approx(sum(bucket.weight for bucket in buckets))
