"""Points far from the origin cluster as well as the same points near it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.model import new_model
from shoal_server.clustering.origin import origin_among
from shoal_server.clustering.state import Batch
from shoal_server.clustering.summarised import summarised_rows
from shoal_server.engines.contract import Engine, Task, max_value, run_in_order
from tests.clustering.builders import push, snapshot
from tests.clustering.streaming import applied
from tests.warm import warm_engine

Engines = dict[EngineName, Engine]
OFFSET = 1e6


def _noise(seed: int, rows: int, d: int) -> NDArray[np.float32]:
    # Multiples of 1/16 are what float32 can still tell apart at 1e6.
    return (np.round(16 * np.random.default_rng(seed).normal(scale=20, size=(rows, d))) / 16).astype(np.float32)


@pytest.mark.parametrize("name", ["numba", "sklearn", "scipy"])
@pytest.mark.parametrize("init", ["k-means++", "given"])
@pytest.mark.parametrize("d", [1, 3, 40])
def test_a_batch_at_offset_1e6_in_float32_clusters_as_at_0(
    engines: Engines, name: EngineName, init: str, d: int
) -> None:
    batches = [_noise(seed, 500, d) for seed in range(5)]
    results = []
    for offset in (np.float32(0), np.float32(OFFSET)):
        given: Any = _noise(99, 7, d) + offset if init == "given" else init
        model = new_model(ModelConfig(7, init=given, random_state=3))
        labels: list[NDArray[Any]] = []
        for batch in batches:
            model, outcome = push(model, batch + offset, engines[name])
            labels.append(np.asarray(outcome.labels))
        results.append((snapshot(model).centroids - offset, labels, outcome.inertia))

    (near, near_labels, near_inertia), (far, far_labels, far_inertia) = results
    share_alike = np.mean(np.concatenate(near_labels) == np.concatenate(far_labels))
    assert share_alike > 0.998  # but for points on a border, where rounding decides
    np.testing.assert_allclose(far, near, rtol=0, atol=0.2)
    assert far_inertia == pytest.approx(near_inertia, rel=1e-3)


def test_points_near_zero_keep_zero_as_their_origin() -> None:
    points = np.random.default_rng(0).normal(loc=1.5, size=(200, 4))

    np.testing.assert_array_equal(_origin([points]), np.zeros(4))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(("shape", "blocks"), [((10_000, 3), 6), ((3, 300_000), 3), ((1, 1), 1)])
def test_the_origin_of_many_blocks_is_near_the_mean_as_numpy_computes_it(
    shape: tuple[int, int], blocks: int, dtype: type
) -> None:
    random = np.random.default_rng(0)
    points: NDArray[Any] = (200 * random.random(shape) + random.integers(50, size=shape[1])).astype(dtype)
    points[:, 0] = 7  # a column without spread
    wide = points.astype(np.float64)
    spread = np.where(wide.std(axis=0) > 0, wide.std(axis=0), 1)
    step = np.exp2(np.ceil(np.log2(4 * spread)))
    pauses: list[None] = []

    def run(task: Task, count: int) -> None:
        for index in range(count):
            pauses.extend(task(index) or ())

    origin = origin_among([points[:1], points[1:]], np.dtype(np.float64), "euclidean", run)

    expected = np.where(wide.std(axis=0) > 0, np.round(wide.mean(axis=0) / step) * step, wide.mean(axis=0))
    np.testing.assert_array_equal(origin, expected)
    assert len(pauses) == 2 * blocks  # in which others may go first


def _origin(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return origin_among(parts, np.dtype(np.float32), "euclidean", run_in_order)


def test_round_numbers_stay_round_after_subtracting_the_origin(engines: Engines) -> None:
    points = np.array([[1_000_001.0, 7], [1_000_003.0, 9], [1_000_001.0, 11]], np.float32)

    model, _ = push(new_model(ModelConfig(1, init=np.array([[1_000_000.0, 0]]))), points, engines["numba"])

    np.testing.assert_array_equal(snapshot(model).centroids, [[(3_000_005) / 3, 9]])


def test_a_single_outlier_does_not_set_the_origin(engines: Engines) -> None:
    init = np.array([[0.0, 0.0], [-1.0, -1.0]])
    model = new_model(ModelConfig(2, init=init, dtype="float32"))
    model, _ = push(model, [[1e9, 1e9]], engines["numba"])

    model, outcome = push(model, [[0.25, 0.25], [0.125, 0.125]], engines["numba"])

    assert outcome.labels is not None
    assert outcome.labels.tolist() == [1, 1]  # centroid 0 went after the first row
    assert outcome.inertia == pytest.approx(2 * (1.25**2 + 1.125**2), rel=1e-6)


@pytest.mark.parametrize("rule", ["incremental", "refined"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_as_far_from_one_another_as_can_be_are_summarised_in_any_groups(rule: Any, dtype: Any) -> None:
    random, far = np.random.default_rng(5), 0.99 * max_value(np.dtype(dtype), 2)
    sides = [1, *(-1 if number % 7 == 3 else 1 for number in range(60))]
    batches = [Batch((side * far * (1 - 1e-3 * random.random((40, 2)))).astype(dtype)) for side in sides]
    config = ModelConfig(3, random_state=0, update_rule=rule, summary_size=200)

    one, other = (applied(new_model(config), batches, group)[0] for group in (1, 16))

    assert one.state == other.state
    assert one.state.learning is not None
    assert one.state.learning.summary.rows == 40 * 61
    points, weights, _ = summarised_rows(one, warm_engine(), run_in_order).points
    assert weights.sum() == pytest.approx(40 * 61)
    middle = weights @ (points + one.frame.origin) / weights.sum()
    expected = np.concatenate([batch.points for batch in batches]).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(middle / far, expected / far, atol=1e-6)


def test_a_summary_goes_on_when_the_points_are_usual_again() -> None:
    random, far = np.random.default_rng(5), 0.99 * max_value(np.dtype(np.float32), 2)
    batches = [Batch(np.full((40, 2), far, np.float32)), Batch(np.full((40, 2), -far, np.float32))]
    batches += [Batch(random.normal(size=(40, 2)).astype(np.float32)) for _ in range(40)]

    model, _ = applied(new_model(ModelConfig(3, random_state=0, update_rule="refined", summary_size=200)), batches, 1)

    assert model.state.learning is not None
    assert model.state.learning.summary.rows == 40 * 42
