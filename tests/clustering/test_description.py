"""What clusters are like, by the summary of a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal_server.clustering.description import ClusterDescriptions, describe_clusters
from shoal_server.clustering.summarised import SummarisedRows
from shoal_server.engines.contract import Frame, Halted, Task, run_in_order, to_sphere
from tests.clustering.analysis_builders import as_rows, rows_of, spread_blobs, streamed
from tests.clustering.builders import snapshot
from tests.warm import warm_engine

Array = NDArray[Any]


def described(rows: SummarisedRows, n_typical: int = 3) -> ClusterDescriptions:
    return describe_clusters(rows, n_typical, warm_engine().search, run_in_order)


def around(rows: SummarisedRows, centroids: Array, origin: Array | None = None) -> SummarisedRows:
    """Return rows of a model with these centroids, in coordinates relative to an origin."""
    k, d = centroids.shape
    frame = Frame(centroids, np.zeros(d) if origin is None else origin, np.ones(k), cosine=False)
    return rows._replace(frame=frame)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 4))
def test_descriptions_are_what_a_plain_sum_over_the_rows_says(seed: int, k: int, d: int) -> None:
    random = np.random.default_rng(seed)
    points, weights = random.normal(size=(40, d)), random.uniform(0.1, 5, size=40)
    centroids, origin = random.normal(size=(k, d)), random.normal(size=d)

    found = described(around(as_rows(points, weights), centroids, origin), 2)

    squares = ((points[:, None] - centroids) ** 2).sum(axis=2)
    labels = squares.argmin(axis=1)
    typical = 0
    for label in range(k):
        own = labels == label
        assert found.counts[label] == own.sum()
        assert found.weights[label] == pytest.approx(weights[own].sum())
        nearest = [row for row in np.argsort(squares[:, label], kind="stable") if own[row]][:2]
        here = found.typical_labels == label
        np.testing.assert_allclose(found.typical_points[here], points[nearest].reshape(-1, d) + origin)
        typical += len(nearest)
        if not own.any():
            np.testing.assert_allclose(found.means[label], centroids[label] + origin)
            assert (found.radii[label], found.variances[label].tolist()) == (0, [0.0] * d)
            continue
        mean = np.average(points[own], axis=0, weights=weights[own])
        variance = np.average((points[own] - mean) ** 2, axis=0, weights=weights[own])
        np.testing.assert_allclose(found.means[label], mean + origin, atol=1e-9)
        np.testing.assert_allclose(found.variances[label], variance, atol=1e-9)
        radius = np.sqrt(np.average(squares[own, label], weights=weights[own]))
        assert found.radii[label] == pytest.approx(radius)
    assert len(found.typical_labels) == typical
    apart = np.linalg.norm(centroids[:, None] - centroids, axis=2) + np.diag(np.full(k, np.inf))
    np.testing.assert_allclose(found.nearest_distances, apart.min(axis=1))
    if k > 1:
        np.testing.assert_array_equal(found.nearest, apart.argmin(axis=1))
    else:
        assert found.nearest.tolist() == [-1]


def test_scatter_within_points_is_shared_among_columns_as_their_deviation_is() -> None:
    points = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])

    found = described(around(as_rows(points, scatter=np.full(4, 5.0)), np.zeros((1, 2))), 0)

    np.testing.assert_allclose(found.variances, [[0.5 + 5 / 3, 2.0 + 10 / 3]])
    assert found.radii[0] == pytest.approx(np.sqrt(2.5 + 5))
    assert found.typical_points.shape == (0, 2)


def test_scatter_within_a_single_point_is_shared_evenly() -> None:
    found = described(around(as_rows(np.zeros((1, 4)), scatter=np.full(1, 8.0)), np.zeros((1, 4))))

    np.testing.assert_allclose(found.variances, [[2.0] * 4])


@pytest.mark.parametrize("d", [3, 24])
def test_a_long_stream_is_described_as_its_rows_are(d: int) -> None:
    points = spread_blobs(1, 6, d, 30_000, 9.0)
    points[:, 0] *= 1.5
    model = streamed(points, 6)
    centroids = snapshot(model).centroids

    found = described(rows_of(model))

    labels = ((points[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
    for label in range(6):
        own = points[labels == label].astype(np.float64)
        assert found.weights[label] == pytest.approx(len(own), rel=0.02)
        np.testing.assert_allclose(found.means[label], own.mean(axis=0), atol=0.1)
        np.testing.assert_allclose(found.variances[label], own.var(axis=0), rtol=0.25)
        total = ((own - centroids[label]) ** 2).sum() / len(own)
        assert found.radii[label] == pytest.approx(np.sqrt(total), rel=0.03)
    assert found.weights.sum() == pytest.approx(30_000)


def test_typical_points_are_rows_where_the_summary_has_all_of_them() -> None:
    points = spread_blobs(0, 4, 3, 900, 8.0)

    found = described(rows_of(streamed(points, 4)), 5)

    rows = {tuple(row) for row in points.round(3).tolist()}
    assert len(found.typical_points) == 20
    assert {tuple(row) for row in found.typical_points.astype(np.float32).round(3).tolist()} <= rows


def test_directions_are_described_as_the_server_sees_them() -> None:
    points = spread_blobs(0, 5, 4, 4000, 8.0)
    model = streamed(points, 5, metric="cosine")

    found = described(rows_of(model), 1)

    centroids = snapshot(model).centroids
    labels = (to_sphere(points.astype(np.float64)) @ centroids.T).argmax(axis=1)
    np.testing.assert_allclose(found.weights, np.bincount(labels, minlength=5), rtol=0.02, atol=20)
    lengths = np.linalg.norm(found.typical_points, axis=1)
    assert (lengths < 1 + 1e-6).all()
    assert (lengths > 0.9).all()


def test_equal_centroids_are_each_others_nearest() -> None:
    found = described(around(as_rows(np.ones((3, 2))), np.ones((2, 2))))

    assert sorted(found.nearest.tolist()) == [0, 1]
    assert found.nearest_distances.tolist() == [0, 0]
    assert found.weights.sum() == 3


def test_describing_stops_between_two_pieces() -> None:
    def halted(task: Task, count: int) -> None:
        for index in range(count):
            for _ in task(index) or ():
                raise Halted

    with pytest.raises(Halted):
        describe_clusters(rows_of(streamed(spread_blobs(0, 4, 3, 900, 8.0), 4)), 1, warm_engine().search, halted)
