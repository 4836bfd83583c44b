"""The lasting state of a model is plain values: it can be pickled and restored bit for bit."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from shoal_server.clustering.config import EngineName, Metric, ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch, Model, ModelState
from shoal_server.engines.contract import Engine, run_in_order
from tests.clustering.builders import half_life, on_bug, snapshot

K, D = 5, 3
NAMES: list[EngineName] = ["numba", "scipy", "sklearn"]
STAGES = [0, 1, 4, 9]  # batches before the state leaves: none, within the warm-up, and after it
METRICS: list[Metric] = ["euclidean", "cosine"]


def _batches() -> list[Batch]:
    random = np.random.default_rng(3)
    points = [(random.normal(size=(n, D)) + 50).astype(np.float32) for n in (2, 3, 4, 9, 1, 1, 30, 1, 2, 5, 1, 7)]
    weights = [None, None, np.array([1.0, 0, 2, 0.5]), *[None] * 6, random.exponential(size=5), None, None]
    return [Batch(*each, event_time=float(t)) for t, each in enumerate(zip(points, weights, strict=True))]


def _applied(model: Model, batches: list[Batch], engine: Engine) -> Model:
    model, outcomes = apply_batches(model, batches, engine, run_in_order, lambda: False, on_bug)
    assert not [outcome.refusal for outcome in outcomes if outcome.refusal]
    return model


def _carried(state: ModelState) -> ModelState:
    carried = pickle.loads(pickle.dumps(state))  # noqa: S301  (of this test's own)
    assert isinstance(carried, ModelState)
    return carried


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("metric", METRICS)
def test_a_model_made_of_a_pickled_state_goes_on_bit_for_bit(
    engines: dict[EngineName, Engine], name: EngineName, stage: int, metric: Metric
) -> None:
    engine, batches = engines[name], _batches()
    config = ModelConfig(K, random_state=1, metric=metric, on_invalid="drop", half_life=half_life(3.0, "seconds"))
    model = _applied(new_model(config), batches[:stage], engine)

    carried = Model(config, _carried(model.state))
    assert carried.state == model.state
    model, carried = (_applied(each, batches[stage:], engine) for each in (model, carried))

    assert carried.version > 0
    assert carried.state == model.state


def test_a_pickled_snapshot_comes_back_read_only(engines: dict[EngineName, Engine]) -> None:
    model = _applied(new_model(ModelConfig(K, random_state=1)), _batches(), engines["numba"])

    carried = _carried(model.state).snapshot

    assert carried is not None
    assert not carried.refined
    assert not any(array.flags.writeable for array in (carried.centroids, carried.weights, carried.movement))


def test_a_pickled_snapshot_of_a_refinement_is_still_one() -> None:
    given = new_model(ModelConfig(1, init=np.ones((1, 2)))).state
    state = given._replace(snapshot=replace(snapshot(Model(ModelConfig(1), given)), refined=True))

    carried = _carried(state)

    assert carried == state != given
    assert carried.snapshot is not None
    assert carried.snapshot.refined


@pytest.mark.parametrize("name", NAMES)
def test_the_arrays_of_every_snapshot_are_read_only(engines: dict[EngineName, Engine], name: EngineName) -> None:
    model = new_model(ModelConfig(K, random_state=1))
    for batch in _batches():
        model = _applied(model, [batch], engines[name])
        seen = model.snapshot

        assert seen is None or not any(each.flags.writeable for each in (seen.centroids, seen.weights, seen.movement))

    assert model.version > 1


def test_model_states_differ_when_one_bit_differs() -> None:
    means = np.array([1.0, 2.0])
    state = ModelState(2, latest_event=0.0)

    assert state == ModelState(2, latest_event=0.0)
    assert state != ModelState(2, latest_event=-0.0)
    assert state != ModelState(2, latest_event=None)
    assert state._replace(latest_event=float("nan")) == state._replace(latest_event=float("nan"))
    assert new_model(ModelConfig(1, init=means[None])).state == new_model(ModelConfig(1, init=means[None])).state
    assert (
        new_model(ModelConfig(1, init=means[None])).state
        != new_model(ModelConfig(1, init=np.nextafter(means, 3)[None])).state
    )


@pytest.mark.parametrize("name", NAMES)
def test_moved_rows_are_those_whose_centroids_differ_since_the_commit(
    engines: dict[EngineName, Engine], name: EngineName
) -> None:
    init = 10.0 * np.arange(K * D).reshape(K, D)
    model = new_model(ModelConfig(K, init=init)).committed()
    assert model.moved_rows is not None

    committed = snapshot(model).centroids
    near = [Batch(init[label : label + 1] + 1.5) for label in (1, 3, 3)]
    model = _applied(model, [near[0]], engines[name])
    model = _applied(model, near[1:], engines[name])

    np.testing.assert_array_equal(model.moved_rows, [False, True, False, True, False])
    np.testing.assert_array_equal((snapshot(model).centroids != committed).any(axis=1), model.moved_rows)
    assert not model.committed().moved_rows.any()  # type: ignore[union-attr]  # it has centroids


def test_all_rows_count_as_moved_until_the_first_commit(engines: dict[EngineName, Engine]) -> None:
    model = new_model(ModelConfig(K, random_state=1)).committed()

    model = _applied(model, _batches(), engines["numba"])

    assert model.version > 0
    assert model.moved_rows is None
