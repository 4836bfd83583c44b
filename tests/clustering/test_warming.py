"""Warming: how many first points are needed, how they count, and what they determine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.clustering.config import EngineName, InitMethod, ModelConfig
from shoal_server.clustering.model import assign, new_model
from shoal_server.clustering.state import Warming
from shoal_server.engines.contract import Engine, run_in_order
from shoal_server.errors import DomainError
from tests.clustering.builders import half_life, push, pushed, snapshot

Engines = dict[EngineName, Engine]
ALL: list[EngineName] = ["numba", "sklearn", "scipy"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_the_first_points_all_count_in_version_1(engines: Engines, name: EngineName, init: InitMethod) -> None:
    points = np.random.default_rng(1).normal(size=(40, 2))
    model = new_model(ModelConfig(5, init=init, random_state=0))

    for row in points[:14]:
        model, outcome = push(model, row, engines[name])
        assert (outcome.version, outcome.accepted, outcome.labels) == (0, 1, None)
    assert outcome.warming == Warming(14, 15)
    model, outcome = push(model, points[14:], engines[name])

    assert outcome.version == 1
    assert outcome.warming is None
    assert outcome.labels is not None
    assert len(outcome.labels) == 26
    assert snapshot(model).weights.sum() == 40
    mean = (snapshot(model).weights[:, None] * snapshot(model).centroids).sum(axis=0) / 40
    np.testing.assert_allclose(mean, points.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_version_1_has_the_inertia_and_the_rows_of_the_batch_that_made_it(engines: Engines, name: EngineName) -> None:
    points = np.random.default_rng(1).normal(size=(40, 2))
    model, _ = push(new_model(ModelConfig(5, random_state=0)), points[:14], engines[name])

    model, outcome = push(model, points[14:], engines[name])

    assert (snapshot(model).inertia, snapshot(model).batch_points) == (outcome.inertia, 26)
    assert snapshot(model).inertia_per_point == outcome.inertia / 26


def test_warming_ends_after_init_size_points(engines: Engines) -> None:
    model = new_model(ModelConfig(2, init_size=50, random_state=0))

    model, outcome = push(model, np.random.default_rng(0).normal(size=(49, 1)), engines["numba"])

    assert outcome.warming == Warming(49, 50)


def test_points_of_weight_zero_do_not_count_for_warming(engines: Engines) -> None:
    model = new_model(ModelConfig(2, random_state=0))

    model, outcome = push(model, np.ones((5, 1)), engines["numba"], sample_weight=[0, 1, 0, 1, 0])

    assert (outcome.accepted, outcome.warming) == (5, Warming(2, 6))


def test_collected_points_are_forgotten_while_a_session_warms(engines: Engines) -> None:
    model = new_model(ModelConfig(1, half_life=half_life(1), random_state=0))

    for value in (4.0, 2.0, 0.0):
        model, _ = push(model, [[value]], engines["numba"])

    assert snapshot(model).weights[0] == pytest.approx(1.75, rel=1e-12)
    assert snapshot(model).centroids[0, 0] == pytest.approx((0.25 * 4 + 0.5 * 2) / 1.75, rel=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_a_session_with_fewer_distinct_points_than_clusters_becomes_ready(engines: Engines, name: EngineName) -> None:
    model, outcome = push(new_model(ModelConfig(4, random_state=0)), np.ones((12, 2)), engines[name])

    assert outcome.version == 1
    assert outcome.inertia == 0
    assert snapshot(model).weights.sum() == 12


def test_the_same_random_state_gives_the_same_initial_centroids(engines: Engines) -> None:
    batch = np.random.default_rng(5).normal(size=(300, 3))

    first, second, other = (
        snapshot(pushed(ModelConfig(6, random_state=state), [batch], engines["numba"])).centroids
        for state in (11, 11, 12)
    )

    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_given_centroids_can_be_read_before_the_first_batch(engines: Engines) -> None:
    init = np.array([[0, 0], [10, 10]], np.uint8)

    model = new_model(ModelConfig(2, init=init))

    assert model.warming is None
    assert model.version == 0
    np.testing.assert_array_equal(snapshot(model).centroids, init)
    assert assign(model, np.array([[9.0, 9.0]]), engines["numba"], run_in_order).labels.tolist() == [1]


def test_assigning_while_warming_is_refused_with_the_progress(engines: Engines) -> None:
    model, _ = push(new_model(ModelConfig(3, random_state=0)), [[1.0], [2.0]], engines["numba"])

    with pytest.raises(DomainError, match="2 of 9 points") as caught:
        assign(model, np.array([[1.0]]), engines["numba"], run_in_order)

    assert caught.value.refusal.reason == "SESSION_WARMING"


@pytest.mark.parametrize(
    ("first", "precision", "safe", "unsafe"),
    [
        (np.float32, np.float32, [np.float16, np.uint8, np.int16], [np.float64, np.int32, np.int64, np.uint32]),
        (np.float16, np.float32, [np.float32], [np.float64]),
        (np.uint8, np.float32, [np.float32, np.uint16], [np.float64, np.uint64]),
        (np.float64, np.float64, [np.float32, np.int64, np.uint64, np.uint8], []),
        (np.int32, np.float64, [np.float64, np.int64], []),
    ],
)
def test_precision_follows_the_first_points(
    engines: Engines, first: type, precision: type, safe: list[type], unsafe: list[type]
) -> None:
    model, _ = push(new_model(ModelConfig(1, init=np.zeros((1, 2)))), [[1, 2]], engines["numba"], dtype=first)

    assert model.state.coordinates is not None
    assert model.state.coordinates.precision == precision
    for dtype in safe:
        push(model, [[1, 2]], engines["numba"], dtype=dtype)
    for dtype in unsafe:
        with pytest.raises(DomainError, match="would lose digits") as caught:
            push(model, [[1, 2]], engines["numba"], dtype=dtype)
        assert caught.value.refusal.reason == "DTYPE_MISMATCH"


def test_a_configured_dtype_takes_points_of_every_type(engines: Engines) -> None:
    model = new_model(ModelConfig(1, init=np.zeros((1, 1)), dtype="float32"))

    for dtype in (np.float64, np.int64, np.uint8, np.float16):
        model, _ = push(model, [[3]], engines["numba"], dtype=dtype)

    assert model.state.coordinates is not None
    assert model.state.coordinates.precision == np.float32
    np.testing.assert_array_equal(snapshot(model).centroids, [[3.0]])


def test_rows_pushed_one_by_one_are_kept_in_few_arrays(engines: Engines) -> None:
    points = np.random.default_rng(2).normal(size=(1000, 2))
    model = new_model(ModelConfig(2, init_size=2000, random_state=0))

    for row in points:
        model, outcome = push(model, row, engines["numba"])

    assert outcome.warming == Warming(1000, 2000)
    assert model.state.warmup is not None
    assert len(model.state.warmup.batches) <= 10
    np.testing.assert_array_equal(np.concatenate([each.points for each in model.state.warmup.batches]), points)


def test_rows_pushed_one_by_one_are_copied_only_a_few_times(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model(ModelConfig(2, init_size=5000, random_state=0))
    model, _ = push(model, [[1.0]], engines["numba"])
    joined: list[int] = []
    concatenate = np.concatenate

    def count(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        whole: NDArray[Any] = concatenate(arrays)
        joined.append(len(whole))
        return whole

    monkeypatch.setattr(np, "concatenate", count)
    for _ in range(4000):
        model, _ = push(model, [[1.0]], engines["numba"])

    arrays_a_batch = 3  # points, weights and ages
    assert sum(joined) < arrays_a_batch * 4000 * 12


def test_batches_with_every_row_dropped_keep_no_memory_while_a_session_warms(engines: Engines) -> None:
    model = new_model(ModelConfig(2, on_invalid="drop", random_state=0))
    model, _ = push(model, [[1.0]], engines["numba"])
    assert model.state.warmup is not None
    before = model.state.warmup.batches

    for _ in range(100):
        model, outcome = push(model, [[np.nan]], engines["numba"])
    model, weightless = push(model, [[2.0]], engines["numba"], sample_weight=[0])

    assert (outcome.dropped, weightless.warming) == (1, Warming(1, 6))
    assert model.state.warmup is not None
    assert model.state.warmup.batches == before


def test_a_batch_with_every_row_dropped_ages_the_collected_points(engines: Engines) -> None:
    config = ModelConfig(1, init_size=2, half_life=half_life(1), on_invalid="drop", random_state=0)

    model = pushed(config, [np.array([[value]]) for value in (4.0, np.nan, 0.0)], engines["numba"])

    assert snapshot(model).weights[0] == pytest.approx(1.25, rel=1e-12)


@pytest.mark.parametrize("sizes", [[1] * 24, [5, 1, 1, 9, 8], [23, 1]])
def test_version_1_does_not_depend_on_how_the_first_points_were_batched(engines: Engines, sizes: list[int]) -> None:
    points = np.random.default_rng(3).normal(size=(24, 2)).astype(np.float32)
    config = ModelConfig(3, init_size=24, random_state=0)

    whole = snapshot(pushed(config, [points], engines["numba"]))
    parts = snapshot(pushed(config, np.split(points, np.cumsum(sizes)[:-1]), engines["numba"]))

    np.testing.assert_array_equal(parts.weights, whole.weights)
    np.testing.assert_allclose(parts.centroids, whole.centroids, rtol=1e-6)
