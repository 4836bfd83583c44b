"""Given centroids with weights: a model made of the centroids and weights of another goes on as that would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.clustering.config import HalfLifeUnit, Metric, ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import apply, new_model
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.clustering.summary import total_weight
from shoal_server.engines.contract import Engine, run_in_order
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.engines.sklearn import SklearnEngine
from tests.clustering.builders import half_life, on_bug, snapshot
from tests.clustering.summary_builders import weighted_points
from tests.warm import warm_engine

Random = np.random.default_rng
INCREMENTAL = ModelConfig(6, random_state=0)
MIDDLES = 20 * Random(7).normal(size=(8, 2))


def batches(seed: int, count: int, d: int = 3, dtype: Any = np.float32) -> list[Batch]:
    """Return batches of points around zero, every other one weighted."""
    random = Random(seed)
    return [
        Batch(
            random.normal(size=(50, d)).astype(dtype),
            random.exponential(size=50) if number % 2 else None,
            10.0 + number,
        )
        for number in range(count)
    ]


def applied(model: Model, some: list[Batch], group: int = 100, engine: Engine | None = None) -> Model:
    results: list[BatchResult] = []
    for start in range(0, len(some), group):
        model, more = apply_batches(
            model,
            some[start : start + group],
            engine or warm_engine(),
            run_in_order,
            lambda: False,
            on_bug,
            warm_engine(),
        )
        results += more
    assert not [each.refusal for each in results if each.refusal]
    return model


def rebuilt(model: Model, config: ModelConfig | None = None) -> Model:
    """Return a new model of another's newest centroids and weights, as a client reads them."""
    newest = snapshot(model)
    config = replace(config or model.config, init=newest.centroids.copy(), init_weights=newest.weights.copy())
    return new_model(config)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("unit", [None, "batches", "points"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("engine", [warm_engine(), ScipyEngine(), SklearnEngine()], ids=["numba", "scipy", "sklearn"])
def test_a_rebuilt_model_goes_on_as_the_old_one_bit_for_bit(
    metric: Metric, unit: HalfLifeUnit | None, dtype: Any, engine: Engine
) -> None:
    config = replace(INCREMENTAL, metric=metric, half_life=half_life(7.5, unit) if unit else None)
    old = applied(new_model(config), batches(0, 20, dtype=dtype), engine=engine)

    new = rebuilt(old)
    old, new = (applied(each, batches(1, 20, dtype=dtype), engine=engine) for each in (old, new))

    assert snapshot(new).centroids.tobytes() == snapshot(old).centroids.tobytes()
    assert snapshot(new).weights.tobytes() == snapshot(old).weights.tobytes()
    assert snapshot(new).inertia == snapshot(old).inertia


def test_a_rebuilt_model_far_from_zero_goes_on_as_the_old_one_but_for_rounding() -> None:
    far = [batch._replace(points=batch.points.astype(np.float64) + 1e6) for batch in batches(0, 40)]
    old = applied(new_model(INCREMENTAL), far[:20])

    new = rebuilt(old)
    old, new = (applied(each, far[20:]) for each in (old, new))

    np.testing.assert_allclose(snapshot(new).centroids, snapshot(old).centroids, rtol=1e-14)
    np.testing.assert_allclose(snapshot(new).weights, snapshot(old).weights, rtol=1e-14)


def test_given_weights_are_read_before_the_first_batch() -> None:
    weights = np.array([0.0, 2.5])

    model = new_model(ModelConfig(2, init=np.zeros((2, 1)), init_weights=weights))

    np.testing.assert_array_equal(snapshot(model).weights, weights)
    assert not snapshot(model).weights.flags.writeable
    assert weights.flags.writeable


def test_a_weight_holds_a_centroid_back_by_the_update_rule() -> None:
    config = ModelConfig(2, init=np.array([[0.0], [10.0]]), init_weights=np.array([3.0, 0.0]))

    model, _ = apply(new_model(config), Batch(np.array([[1.0], [9.0]])), warm_engine(), run_in_order)

    np.testing.assert_allclose(snapshot(model).centroids, [[0.25], [9.0]])
    np.testing.assert_array_equal(snapshot(model).weights, [4.0, 1.0])


def points_at(places: NDArray[Any], n: int, seed: int) -> NDArray[np.float32]:
    random = Random(seed)
    return (places[random.integers(0, len(places), n)] + random.normal(size=(n, 2))).astype(np.float32)


def refined(weight: float) -> ModelConfig:
    return ModelConfig(
        8, random_state=1, update_rule="refined", summary_size=400, init=MIDDLES, init_weights=np.full(8, weight)
    )


def test_a_refinement_does_not_forget_what_given_centroids_stand_for() -> None:
    some = [Batch(points_at(MIDDLES[:1], 100, seed)) for seed in range(30)]

    with_weights = applied(new_model(refined(1000.0)), some, 1)
    without = applied(new_model(replace(refined(1.0), init_weights=None)), some, 1)

    found = snapshot(with_weights)
    assert found.version > 30  # refined
    assert np.linalg.norm(found.centroids - MIDDLES, axis=1).max() < 1
    np.testing.assert_allclose(found.weights.sum(), 8 * 1000 + 30 * 100, rtol=1e-9)
    np.testing.assert_allclose(found.weights[1:], 1000, rtol=1e-6)
    assert (np.linalg.norm(snapshot(without).centroids - MIDDLES[0], axis=1) < 10).all()


def test_the_summary_takes_given_centroids_to_scatter_as_the_first_batch_does() -> None:
    model = applied(new_model(refined(1000.0)), [Batch(points_at(MIDDLES, 400, 0))])

    assert model.state.learning is not None
    weighted = weighted_points(model.state.learning.summary, 0.0)
    assert 1.8 < weighted.scatter.sum() / 8000 < 2.2  # two columns of variance 1


def test_given_weights_are_forgotten_like_others() -> None:
    config = replace(refined(64.0), half_life=half_life(1.0, "batches"))

    model = applied(new_model(config), [Batch(points_at(MIDDLES, 10, seed)) for seed in range(3)], 1)

    assert model.state.learning is not None
    expected = 8 * 64 / 8 + 10 * (1 + 1 / 2 + 1 / 4)
    age = model.state.learning.schedule.age
    np.testing.assert_allclose(total_weight(model.state.learning.summary, age), expected, rtol=1e-9)
    np.testing.assert_allclose(snapshot(model).weights.sum(), expected, rtol=1e-9)


def test_given_weights_are_forgotten_by_batches_without_rows_that_come_first() -> None:
    config = replace(refined(1000.0), half_life=half_life(1.0, "batches"), on_invalid="drop")
    dropped = [Batch(np.full((3, 2), np.nan, np.float32))] * 5
    some = [*dropped, Batch(points_at(MIDDLES, 10, 0)), dropped[0], *(Batch(points_at(MIDDLES, 50, n)) for n in (1, 2))]

    model = applied(new_model(config), some[:6], 1)

    assert model.state.learning is not None
    expected = 8 * 1000 / 2**6 + 10
    summary, schedule, *_ = model.state.learning
    np.testing.assert_allclose(total_weight(summary, schedule.age), expected, rtol=1e-9)
    np.testing.assert_allclose(schedule.weight, expected, rtol=1e-9)
    np.testing.assert_allclose(snapshot(model).weights.sum(), expected, rtol=1e-9)
    assert weighted_points(summary, schedule.age).points.dtype == np.float32
    model = applied(model, some[6:], 1)
    assert model.version > len(some)  # refined
    np.testing.assert_allclose(snapshot(model).weights.sum(), expected / 8 + 50 / 2 + 50, rtol=1e-9)
    assert model.state == applied(new_model(config), some, 4).state


@pytest.mark.parametrize("group", [3, 1000])
@pytest.mark.parametrize("weight", [0.5, 1e5])
def test_a_model_of_given_weights_is_the_same_however_its_batches_are_grouped(group: int, weight: float) -> None:
    some = [Batch(points_at(MIDDLES, size, size)) for size in (1, 7, 64, 200, 1, 300) * 8]

    one, other = (applied(new_model(refined(weight)), some, each) for each in (1, group))

    assert one.state == other.state
    assert one.version > len(some)


def test_heavy_given_centroids_are_not_refined_all_the_time() -> None:
    some = [Batch(points_at(MIDDLES, 100, seed)) for seed in range(100)]

    model = applied(new_model(refined(1e5)), some, 10)

    assert model.version - len(some) < 20


@pytest.mark.parametrize("weight", [0.0, 1e-300, 1e60])
def test_extreme_given_weights_are_summarised(weight: float) -> None:
    model = applied(new_model(refined(weight)), [Batch(points_at(MIDDLES, 300, seed)) for seed in range(5)], 1)

    assert np.isfinite(snapshot(model).centroids).all()
    np.testing.assert_allclose(snapshot(model).weights.sum(), 8 * weight + 1500, rtol=1e-9)
