"""Rows become few weighted points that stand for them: without a server."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

import shoal
from tests.effort import examples

Random = np.random.default_rng
DTYPES = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.uint8, np.int64, np.bool_]


def summarized(X: Any, size: int, **given: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    batch = shoal.summarize(X, size, **given)
    points, weights = batch.points, batch.sample_weight
    assert isinstance(points, np.ndarray)
    assert isinstance(weights, np.ndarray)
    return points, weights


def cost(points: NDArray[Any], weights: NDArray[Any], centroids: NDArray[Any]) -> float:
    """Return the weighted inertia of centroids."""
    total = 0.0
    for start in range(0, len(points), 4096):
        some = points[start : start + 4096, None].astype(np.float64)
        total += float((((some - centroids) ** 2).sum(axis=2).min(axis=1) * weights[start : start + 4096]).sum())
    return total


def blobs(n: int, d: int, k: int, seed: int) -> NDArray[np.float32]:
    random = Random(seed)
    share = random.pareto(2.0, k) + 0.1
    middles = 5 * random.normal(size=(k, d))
    return (middles[random.choice(k, n, p=share / share.sum())] + random.normal(size=(n, d))).astype(np.float32)


@examples(200)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 3000),
    d=st.integers(1, 40),
    size=st.integers(1, 600),
    dtype=st.sampled_from(DTYPES),
    weighted=st.booleans(),
    scale=st.sampled_from([1.0, 100.0]),
    far=st.sampled_from([0.0, 50.0]),
)
def test_total_weight_and_mean_are_those_of_the_rows(
    seed: int, n: int, d: int, size: int, dtype: Any, weighted: bool, scale: float, far: float
) -> None:
    random = Random(seed)
    X = (scale * random.normal(size=(n, d)) ** 3 + far).clip(-120, 120).astype(dtype)
    weights = random.pareto(0.7, n) * (random.random(n) < 0.9) if weighted else np.ones(n)
    weights[0] = 1.0

    points, point_weights = summarized(X, size, sample_weight=weights, random_state=seed)

    precision: Any = np.float32 if np.can_cast(X.dtype, np.float32) else np.float64
    assert points.shape == (len(point_weights), d)
    assert len(points) <= size
    assert (point_weights >= 0).all()
    assert point_weights.sum() == pytest.approx(weights.sum(), rel=1e-12)
    wide = X.astype(np.float64)
    np.testing.assert_allclose(
        point_weights @ points.astype(np.float64) / weights.sum(),
        weights @ wide / weights.sum(),
        atol=20 * float(np.finfo(precision).eps) * max(float(np.abs(wide).max()), 1e-300),
    )
    if n > size:
        assert points.dtype == precision


def test_the_rows_that_count_are_in_the_precision_of_a_session_where_they_fit() -> None:
    X, weights = np.arange(6, dtype=np.float16)[:, None], np.array([0.0, 1, 2, 0, 3, 0])

    points, point_weights = summarized(X, 3, sample_weight=weights)

    assert points.dtype == np.float32
    assert points[:, 0].tolist() == [1.0, 2.0, 4.0]
    assert point_weights.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("d", "k"), [(1, 5), (3, 20), (16, 20), (64, 10)])
def test_summarized_points_estimate_the_inertia_of_any_centroids_without_bias(d: int, k: int) -> None:
    X = blobs(20_000, d, k, 0)
    random = Random(1)
    sets = [X[random.integers(0, len(X), k)] for _ in range(4)]
    sets.append(KMeans(k, n_init=1, random_state=0).fit(X).cluster_centers_)

    exact = np.array([cost(X, np.ones(len(X)), each) for each in sets])
    found = []
    for seed in range(10):
        points, weights = summarized(X, 1000, random_state=seed)
        found.append([cost(points, weights, each) for each in sets])

    ratios = np.array(found) / exact - 1
    assert np.abs(ratios).max() < 0.1
    assert np.abs(ratios.mean(axis=0)).max() < 0.03


@pytest.mark.parametrize(("d", "k"), [(2, 8), (8, 20), (32, 10)])
def test_a_fit_to_summarized_points_is_nearly_as_good_as_one_to_the_rows(d: int, k: int) -> None:
    X = blobs(50_000, d, k, 2)
    best = KMeans(k, n_init=10, random_state=0).fit(X).inertia_

    points, weights = summarized(X, 50 * k, random_state=0)
    fitted = KMeans(k, n_init=10, random_state=0).fit(points, sample_weight=weights).cluster_centers_

    assert cost(X, np.ones(len(X)), fitted) / best < 1.05


def test_a_small_cluster_far_away_is_kept() -> None:
    X = np.concatenate([blobs(100_000, 4, 5, 0), 500 + blobs(20, 4, 1, 1)])

    for seed in range(20):
        points, weights = summarized(X, 200, random_state=seed)
        assert weights[points[:, 0] > 300].sum() == pytest.approx(20, rel=0.3)


def test_no_more_rows_than_the_size_are_returned_as_they_are() -> None:
    X = np.arange(20, dtype=np.int16).reshape(10, 2)

    points, weights = summarized(X, 10)
    some, some_weights = summarized(X, 5, sample_weight=[0, 2.5, 0, 0, 1, 0, 0, 0, 3, 0])

    np.testing.assert_array_equal(points, X)
    assert points.dtype == np.int16
    np.testing.assert_array_equal(weights, np.ones(10))
    np.testing.assert_array_equal(some, X[[1, 4, 8]])
    np.testing.assert_array_equal(some_weights, [2.5, 1, 3])


def test_a_summary_can_be_summarized_again() -> None:
    X, time = blobs(5000, 3, 5, 0), datetime.now(UTC)

    first = shoal.summarize(X, 1000, random_state=0)
    second = shoal.summarize(replace(first, event_time=time), 200, random_state=0)
    points, weights = summarized(first.points, 200, sample_weight=first.sample_weight, random_state=0)

    np.testing.assert_array_equal(np.asarray(second.points), points)
    np.testing.assert_array_equal(np.asarray(second.sample_weight), weights)
    assert weights.sum() == pytest.approx(5000)
    assert second.event_time == time
    assert shoal.summarize(second, 200).event_time == time


def test_rows_that_all_weigh_one_are_summarized_alike_whether_that_is_said_or_not() -> None:
    X = blobs(5000, 3, 5, 0)

    silent, said = (summarized(X, 100, random_state=0, **given) for given in ({}, {"sample_weight": np.ones(5000)}))

    np.testing.assert_array_equal(silent[0], said[0])
    np.testing.assert_array_equal(silent[1], said[1])


def test_summarizing_takes_a_few_bytes_a_row_besides_the_rows() -> None:
    X = np.random.default_rng(0).normal(size=(2_000_000, 4)).astype(np.float32)

    tracemalloc.start()
    try:
        summarized(X, 2000, random_state=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * len(X) + 32 * 2**20


def test_a_random_state_makes_the_points_repeatable() -> None:
    X = blobs(5000, 3, 5, 0)

    one, same, other = (summarized(X, 100, random_state=seed) for seed in (1, 1, 2))

    assert one[0].tobytes() == same[0].tobytes()
    assert one[1].tobytes() == same[1].tobytes()
    assert one[0].tobytes() != other[0].tobytes()
    assert not np.array_equal(summarized(X, 100)[0], summarized(X, 100)[0])


@pytest.mark.parametrize("value", [0.0, 3.5, -1e300, 1e-310])
def test_equal_rows_are_summarized(value: float) -> None:
    points, weights = summarized(np.full((1000, 2), value), 7, random_state=0)

    assert weights.sum() == pytest.approx(1000)
    np.testing.assert_allclose(points, value, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_rows_of_every_scale_are_summarized(scale: float) -> None:
    X = blobs(3000, 3, 4, 0).astype(np.float64)

    points, weights = summarized(X * scale, 100, random_state=0)
    expected, expected_weights = summarized(X, 100, random_state=0)

    np.testing.assert_allclose(points, expected * scale, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-50, 1e50])
def test_weights_of_every_scale_are_taken(scale: float) -> None:
    X = blobs(3000, 3, 4, 0)

    _, weights = summarized(X, 100, sample_weight=np.full(3000, scale), random_state=0)

    assert weights.sum() == pytest.approx(3000 * scale)


def test_tight_clusters_far_apart_keep_their_scatter() -> None:
    X = np.concatenate([blobs(20_000, 2, 1, 0), 1e5 + blobs(20_000, 2, 1, 1)])

    points, weights = summarized(X, 400, random_state=0)

    centres = np.array([X[:20_000].mean(axis=0, dtype=np.float64), X[20_000:].mean(axis=0, dtype=np.float64)])
    assert cost(points, weights, centres) == pytest.approx(cost(X, np.ones(len(X)), centres), rel=0.05)


def test_columns_and_rows_laid_out_otherwise_give_the_same_points() -> None:
    X = blobs(3000, 3, 4, 0)

    expected, _ = summarized(X, 100, random_state=0)

    for same in (np.asfortranarray(X), np.concatenate([X, X], axis=1)[:, :3], X.astype(">f4"), X.tolist()):
        points, _ = summarized(same, 100, random_state=0)
        np.testing.assert_allclose(points, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "reason", "message"),
    [
        ({"X": [1.0, 2.0]}, "SHAPE_INVALID", "use .reshape"),
        ({"X": np.empty((0, 3))}, "SHAPE_INVALID", r"shape \(0, 3\); give one row and column or more"),
        ({"X": np.empty((3, 0))}, "SHAPE_INVALID", r"shape \(3, 0\)"),
        ({"X": [["a"]]}, "DTYPE_UNKNOWN", "^X has dtype"),
        ({"X": shoal.Batch([1.0, 2.0])}, "SHAPE_INVALID", r"^X has shape \(2,\)"),
        ({"X": shoal.Batch([[1.0]]), "sample_weight": [1.0]}, "BATCH_INVALID", "give its sample_weight"),
        ({"random_state": True}, "RANDOM_STATE_INVALID", "give a whole number"),
        ({"X": [[1.0, 2.0], [3.0, math.nan]]}, "NOT_FINITE", r"^X\[1, 1\] is nan; leave such rows out"),
        ({"X": [[1.0, 2.0], [-math.inf, 0.0]]}, "NOT_FINITE", r"^X\[1, 0\] is -inf"),
        ({"size": 0}, "SIZE_INVALID", "size is 0; use at least 1"),
        ({"size": 2.5}, "SIZE_INVALID", "size is 2.5; give a whole number"),
        ({"sample_weight": [1.0]}, "SHAPE_INVALID", r"one number a point is shape \(3,\)"),
        ({"sample_weight": [1.0, -1.0, 0.0]}, "SAMPLE_WEIGHT_INVALID", r"sample_weight\[1\] is -1.0"),
        ({"sample_weight": [1.0, 1.0, math.nan]}, "SAMPLE_WEIGHT_INVALID", r"sample_weight\[2\] is nan"),
        ({"sample_weight": [1.0, 1e51, 1.0]}, "SAMPLE_WEIGHT_INVALID", r"from 0 to 1e\+50"),
        ({"sample_weight": [0.0, 0.0, 0.0]}, "SAMPLE_WEIGHT_INVALID", "0 throughout; some row has to count"),
        ({"random_state": -1}, "RANDOM_STATE_INVALID", "random_state is -1; use at least 0"),
    ],
)
def test_invalid_arguments_are_named(arguments: dict[str, Any], reason: str, message: str) -> None:
    valid: dict[str, Any] = {"X": [[1.0], [2.0], [3.0]], "size": 2}

    with pytest.raises(shoal.InvalidArgumentError, match=message) as caught:
        shoal.summarize(**{**valid, **arguments})

    assert caught.value.reason == reason


def test_a_nan_among_many_rows_is_found() -> None:
    X = np.zeros((600_000, 2))
    X[599_999, 1] = math.nan

    with pytest.raises(shoal.InvalidArgumentError, match=r"^X\[599999, 1\] is nan"):
        shoal.summarize(X, 10)
