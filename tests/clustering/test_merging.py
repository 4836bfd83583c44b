"""Several models become one that has seen what all of them have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from shoal_server.clustering.config import Metric, ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.merging import merged_model
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch, Model
from shoal_server.clustering.summarised import summarised_model
from shoal_server.clustering.summary import total_weight
from shoal_server.engines.contract import run_in_order
from shoal_server.errors import DomainError
from tests.clustering.builders import half_life, on_bug, snapshot
from tests.clustering.summary_builders import cost, estimated, weighted_points
from tests.warm import warm_engine

Random = np.random.default_rng
CONFIG = ModelConfig(8, random_state=3, update_rule="refined", summary_size=400)


def blobs(n: int, seed: int, *, middle: float = 0.0, d: int = 2) -> NDArray[np.float32]:
    """Return points around four middles of a seed's own, which lie around one middle."""
    random = Random(seed)
    middles = middle + 20 * random.normal(size=(4, d))
    return (middles[random.integers(0, 4, n)] + random.normal(size=(n, d))).astype(np.float32)


def applied(config: ModelConfig, batches: list[Batch]) -> Model:
    engine = warm_engine()
    model, results = apply_batches(new_model(config), batches, engine, run_in_order, lambda: False, on_bug, engine)
    assert not [each.refusal for each in results if each.refusal]
    return model


def pushed(points: Any, config: ModelConfig = CONFIG, rows: int = 200) -> Model:
    return applied(config, [Batch(points[start : start + rows]) for start in range(0, len(points), rows)])


def merged(*models: Model, **changes: Any) -> Model:
    config = replace(models[0].config, **changes)
    return merged_model([summarised_model(model) for model in models], config, warm_engine(), run_in_order)


def weight_in_summary(model: Model) -> float:
    assert model.state.learning is not None
    return total_weight(model.state.learning.summary, model.state.learning.schedule.age)


def ratio(points: Any, model: Model) -> float:
    """Return the inertia of a model's centroids over that of an offline fit."""
    wide = points.astype(np.float64)
    best = KMeans(model.config.n_clusters, n_init=10, random_state=0).fit(wide).inertia_
    return cost(points, np.ones(len(points)), snapshot(model).centroids) / float(best)


@pytest.mark.parametrize("middle", [0.0, 5000.0])
def test_merged_centroids_are_those_of_an_offline_fit_of_all_rows(middle: float) -> None:
    parts = [blobs(5000, 1), blobs(20_000, 2, middle=middle), blobs(3000, 1)]

    model = merged(*map(pushed, parts))

    points = np.concatenate(parts)
    assert ratio(points, model) < 1.02
    assert (model.version, snapshot(model).refined) == (1, True)
    assert model.state.points_accepted == len(points)
    np.testing.assert_allclose(snapshot(model).weights.sum(), len(points), rtol=1e-9)


def test_a_merged_summary_stands_for_all_rows_whatever_the_origins() -> None:
    parts = [blobs(5000, 1), blobs(20_000, 2, middle=5000.0)]
    models = [pushed(part) for part in parts]
    assert not np.array_equal(
        summarised_model(models[0]).coordinates.origin, summarised_model(models[1]).coordinates.origin
    )

    model = merged(*models)

    points = np.concatenate(parts)
    source = summarised_model(model)
    weighted = weighted_points(source.summary, 0.0)
    middle = weighted.weights @ weighted.points / len(points) + source.coordinates.origin
    np.testing.assert_allclose(weighted.weights.sum(), len(points), rtol=1e-9)
    np.testing.assert_allclose(middle, points.mean(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-3)
    relative = model.frame.centroids
    exact = cost(points, np.ones(len(points)), snapshot(model).centroids)
    assert abs(estimated(weighted, relative) / exact - 1) < 0.05


def test_the_number_of_clusters_may_be_another() -> None:
    parts = [blobs(5000, 1), blobs(5000, 2)]

    model = merged(*map(pushed, parts), n_clusters=3)

    assert snapshot(model).centroids.shape == (3, 2)
    assert ratio(np.concatenate(parts), model) < 1.02


def test_more_clusters_than_the_summaries_have_points_are_refused() -> None:
    with pytest.raises(DomainError, match="summaries have 60 points together; use at most so many") as caught:
        merged(pushed(blobs(30, 1)), pushed(blobs(30, 2)), n_clusters=61)

    assert caught.value.refusal.reason == "N_CLUSTERS_INVALID"
    assert snapshot(merged(pushed(blobs(30, 1)), pushed(blobs(30, 2)), n_clusters=60)).centroids.shape == (60, 2)


def test_a_merged_model_goes_on_with_batches_and_refinements() -> None:
    model = merged(pushed(blobs(4000, 1)), pushed(blobs(4000, 2)))
    engine = warm_engine()
    batches = [Batch(blobs(200, 3)) for _ in range(60)]

    after, results = apply_batches(model, batches, engine, run_in_order, lambda: False, on_bug, engine)

    assert not [each.refusal for each in results if each.refusal]
    assert any(each.refined for each in results)
    np.testing.assert_allclose(weight_in_summary(after), 8000 + 12_000, rtol=1e-9)
    assert after.state.points_accepted == 20_000


def test_merging_is_repeatable_and_leaves_the_sources_as_they_were() -> None:
    models = [pushed(blobs(3000, seed)) for seed in range(3)]
    before = [model.state for model in models]

    one, other = merged(*models), merged(*models)

    assert one.state == other.state
    assert [model.state for model in models] == before


def test_one_model_merged_alone_is_a_copy_that_is_fitted_anew() -> None:
    points = blobs(5000, 1)

    model = merged(pushed(points))

    assert ratio(points, model) < 1.02
    np.testing.assert_allclose(weight_in_summary(model), 5000, rtol=1e-9)


def test_the_centroids_that_are_found_are_those_the_configuration_gives() -> None:
    model = merged(pushed(blobs(1000, 1)), pushed(blobs(1000, 2)))

    assert isinstance(model.config.init, np.ndarray)
    np.testing.assert_array_equal(model.config.init, snapshot(model).centroids)
    np.testing.assert_array_equal(model.config.init_weights, snapshot(model).weights)
    assert model.warming is None


def test_half_lives_in_batches_weigh_the_newest_rows_of_all_alike() -> None:
    config = replace(CONFIG, half_life=half_life(2.0, "batches"))
    old, young = pushed(blobs(400, 1), config), pushed(blobs(2000, 2), config)

    model = merged(old, young)

    factors = [0.5 ** (batch / 2) for batch in range(10)]
    np.testing.assert_allclose(weight_in_summary(model), 200 * (sum(factors[:2]) + sum(factors)), rtol=1e-9)
    np.testing.assert_allclose(snapshot(model).weights.sum(), weight_in_summary(model), rtol=1e-9)


def test_half_lives_in_seconds_are_counted_from_the_newest_event_of_all() -> None:
    config = replace(CONFIG, half_life=half_life(10.0, "seconds"))
    stale = applied(config, [Batch(blobs(100, 1), event_time=1000.0)])
    fresh = applied(replace(config, half_life=half_life(5.0, "seconds")), [Batch(blobs(100, 2), event_time=1020.0)])

    one, other = merged(stale, fresh), merged(fresh, stale)

    for model in (one, other):
        np.testing.assert_allclose(weight_in_summary(model), 100 / 4 + 100, rtol=1e-9)
        assert model.state.latest_event == 1020.0


def test_models_that_have_forgotten_all_are_refused() -> None:
    weightless = applied(replace(CONFIG, init=np.eye(8, 2)), [Batch(blobs(100, 1), np.zeros(100))])

    with pytest.raises(DomainError, match="have weight 0, or have decayed to it") as caught:
        merged(weightless)

    assert caught.value.refusal.reason == "SUMMARY_EMPTY"


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_metric_and_precision_is_merged(metric: Metric, dtype: Any) -> None:
    config = replace(CONFIG, metric=metric)
    models = [pushed(blobs(2000, seed, d=12).astype(dtype), config) for seed in (1, 2)]

    model = merged(*models)

    centroids = snapshot(model).centroids
    assert centroids.dtype == np.float64
    assert model.frame.dtype == dtype
    if metric == "cosine":
        np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, rtol=1e-12)


def test_column_means_are_those_of_all_rows() -> None:
    config = replace(CONFIG, on_invalid="impute")
    one, other = blobs(1000, 1), blobs(3000, 2)
    one[::3, 0] = np.nan

    model = merged(pushed(one, config), pushed(other, config), pushed(blobs(10, 3), replace(CONFIG, init=np.eye(8, 2))))

    means = model.state.column_means
    assert means is not None
    expected = np.nanmean(np.concatenate([one, other]), axis=0, dtype=np.float64)
    np.testing.assert_allclose(means.means, expected, rtol=1e-6)
    assert merged(pushed(one, config), on_invalid="reject").state.column_means is None


def test_a_merged_model_may_do_without_a_summary() -> None:
    model = merged(pushed(blobs(3000, 1)), pushed(blobs(3000, 2)), update_rule="incremental", summary_size=0)

    assert model.state.learning is None
    np.testing.assert_allclose(snapshot(model).weights.sum(), 6000, rtol=1e-9)


def test_summaries_of_the_incremental_rule_are_merged() -> None:
    config = replace(CONFIG, update_rule="incremental")

    model = merged(pushed(blobs(3000, 1), config), pushed(blobs(3000, 2), config))

    assert weight_in_summary(model) == pytest.approx(6000, rel=1e-9)
    assert model.config.update_rule == "incremental"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: new_model(CONFIG), "SESSION_WARMING"),
        (lambda: new_model(replace(CONFIG, init=np.eye(8, 2))), "SUMMARY_EMPTY"),
        (lambda: pushed(blobs(100, 1), replace(CONFIG, update_rule="incremental", summary_size=0)), "SUMMARY_MISSING"),
    ],
)
def test_models_without_rows_in_a_summary_are_not_merged(model: Callable[[], Model], reason: str) -> None:
    with pytest.raises(DomainError) as refused:
        summarised_model(model())

    assert refused.value.refusal.reason == reason
