"""The inertia of centroids on all rows of a stream, estimated from its summary."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.datasets import load_digits, load_sample_image

from shoal_server.clustering.buckets import WeightedPoints
from shoal_server.clustering.config import HalfLife
from shoal_server.engines.contract import Halted, Task
from tests.clustering.analysis_builders import (
    as_rows,
    estimate_of,
    inertia,
    reclustered,
    rows_of,
    spread_blobs,
    streamed,
)

Array = NDArray[Any]


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 4), st.booleans())
def test_estimate_is_exact_where_all_rows_were_kept(seed: int, k: int, d: int, fitted: bool) -> None:
    random = np.random.default_rng(seed)
    points, centroids = random.normal(size=(30, d)), random.normal(size=(k, d))

    estimate = estimate_of(as_rows(points), centroids, fitted=fitted)

    assert estimate.inertia == pytest.approx(inertia(points, centroids), rel=1e-9)
    assert estimate.standard_error == 0


@given(st.integers(0, 10_000), st.floats(0.05, 3), st.floats(0, 4))
def test_rows_that_scatter_across_a_border_cost_what_the_normal_distribution_says(
    seed: int, deviation: float, off: float
) -> None:
    """Of two centroids 2·u apart: E min(d1², d2²) = d1² - τφ(δ/τ) - δΦ(δ/τ), see the text of issue: δ = d1² - d2²."""
    d, m, weight = 3, 4000, 50.0
    centroids = np.zeros((2, d))
    centroids[1, 0] = 2.0
    point = np.array([1.0 - min(off, 1.5) * deviation, 0.3, -0.2])
    rows = as_rows(np.tile(point, (m, 1)), np.full(m, weight), scatter=np.full(m, weight * d * deviation**2))

    estimate = estimate_of(rows, centroids, seed=seed)

    first, second = ((point - centroids) ** 2).sum(axis=1)
    first, second = sorted([first, second])
    delta, tau = first - second, 2 * deviation * 2.0
    density = math.exp(-((delta / tau) ** 2) / 2) / math.sqrt(2 * math.pi)
    nearer = tau * density + delta * (1 + math.erf(delta / tau / math.sqrt(2))) / 2
    expected = m * weight * (first + d * deviation**2 - nearer)
    assert estimate.inertia == pytest.approx(expected, rel=0.02)
    assert estimate.standard_error >= 0.25 * 0.8 * m * weight * nearer


@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0.1, 10))
def test_fitted_centroids_are_measured_against_each_cluster_without_the_point(
    seed: int, k: int, row_weight: float
) -> None:
    random = np.random.default_rng(seed)
    points, centroids = random.normal(size=(25, 2)), random.normal(size=(k, 2))
    weights = random.uniform(0.5, 20, size=25)
    rows = as_rows(points, weights)._replace(row_weights=np.full(25, row_weight))

    fitted = estimate_of(rows, centroids, fitted=True).inertia - estimate_of(rows, centroids).inertia

    squares = ((points[:, None] - centroids) ** 2).sum(axis=2)
    labels = squares.argmin(axis=1)
    expected = 0.0
    for point, weight in enumerate(weights):
        share = max(1 - row_weight / weight, 0)
        cluster = weights[labels == labels[point]].sum()
        nearest, *others = sorted(squares[point])
        others_left = cluster - weight * share
        without = nearest * (cluster / others_left) ** 2
        expected += weight * share * max(min(without, *others[:1]) - nearest if others else without - nearest, 0)
    assert fitted == pytest.approx(expected, rel=1e-6, abs=1e-9)


def grey_patches() -> Array:
    image = load_sample_image("china.jpg").astype(np.float32).mean(axis=2)
    patches = np.lib.stride_tricks.sliding_window_view(image, (4, 4))[::3, ::3].reshape(-1, 16)
    return np.ascontiguousarray(np.random.default_rng(0).permutation(patches))


def wide_column() -> Array:
    return np.random.default_rng(0).normal(size=(60_000, 12), scale=[100.0] + [1.0] * 11).astype(np.float32)


STREAMS: dict[str, Any] = {
    "pixels d=3": lambda: load_sample_image("china.jpg")[::2].reshape(-1, 3).astype(np.float32),
    "grey patches d=16": grey_patches,
    "blobs d=128": lambda: spread_blobs(0, 40, 128, 20_000, 5.0),
    "blobs d=8": lambda: spread_blobs(1, 30, 8, 40_000, 6.0),
    "a wide column d=12": wide_column,
    "digits d=64": lambda: load_digits().data.astype(np.float32),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_estimate_is_within_5_percent_for_random_seeded_and_fitted_centroids(stream: str) -> None:
    points = STREAMS[stream]()
    rows = rows_of(streamed(points, 30, batch_rows=2048, summary_size=900 if "digits" in stream else None))
    random = np.random.default_rng(1)
    some = points[random.choice(len(points), min(len(points), 5000), replace=False)].astype(np.float64)
    sets = {
        "random": some[random.choice(len(some), 30, replace=False)],
        "seeded": kmeans_plusplus(some, 30, random_state=1)[0],
        "fitted elsewhere": KMeans(30, n_init=1, random_state=0, max_iter=30).fit(some).cluster_centers_,
    }

    wrong = {
        name: estimate_of(rows, each - rows.frame.origin).inertia / inertia(points, each) - 1
        for name, each in sets.items()
    }
    (fitted,), _ = reclustered(rows, [30])
    wrong["fitted"] = fitted.estimated_inertia / inertia(points, fitted.centroids) - 1

    assert {name: error for name, error in wrong.items() if abs(error) > 0.05} == {}


@pytest.mark.parametrize("half_life", [None, 1_000, 4_000])
def test_standard_error_covers_most_errors_of_draws(half_life: int | None) -> None:
    """A normal error is within two standard errors in 95 of 100 cases."""
    n, batch_rows = (60_000, 8192) if half_life is None else (20_000, 100)
    points = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    centroids = np.random.default_rng(1).normal(size=(12, 3))
    ages = np.arange(n)[::-1] // batch_rows * batch_rows
    true = inertia(points, centroids, None if half_life is None else 0.5 ** (ages / half_life))
    config: Any = (
        {} if half_life is None else {"half_life": HalfLife(half_life, "points"), "update_rule": "incremental"}
    )

    within = 0
    for seed in range(20):
        rows = rows_of(streamed(points, 6, batch_rows=batch_rows, random_state=seed, summary_size=600, **config))
        estimate = estimate_of(rows, centroids - rows.frame.origin)
        within += abs(estimate.inertia - true) <= 2 * estimate.standard_error
        assert estimate.standard_error < 0.1 * true

    assert within >= 17


@pytest.mark.parametrize("half_life", [1_000, 3_000])
def test_fitted_centroids_are_estimated_almost_as_well_where_rows_are_forgotten(half_life: int) -> None:
    n, batch_rows, k = 20_000, 100, 50
    points = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    weights = 0.5 ** (np.arange(n)[::-1] // batch_rows * batch_rows / half_life)
    config: Any = {"half_life": HalfLife(half_life, "points"), "update_rule": "incremental", "summary_size": 1000}
    rows = rows_of(streamed(points, 6, batch_rows=batch_rows, **config))

    (fitted,), _ = reclustered(rows, [k])

    true = inertia(points, fitted.centroids, weights)
    assert abs(fitted.estimated_inertia - true) < 5 * fitted.standard_error


def test_points_of_a_summary_stand_for_rows_that_weigh_what_is_left_of_them() -> None:
    points = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)

    rows = rows_of(streamed(points, 6, batch_rows=100, summary_size=600, half_life=HalfLife(2_000, "points")))

    # Each point is of one row at least, and the newest block has up to half as much weight as all rows before it.
    assert len(rows.row_weights) == len(rows.points.weights)
    assert 0 < rows.row_weights.min() < 0.4
    assert 0.7 < rows.row_weights.max() <= 1


def test_estimate_is_the_same_in_any_pieces_and_for_the_same_seed() -> None:
    rows = rows_of(streamed(spread_blobs(0, 5, 20, 12_000, 4.0), 5, summary_size=500))
    centroids = np.random.default_rng(0).normal(size=(9, 20))

    def piece_by_piece(task: Task, count: int) -> None:
        for index in range(count):
            pieces: Iterable[None] = task(index) or ()
            for _ in pieces:
                estimate_of(rows, centroids[:2], seed=5)  # another between two pieces

    one, other = estimate_of(rows, centroids), estimate_of(rows, centroids, run=piece_by_piece)

    assert one == other
    assert one != estimate_of(rows, centroids, seed=1)


def test_estimate_stops_between_two_pieces() -> None:
    rows = rows_of(streamed(spread_blobs(0, 5, 20, 12_000, 4.0), 5, summary_size=500))

    def halted(task: Task, count: int) -> None:
        for index in range(count):
            for _ in task(index) or ():
                raise Halted

    with pytest.raises(Halted):
        estimate_of(rows, np.zeros((3, 20)), run=halted)


@pytest.mark.parametrize("scale", [1e-90, 1.0, 1e90])
@pytest.mark.parametrize("unit", [1e-100, 1.0, 1e100])
def test_extreme_values_and_weights_are_estimated_alike(scale: float, unit: float) -> None:
    random = np.random.default_rng(0)
    points, weights = random.normal(size=(60, 3)), random.uniform(1, 9, size=60)
    scatter = random.uniform(0, 9, size=60)
    centroids = random.normal(size=(4, 3))
    plain = estimate_of(as_rows(points, weights, scatter=scatter), centroids, fitted=True)
    extreme = as_rows(points * scale, weights * unit, scatter=scatter * unit * scale**2)

    found = estimate_of(extreme._replace(row_weights=np.full(60, unit)), centroids * scale, fitted=True)

    factor = unit * scale**2
    assert found.inertia / factor == pytest.approx(plain.inertia, rel=1e-6)
    assert found.standard_error / factor == pytest.approx(plain.standard_error, rel=1e-6)


def test_equal_points_cost_nothing() -> None:
    stands_for = WeightedPoints(np.ones((5, 2)), np.full(5, 3.0), np.zeros(5))

    estimate = estimate_of(as_rows(np.ones((5, 2)))._replace(points=stands_for), np.ones((2, 2)), fitted=True)

    assert estimate == (0.0, 0.0)
