"""The update rule and forgetting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.model import new_model
from shoal_server.engines.contract import Engine
from shoal_server.errors import DomainError
from tests.clustering.builders import half_life, push, pushed, snapshot

Engines = dict[EngineName, Engine]

ALL: list[EngineName] = ["numba", "sklearn", "scipy"]


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_without_half_life_sklearn_is_a_plain_minibatchkmeans_loop(
    engines: Engines, dtype: type, tolerance: float
) -> None:
    random = np.random.default_rng(7)
    centres: NDArray[Any] = (10 * random.normal(size=(6, 3))).astype(dtype)
    batches = [
        (centres[random.integers(6, size=n)] + random.normal(size=(n, 3))).astype(dtype)
        for n in random.integers(6, 900, size=40)
    ]
    init = centres + dtype(0.5)
    plain = MiniBatchKMeans(6, init=init, n_init=1, reassignment_ratio=0.0, compute_labels=False)

    model = pushed(ModelConfig(6, init=init), batches, engines["sklearn"])
    for batch in batches:
        plain.partial_fit(batch)

    np.testing.assert_allclose(snapshot(model).centroids, plain.cluster_centers_, rtol=0, atol=tolerance)
    np.testing.assert_allclose(snapshot(model).weights, plain._counts, rtol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_weights_halve_exactly_after_each_half_life(engines: Engines, name: EngineName) -> None:
    model = new_model(ModelConfig(1, init=np.zeros((1, 2)), half_life=half_life(3)))

    for _ in range(300):
        model, _ = push(model, [[1.0, 2.0]], engines[name])

    expected = (1 - 0.5**100) / (1 - 0.5 ** (1 / 3))
    assert snapshot(model).weights[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_points_one_half_life_old_count_half(engines: Engines, name: EngineName) -> None:
    model = new_model(ModelConfig(1, init=np.zeros((1, 1)), half_life=half_life(100, "points")))

    model, _ = push(model, np.zeros((100, 1)), engines[name])
    model, _ = push(model, np.full((100, 1), 3.0), engines[name])

    assert snapshot(model).weights[0] == pytest.approx(150, rel=1e-12)
    assert snapshot(model).centroids[0, 0] == pytest.approx(2.0, rel=1e-12)


def test_forgetting_follows_event_time_and_not_the_order_of_arrival(engines: Engines) -> None:
    events = [(0.0, 1.0), (60.0, 5.0), (90.0, -2.0), (30.0, 8.0)]
    config = ModelConfig(1, init=np.zeros((1, 1)), half_life=half_life(30, "seconds"))

    def result(order: list[tuple[float, float]]) -> tuple[float, float]:
        model = new_model(config)
        for moment, value in order:
            model, _ = push(model, [[value]], engines["numba"], event_time=moment)
        return float(snapshot(model).weights[0]), float(snapshot(model).centroids[0, 0])

    weights = [0.5 ** ((90 - moment) / 30) for moment, _ in events]
    mean = np.dot(weights, [value for _, value in events]) / sum(weights)
    assert result(events) == pytest.approx((sum(weights), mean), rel=1e-12)
    assert result(sorted(events)) == pytest.approx((sum(weights), mean), rel=1e-12)


def test_a_half_life_in_seconds_needs_event_times(engines: Engines) -> None:
    model = new_model(ModelConfig(1, init=np.zeros((1, 1)), half_life=half_life(30, "seconds")))

    with pytest.raises(DomainError, match="say when its points happened") as caught:
        push(model, [[1.0]], engines["numba"])

    assert caught.value.refusal.reason == "EVENT_TIME_MISSING"


@pytest.mark.parametrize("name", ALL)
def test_forgetting_everything_makes_an_update_one_iteration_of_lloyd(engines: Engines, name: EngineName) -> None:
    points = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    model = new_model(ModelConfig(2, init=np.array([[5.5, 3], [1, 2]]), half_life=half_life(1e-9)))

    model, first = push(model, points, engines[name])
    model, _ = push(model, points, engines[name])

    assert first.labels is not None
    assert first.labels.tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(snapshot(model).centroids, [[10, 2], [1, 2]])
    np.testing.assert_array_equal(snapshot(model).weights, [3, 3])


@pytest.mark.parametrize("name", ALL)
def test_a_point_equally_near_to_two_centroids_gets_the_lowest_label(engines: Engines, name: EngineName) -> None:
    init = np.array([[5.0, 5], [1, 1], [1, 1], [1, 1]])

    model, outcome = push(new_model(ModelConfig(4, init=init)), [[1.0, 1.0]] * 9, engines[name])

    assert outcome.labels is not None
    assert set(outcome.labels.tolist()) == {1}
    np.testing.assert_array_equal(snapshot(model).weights, [0, 9, 0, 0])


@pytest.mark.parametrize("name", ALL)
def test_a_centroid_without_points_keeps_its_place(engines: Engines, name: EngineName) -> None:
    init = np.array([[0.1, 0.7], [100.3, 100.9]])

    model, _ = push(new_model(ModelConfig(2, init=init)), [[0.0, 0.0]], engines[name])

    np.testing.assert_array_equal(snapshot(model).centroids[1], init[1])
    assert snapshot(model).movement[1] == 0


@pytest.mark.parametrize("name", ALL)
def test_a_batch_of_weight_zero_makes_a_version_and_moves_nothing(engines: Engines, name: EngineName) -> None:
    init = np.array([[0.0, 0.0], [4.0, 4.0]])

    model, outcome = push(new_model(ModelConfig(2, init=init)), [[1.0, 1.0]], engines[name], sample_weight=[0.0])

    assert outcome.version == 1
    assert outcome.inertia == 0
    np.testing.assert_array_equal(snapshot(model).centroids, init)


@pytest.mark.parametrize("name", ALL)
def test_a_centroid_keeps_its_place_when_the_directions_cancel_out(engines: Engines, name: EngineName) -> None:
    model = new_model(ModelConfig(1, init=np.array([[0.0, 2.0]]), metric="cosine"))

    model, _ = push(model, [[3.0, 0.0], [-7.0, 0.0]], engines[name])

    np.testing.assert_array_equal(snapshot(model).centroids, [[0.0, 1.0]])


def test_version_counts_batches_and_snapshots_are_read_only(engines: Engines) -> None:
    model = pushed(ModelConfig(1, init=np.zeros((1, 1))), [np.ones((3, 1))] * 5, engines["numba"])

    assert model.version == 5
    assert snapshot(model).points_accepted == 15
    with pytest.raises(ValueError, match="read-only"):
        snapshot(model).centroids[0, 0] = 1
