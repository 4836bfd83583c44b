"""A summary estimates the inertia of any centres, with weights, forgetting and directions."""

from __future__ import annotations

import numpy as np
import pytest

from shoal_server.engines.contract import to_sphere
from tests.clustering.summary_builders import (
    blobs,
    centre_sets,
    cost,
    errors,
    estimated,
    summarised,
    weighted_points,
)

Random = np.random.default_rng


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


def test_rows_far_from_their_cluster_are_kept_more_often() -> None:
    random = Random(0)
    points = random.normal(size=(50_000, 2)).astype(np.float32)
    far = random.random(50_000) < 0.01
    points[far] *= 30

    weighted = weighted_points(summarised(points, np.zeros((1, 2), np.float32), size=400), 0.0)

    kept_far = np.abs(weighted.points).max(axis=1) > 10
    assert kept_far.mean() > 0.05
    np.testing.assert_allclose(weighted.weights[kept_far].sum(), 0.8 * far.sum(), rtol=0.3)
