"""A small cluster that lies apart gets a centroid, if next to nothing is lost by it; anything else doesn't."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.one_pass.streams import rare_blobs
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.model import new_model
from shoal_server.clustering.refinement import expected_work, refine
from shoal_server.clustering.search import run_steps
from shoal_server.clustering.small_clusters import MAX_LOSS, Move, find_small_cluster
from shoal_server.engines.contract import run_in_order
from tests.clustering.builders import half_life, snapshot
from tests.clustering.streaming import applied, cut
from tests.warm import warm_engine

D = 6
FAR = 6.3 * np.eye(1, D)[0]  # where a cluster of one row in a thousand is worth about as much as half of a large one
OTHER = 40.0 * np.eye(2, D)[1]


def blob(n: int, middle: Any, seed: int) -> NDArray[np.float64]:
    return np.asarray(middle) + np.random.default_rng(seed).normal(size=(n, D))


def stream(rare: int, where: Any = FAR) -> NDArray[np.float32]:
    """Return a blob with a rare cluster in some distance, and far away a blob of most rows."""
    parts = blob(1_000, np.zeros(D), 0), blob(19_000, OTHER, 1), blob(rare, where, 2)
    return np.concatenate(parts).astype(np.float32)


def halved(points: NDArray[np.float32]) -> Any:
    """Return labels and squares of the nearest two centroids: two in the first blob, and one in the other."""
    centroids = np.stack([-0.8 * np.eye(3, D)[2], 0.8 * np.eye(3, D)[2], OTHER])
    squares = ((points[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    order = np.argsort(squares, axis=1, kind="stable")[:, :2]
    return order.T.astype(np.int32), np.take_along_axis(squares, order, axis=1).T


def moved(points: NDArray[np.float32], weights: Any = None) -> Move | None:
    labels, squares = halved(points)
    weights = np.ones(len(points)) if weights is None else weights
    return run_steps(find_small_cluster(points, weights, labels, squares, 3), run_in_order)


def test_a_centroid_of_a_halved_blob_moves_to_a_small_cluster() -> None:
    found = moved(stream(20))

    assert found is not None
    assert found.label in {0, 1}
    assert np.linalg.norm(found.mean - FAR) < 1.5


@pytest.mark.parametrize(
    ("rare", "where"),
    [(0, FAR), (2, FAR), (3, 4 * FAR), (20, FAR / 3)],
    ids=["no cluster", "two outliers", "three that weigh too little", "a cluster that overlaps"],
)
def test_a_centroid_stays_for_anything_else(rare: int, where: Any) -> None:
    assert moved(stream(rare, where)) is None


def test_rows_of_weight_0_are_no_cluster() -> None:
    points = stream(20)

    assert moved(points, np.r_[np.ones(20_000), np.zeros(20)]) is None
    assert moved(points, np.zeros(len(points))) is None


def test_two_clusters_that_are_apart_are_not_joined_for_a_small_one() -> None:
    points = np.concatenate([blob(500, middle, 3) for middle in (np.zeros(D), 8 * np.eye(3, D)[2])])
    points = np.concatenate([points, blob(19_000, OTHER, 1), blob(20, FAR, 2)]).astype(np.float32)
    centroids = np.stack([np.zeros(D), 8 * np.eye(3, D)[2], OTHER])
    squares = ((points[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    order = np.argsort(squares, axis=1)[:, :2]

    steps = find_small_cluster(
        points, np.ones(len(points)), order.T.astype(np.int32), np.take_along_axis(squares, order, axis=1).T, 3
    )

    assert run_steps(steps, run_in_order) is None


def test_a_small_cluster_that_has_a_centroid_is_not_spared_for_another() -> None:
    second = -FAR + 20.0 * np.eye(5, D)[4]
    points = np.concatenate([stream(20), blob(20, second, 5)]).astype(np.float32)
    centroids = np.stack([-0.8 * np.eye(3, D)[2], 0.8 * np.eye(3, D)[2], OTHER, second])
    squares = ((points[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    order = np.argsort(squares, axis=1, kind="stable")[:, :2]
    steps = find_small_cluster(
        points, np.ones(len(points)), order.T.astype(np.int32), np.take_along_axis(squares, order, axis=1).T, 4
    )

    found = run_steps(steps, run_in_order)

    assert found is not None
    assert found.label in {0, 1}


@pytest.mark.parametrize("scale", [1.0, 1e90])
def test_a_refinement_loses_no_more_than_it_may_for_a_small_cluster(scale: float) -> None:
    middles = 40 * np.random.default_rng(4).normal(size=(19, D))
    small = middles[0] + FAR
    parts = [blob(1_000, middle, seed) for seed, middle in enumerate(middles)]
    points = scale * np.concatenate([*parts, blob(20, small, 30)])
    start = scale * np.concatenate([middles, middles[:1] + np.eye(3, D)[2]])

    found = refine(
        points, np.full(len(points), scale), start, depth="light", fresh=False, seed=(1,), cosine=False,
        kernels=warm_engine().search, run=run_in_order,
    )  # fmt: skip

    assert found.before is not None
    assert found.without_small_cluster is not None
    assert found.without_small_cluster < found.inertia <= (1 + MAX_LOSS) * found.without_small_cluster
    assert found.inertia <= (1 + MAX_LOSS) * found.before.inertia
    assert np.linalg.norm(found.centroids / scale - small, axis=1).min() < 1.0
    assert found.work <= expected_work(len(points), 20, D, "light", fresh=False)


def test_a_small_cluster_of_directions_gets_a_centroid_of_length_1() -> None:
    random = np.random.default_rng(0)
    axes = np.eye(8)
    small = axes[0] + 0.5 * axes[7]
    parts = [axis + 0.05 * random.normal(size=(1_000, 8)) for axis in axes[:7]]
    points = np.concatenate([*parts, small + 0.02 * random.normal(size=(20, 8))])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    start = np.concatenate([axes[:7], axes[:1] + 0.04 * axes[1:2]])
    start /= np.linalg.norm(start, axis=1, keepdims=True)

    found = refine(
        points, np.ones(len(points)), start, depth="light", fresh=False, seed=(1,), cosine=True,
        kernels=warm_engine().search, run=run_in_order,
    )  # fmt: skip

    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1.0)
    assert (found.centroids @ (small / np.linalg.norm(small))).max() > 0.999


@pytest.mark.parametrize("batches", [None, 10.0])
@pytest.mark.parametrize("seed", [1, 7])  # where it is worth least
def test_a_cluster_of_one_row_in_a_thousand_is_in_every_version(seed: int, batches: float | None) -> None:
    points, centre = rare_blobs(seed, 60 * 2048)
    config = ModelConfig(
        20, random_state=seed, update_rule="refined", half_life=half_life(batches) if batches else None
    )
    model = new_model(config)

    distances = []
    for batch in cut(points, [2048]):
        model, _ = applied(model, [batch], 1)
        if model.version >= 10:
            distances.append(float(np.linalg.norm(snapshot(model).centroids - centre, axis=1).min()))

    assert len(distances) > 50
    assert max(distances) < 2.5
