"""Inertia, and the offline fits that the quality suite compares with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from benchmarks.datasets import Float32Array
from benchmarks.one_pass import offline, streams
from benchmarks.one_pass.cached import cached
from benchmarks.one_pass.cases import Case, all_cases
from benchmarks.one_pass.offline import Float64Array, inertia, offline_fit


def tiny_blobs(seed: int) -> Float32Array:
    return streams.blobs(seed, 4, 3, 400, 20.0)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 4), st.sampled_from([0.0, 1e4]), st.booleans())
def test_inertia_is_the_weighted_sum_of_squared_distances_to_the_nearest_centroids(
    n: int, k: int, d: int, origin: float, weighted: bool
) -> None:
    random = np.random.default_rng([n, k, d])
    points = (random.normal(size=(n, d)) + origin).astype(np.float32)
    centroids = random.normal(size=(k, d)) + origin
    weights = random.random(n) if weighted else np.ones(n)

    expected = sum(
        weight * min(((point - centroid) ** 2).sum() for centroid in centroids)
        for weight, point in zip(weights, points.astype(np.float64), strict=True)
    )

    assert inertia(points, centroids, weights=weights if weighted else None) == pytest.approx(expected, rel=1e-9)


def test_inertia_is_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    points, centroids = tiny_blobs(0), tiny_blobs(1)[:5].astype(np.float64)
    weights = np.random.default_rng(0).random(len(points))
    whole = inertia(points, centroids, weights=weights)

    monkeypatch.setattr(offline, "_CHUNK_ENTRIES", 35)

    assert inertia(points, centroids, weights=weights) == pytest.approx(whole, rel=1e-12)


def test_with_cosine_the_length_of_a_centroid_does_not_count() -> None:
    points = streams.directions(0)[:50]
    centroids = points[:3].astype(np.float64)

    assert inertia(points, 7 * centroids, metric="cosine") == pytest.approx(inertia(points, centroids))


def test_an_offline_fit_of_separate_blobs_is_that_of_their_means(tmp_path: Path) -> None:
    points, centres = streams.blobs_and_centres(3, 4, 3, 400, 50.0)
    labels = ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    means = np.array([points[labels == label].mean(axis=0, dtype=np.float64) for label in range(4)])

    fit = offline_fit(points, 4, folder=tmp_path)

    assert fit.inertia == pytest.approx(inertia(points, means), rel=1e-9)
    assert fit.starts == 10


def test_an_offline_fit_counts_weights(tmp_path: Path) -> None:
    points = np.array([[0.0], [1.0], [10.0]], np.float32)

    fit = offline_fit(points, 2, weights=np.array([3.0, 1.0, 1.0]), folder=tmp_path)

    assert fit.inertia == pytest.approx(0.75)  # the mean of 0, 0, 0 and 1 is a quarter


def test_an_offline_fit_with_cosine_is_no_worse_than_the_directions_of_means(tmp_path: Path) -> None:
    points = streams.directions(0)[:2000]
    means = KMeans(40, n_init=3, random_state=0).fit(points).cluster_centers_

    fit = offline_fit(points, 40, metric="cosine", folder=tmp_path)

    assert fit.inertia <= inertia(points, means, metric="cosine")


def test_an_offline_fit_is_read_from_its_file_the_next_time(tmp_path: Path) -> None:
    points = tiny_blobs(0)
    offline_fit(points, 4, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps({"inertia": 12.5, "starts": 3}))

    assert offline_fit(points, 4, folder=tmp_path) == offline.OfflineFit(12.5, 3)


def test_other_rows_weights_metrics_and_numbers_of_clusters_have_offline_fits_of_their_own(tmp_path: Path) -> None:
    points = offline.unit(tiny_blobs(0)).astype(np.float32)
    weights = np.ones(len(points))

    offline_fit(points, 4, folder=tmp_path)
    offline_fit(points, 3, folder=tmp_path)
    offline_fit(points[1:], 4, folder=tmp_path)
    offline_fit(points, 4, metric="cosine", folder=tmp_path)
    offline_fit(points, 4, weights=weights, folder=tmp_path)
    offline_fit(points, 4, weights=2 * weights, folder=tmp_path)

    assert len(list(tmp_path.iterdir())) == 6


def test_an_offline_fit_of_more_work_has_fewer_starts_and_never_less_than_two() -> None:
    assert [offline.starts_for((n, 100), 100) for n in (1_000, 24_000, 10**6)] == [10, 5, 2]


def test_centroids_of_another_library_are_read_from_their_file_the_next_time(tmp_path: Path) -> None:
    asked: list[int] = []

    def contestant(_: Case, points: Float32Array, stops: list[int], seed: int) -> list[Float64Array]:
        asked.append(seed)
        return [points[:2].astype(np.float64) + stop for stop in stops]

    case, points = all_cases()[0], np.ones((30, 3), np.float32)
    remembered = cached(contestant, ["it"], ["numpy"], tmp_path)

    found = [remembered(case, points, [10, 30], seed) for seed in (0, 0, 1)]
    cached(contestant, ["another"], ["numpy"], tmp_path)(case, points, [10, 30], 0)
    remembered(case, 2 * points, [10, 30], 0)

    assert asked == [0, 1, 0, 0]
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[0], np.full((2, 2, 3), 1.0) + np.array([10, 30])[:, None, None])
