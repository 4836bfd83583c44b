"""Another number of clusters for a running model."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.model import apply, new_model, reconfigure
from shoal_server.clustering.state import Batch, Model
from shoal_server.engines.contract import run_in_order
from shoal_server.errors import DomainError
from tests.warm import warm_engine

NUMBA = warm_engine()

CENTRES = np.array([[x * 10.0, y * 10.0] for x in range(3) for y in range(3)])


def _points(seed: int, rows: int = 450) -> np.ndarray:
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % len(CENTRES)
    return CENTRES[labels] + random.normal(0, 0.5, (rows, 2))


def _model(n_clusters: int, **options: object) -> Model:
    model = new_model(ModelConfig(n_clusters, random_state=0, update_rule="refined", **options))  # type: ignore[arg-type]
    for seed in range(6):
        model, _ = apply(model, Batch(_points(seed)), NUMBA, run_in_order, NUMBA)
    return model.committed()


def _resized(model: Model, n_clusters: int) -> Model:
    return reconfigure(model, replace(model.config, n_clusters=n_clusters), fitter=NUMBA, run=run_in_order)


def _inertia(model: Model) -> float:
    assert model.snapshot is not None
    points = np.concatenate([_points(seed) for seed in range(6)])
    squares = ((points[:, None] - model.snapshot.centroids[None]) ** 2).sum(axis=2)
    return float(squares.min(axis=1).mean())


@pytest.mark.parametrize(("before", "after"), [(4, 9), (12, 9), (1, 9), (9, 1), (9, 8), (9, 30)])
def test_a_resized_model_is_about_as_good_as_one_that_began_with_that_number(before: int, after: int) -> None:
    resized = _resized(_model(before), after)

    assert resized.snapshot is not None
    assert resized.snapshot.centroids.shape == (after, 2)
    assert _inertia(resized) <= 1.05 * _inertia(_model(after))


def test_more_clusters_than_the_summary_has_points_are_refused() -> None:
    model = new_model(ModelConfig(2, random_state=0, update_rule="refined"))
    model, _ = apply(model, Batch(_points(0, 40)), NUMBA, run_in_order, NUMBA)

    with pytest.raises(DomainError, match="n_clusters is 41, and the summary of the session has 40 points") as caught:
        _resized(model, 41)

    assert caught.value.refusal.reason == "N_CLUSTERS_INVALID"
    assert caught.value.refusal.field == "config.n_clusters"
    assert _resized(model, 40).config.n_clusters == 40


def test_resizing_makes_the_next_version_with_the_weight_of_the_whole_stream() -> None:
    model = _model(9)

    resized = _resized(model, 12)

    assert resized.version == model.version + 1
    assert resized.snapshot is not None
    assert resized.snapshot.weights.sum() == pytest.approx(6 * 450)
    assert resized.config.n_clusters == 12


def test_clusters_that_are_not_concerned_keep_their_ids() -> None:
    model = _model(9)
    assert model.snapshot is not None

    fewer, more = _resized(model, 8), _resized(model, 10)

    assert fewer.snapshot is not None
    assert more.snapshot is not None
    assert len(set(fewer.snapshot.ids) & set(model.snapshot.ids)) >= 7
    assert len(set(more.snapshot.ids) & set(model.snapshot.ids)) >= 8
    assert [event.kind for event in fewer.events][:1] == ["reconfigured"]
    assert fewer.events[0].fields == ("n_clusters",)
    assert {event.kind for event in fewer.events[1:]} <= {"merged", "split", "born", "retired"}
    assert {event.kind for event in more.events[1:]} <= {"split", "born"}


def test_a_cluster_that_lives_on_says_how_far_it_has_moved_and_a_new_one_zero() -> None:
    model = _model(9)
    resized = _resized(model, 10)
    before, after = model.snapshot, resized.snapshot
    assert before is not None
    assert after is not None

    for place, id_ in enumerate(after.ids.tolist()):
        old = before.centroids[before.ids == id_]
        distance = float(np.linalg.norm(after.centroids[place] - old[0])) if len(old) else 0.0
        assert after.movement[place] == pytest.approx(distance)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_clusters", [3, 11])
def test_a_resized_model_takes_more_batches_and_is_the_same_bit_for_bit(
    metric: str, dtype: str, n_clusters: int
) -> None:
    def run() -> Model:
        model = _resized(_model(6, metric=metric, dtype=dtype), n_clusters)
        model = Model(model.config, pickle.loads(pickle.dumps(model.state)))  # noqa: S301  (of this test's own)
        for seed in range(6, 12):
            model, result = apply(model, Batch(_points(seed)), NUMBA, run_in_order, NUMBA)
            assert result.refusal is None
        return model

    one, other = run(), run()

    assert one.state == other.state
    assert one.snapshot is not None
    assert len(one.snapshot.centroids) == n_clusters
    if metric == "cosine":
        np.testing.assert_allclose(np.linalg.norm(one.snapshot.centroids, axis=1), 1.0, rtol=1e-6)


def test_a_model_without_a_summary_cannot_be_resized_once_it_has_centroids() -> None:
    model = new_model(ModelConfig(4, random_state=0))
    model, _ = apply(model, Batch(_points(0)), NUMBA, run_in_order, NUMBA)

    with pytest.raises(DomainError) as error:
        _resized(model, 5)

    assert error.value.refusal.reason.name == "SUMMARY_MISSING"


def test_a_warming_model_takes_another_number_of_clusters_as_it_is() -> None:
    model = new_model(ModelConfig(4, random_state=0))
    model, _ = apply(model, Batch(_points(0, 8)), NUMBA, run_in_order, NUMBA)

    resized = _resized(model, 2)
    resized, result = apply(resized, Batch(_points(1, 9)), NUMBA, run_in_order, NUMBA)

    assert result.accepted == 9
    assert resized.version >= 1
    assert resized.snapshot is not None
    assert resized.snapshot.weights.sum() == pytest.approx(17)


def test_more_clusters_than_different_points_leave_some_without_weight() -> None:
    model = new_model(ModelConfig(2, random_state=0, update_rule="refined", summary_size=100))
    points = np.repeat(np.eye(3), 40, axis=0)
    model, _ = apply(model, Batch(points), NUMBA, run_in_order, NUMBA)

    resized = _resized(model, 5)

    assert resized.snapshot is not None
    assert resized.snapshot.estimated_inertia_per_point == 0
    np.testing.assert_allclose(sorted(resized.snapshot.weights), [0, 0, 40, 40, 40])
