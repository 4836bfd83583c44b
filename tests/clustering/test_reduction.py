"""Points that become fewer: what stays exact, however many columns they have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.buckets import Bucket, bucket_of
from shoal_server.clustering.reduction import MAX_PAIR_FEATURES, reduced_bucket
from shoal_server.engines.contract import Halted, RunTasks, Task, run_in_order
from tests.clustering.summary_builders import kernels_of

CLUSTERS = 5


def weighted_bucket(d: int, n: int = 400, *, dtype: Any = np.float32, scale: float = 1.0) -> tuple[Bucket, Any]:
    """Return a bucket of points around some centroids, and these."""
    random = np.random.default_rng(d)
    centroids = (scale * random.normal(size=(CLUSTERS, d))).astype(dtype)
    points = centroids[random.integers(0, CLUSTERS, n)] + scale * random.normal(size=(n, d)).astype(dtype)
    return bucket_of(points, random.pareto(1.5, n) + 0.1, random.exponential(size=n), 0.0, float(n)), centroids


def halved(bucket: Bucket, centroids: Any, *, size: int | None = None, run: RunTasks = run_in_order) -> Bucket:
    kernels = kernels_of(centroids.dtype)
    size = size or len(bucket.weights) // 2
    return reduced_bucket(bucket, size, centroids, 3, kernels, run, MAX_PAIR_FEATURES)


def squares(bucket: Bucket) -> float:
    wide = bucket.points.astype(np.float64)
    return float(bucket.weights @ (wide**2).sum(axis=1) + bucket.scatter.sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 3, 128, 129, 130, 192, 300, 1536])
def test_weight_mean_and_sum_of_squares_stay_exact(d: int, dtype: Any) -> None:
    bucket, centroids = weighted_bucket(d, dtype=dtype)

    fewer = halved(bucket, centroids)

    rounding = 1e-5 if dtype == np.float32 else 1e-10
    assert len(bucket.weights) / 3 < len(fewer.weights) <= len(bucket.weights) / 2
    assert fewer.points.dtype == dtype
    assert fewer.weight == pytest.approx(bucket.weight, rel=1e-12)
    assert (fewer.rows, fewer.age) == (bucket.rows, bucket.age)
    total = bucket.weights @ bucket.points.astype(np.float64)
    np.testing.assert_allclose(fewer.weights @ fewer.points, total, atol=rounding * bucket.weight)
    assert squares(fewer) == pytest.approx(squares(bucket), rel=10 * rounding)


@pytest.mark.parametrize("d", [64, 256, 1000])
def test_near_points_become_one_in_any_number_of_columns(d: int) -> None:
    random = np.random.default_rng(0)
    middles = random.normal(size=(100, d)).astype(np.float32)
    points = np.repeat(middles, 4, axis=0) + 1e-3 * random.normal(size=(400, d)).astype(np.float32)
    bucket = bucket_of(points, np.ones(400), np.zeros(400), 0.0, 400.0)

    fewer = halved(bucket, middles[:1], size=130)

    distances = np.sqrt(((fewer.points[:, None] - middles[None]) ** 2).sum(axis=2)).min(axis=1)
    assert np.median(distances) < 1e-3 * np.sqrt(d)
    assert fewer.scatter.sum() < 0.05 * 400 * d


@pytest.mark.parametrize("scale", [1e-18, 1e15])
def test_points_of_every_scale_can_be_halved(scale: float) -> None:
    bucket, centroids = weighted_bucket(300, scale=scale)

    fewer = halved(bucket, centroids)

    assert np.isfinite(fewer.points).all()
    assert np.isfinite(fewer.scatter).all()
    assert fewer.weight == pytest.approx(bucket.weight, rel=1e-12)


def test_equal_points_of_many_columns_become_one() -> None:
    bucket = bucket_of(np.full((100, 500), 0.1, np.float32), np.ones(100), np.zeros(100), 0.0, 100.0)

    fewer = halved(bucket, bucket.points[:1])

    np.testing.assert_allclose(fewer.points, bucket.points[:1], rtol=1e-6)
    np.testing.assert_allclose(fewer.weights, [100.0])


def test_many_columns_are_halved_in_pieces_and_halted_between_them() -> None:
    bucket, centroids = weighted_bucket(1536, 3000)
    pieces = 0

    def counting(task: Task, count: int) -> None:
        nonlocal pieces
        for index in range(count):
            for _ in task(index) or ():
                pieces += 1

    def halting(task: Task, count: int) -> None:
        for index in range(count):
            for _ in task(index) or ():
                raise Halted

    halved(bucket, centroids, run=counting)
    assert pieces >= 4
    with pytest.raises(Halted):
        halved(bucket, centroids, run=halting)
