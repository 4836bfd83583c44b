"""The silhouette of weighted points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import silhouette_samples, silhouette_score

from shoal_server.clustering.buckets import WeightedPoints
from shoal_server.clustering.search import run_steps
from shoal_server.clustering.silhouette import (
    SAMPLE_SIZE,
    Silhouette,
    drawn_rows,
    silhouette,
    silhouette_sample,
)
from shoal_server.engines.contract import run_in_order, to_sphere
from tests.clustering.analysis_builders import as_rows

Array = NDArray[Any]


def found(stands_for: WeightedPoints, labels: Array, *, cosine: bool = False) -> Silhouette | None:
    sample = run_steps(silhouette_sample(stands_for, cosine=cosine), run_in_order)
    return run_steps(silhouette(sample, labels[sample.rows].astype(np.int32)), run_in_order)


def naive(points: Array, weights: Array, spread: Array, labels: Array) -> float:
    """Return the weighted mean of (b - a) / max(a, b), written down as plainly as can be."""
    values = []
    for i, point in enumerate(points):
        means = {}
        for label in set(labels.tolist()):
            members = [j for j in range(len(points)) if labels[j] == label and j != i]
            if not members:
                continue
            far = [np.sqrt(((point - points[j]) ** 2).sum() + spread[i] + spread[j]) for j in members]
            means[label] = np.average(far, weights=weights[members])
        own = means.pop(labels[i], None)
        if own is None:
            values.append(0.0)
            continue
        nearest = min(means.values())
        values.append((nearest - own) / max(own, nearest) if max(own, nearest) > 0 else 0.0)
    return float(np.average(values, weights=weights))


@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([np.float32, np.float64]))
def test_silhouette_is_that_of_scikit_learn_where_all_points_weigh_the_same(seed: int, k: int, dtype: Any) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(size=(40, 3)).astype(dtype)
    labels = np.concatenate([np.arange(k), random.integers(k, size=40 - k)])

    result = found(as_rows(points).points, labels)

    assert result is not None
    assert result.mean == pytest.approx(silhouette_score(points, labels), abs=1e-5)


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_weights_and_scatter_count_as_a_plain_sum_says(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    points, weights = random.normal(size=(25, 2)), random.uniform(0.1, 9, size=25)
    scatter = random.uniform(0, 3, size=25) * weights
    labels = np.concatenate([np.arange(k), random.integers(k, size=25 - k)])

    result = found(WeightedPoints(points, weights, scatter), labels)

    assert result is not None
    assert result.mean == pytest.approx(naive(points, weights, scatter / weights, labels), abs=1e-5)


def test_silhouette_of_directions_has_the_cosine_distance() -> None:
    random = np.random.default_rng(0)
    points = to_sphere(random.normal(size=(50, 4)))
    labels = random.integers(3, size=50)

    result = found(as_rows(points).points, labels, cosine=True)

    assert result is not None
    assert result.mean == pytest.approx(silhouette_score(points, labels, metric="cosine"), abs=1e-5)


def test_one_cluster_has_no_silhouette() -> None:
    assert found(as_rows(np.eye(3)).points, np.zeros(3)) is None


def test_clusters_of_one_point_have_silhouette_0() -> None:
    result = found(as_rows(np.eye(3)).points, np.arange(3))

    assert result is not None
    assert result.mean == 0


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_silhouette_has_no_unit(scale: float) -> None:
    points = np.random.default_rng(0).normal(size=(30, 2))
    labels = (points[:, 0] > 0).astype(int)

    assert found(as_rows(points * scale).points, labels) == pytest.approx(
        found(as_rows(points).points, labels), abs=1e-6
    )


def test_equal_points_have_silhouette_0() -> None:
    result = found(as_rows(np.zeros((4, 2))).points, np.array([0, 0, 1, 1]))

    assert result == (0.0, 0.0)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=60), st.integers(1, 40))
def test_each_point_is_drawn_as_often_as_its_share_of_the_weight(values: list[float], size: int) -> None:
    weights = np.array(values)

    rows, times = drawn_rows(weights, size)

    if len(weights) <= size:
        np.testing.assert_array_equal(times, weights)
        return
    drawn = np.zeros(len(weights))
    drawn[rows] = times
    assert drawn.sum() == size
    assert (np.abs(drawn - size * weights / weights.sum()) < 1 + 1e-6).all()


def test_silhouette_of_many_points_is_that_of_a_sample() -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(9000, 2))
    points[::3] += 3
    weights = random.uniform(0.1, 9, size=9000)
    labels = (points.sum(axis=1) > 3).astype(int)
    several = np.repeat(np.arange(9000), np.maximum(weights.round().astype(int), 1))[::10]

    result = found(as_rows(points, weights).points, labels)

    assert result is not None
    whole = silhouette_samples(points[several], labels[several])
    assert result.standard_error == pytest.approx(whole.std() / np.sqrt(SAMPLE_SIZE), rel=0.2)
    assert abs(result.mean - whole.mean()) < 4 * result.standard_error
