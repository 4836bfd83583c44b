"""The refined rule: the stream is summarised, and the centroids are fitted to the summary anew."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from shoal_server.clustering.absorbing import LabelledRows, learned, schedule_of
from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import new_model, reconfigure
from shoal_server.clustering.refinement_schedule import FIRST_WORK, FIXED_WORK, RESERVE
from shoal_server.clustering.state import Batch, Model
from shoal_server.clustering.summary import total_weight
from shoal_server.engines.chunks import row_work
from shoal_server.engines.contract import Engine, Halted, RunTasks, Task, run_in_order
from tests.clustering.builders import half_life, on_bug, snapshot
from tests.clustering.streaming import applied, cut
from tests.warm import warm_engine

CONFIG = ModelConfig(8, random_state=3, update_rule="refined", summary_size=400)


def blobs(n: int, k: int = 8, d: int = 2, seed: int = 0, *, ordered: bool = False) -> NDArray[np.float32]:
    """Return points around k middles that lie far apart."""
    random = np.random.default_rng(seed)
    middles = 20 * random.normal(size=(k, d))
    points = (middles[random.integers(0, k, n)] + random.normal(size=(n, d))).astype(np.float32)
    return points[np.argsort(points[:, 0], kind="stable")] if ordered else points


def ratio(points: NDArray[Any], model: Model) -> float:
    """Return the inertia of a model's centroids over that of an offline fit."""
    wide = points.astype(np.float64)
    best = KMeans(model.config.n_clusters, n_init=10, random_state=0).fit(wide).inertia_
    squares = ((wide[:, None] - snapshot(model).centroids[None]) ** 2).sum(axis=2)
    return float(squares.min(axis=1).sum() / best)


def test_one_pass_over_sorted_points_ends_near_the_offline_fit() -> None:
    points = blobs(20_000, ordered=True)

    refined, _ = applied(new_model(CONFIG), cut(points, [500]), 8)
    incremental, _ = applied(new_model(replace(CONFIG, update_rule="incremental")), cut(points, [500]), 8)

    assert ratio(points, refined) < 1.03
    assert ratio(points, incremental) > 2


def test_equal_first_rows_leave_no_bad_start() -> None:
    points = np.concatenate([np.zeros((24, 2), np.float32), blobs(8_000)])

    model, _ = applied(new_model(CONFIG), cut(points, [200]), 8)

    assert ratio(points, model) < 1.03


@pytest.mark.parametrize("group", [2, 7, 1000])
@pytest.mark.parametrize("unit", ["batches", "points", "seconds", None])
def test_a_model_is_the_same_bit_for_bit_however_its_batches_are_grouped(group: int, unit: Any) -> None:
    random = np.random.default_rng(1)
    config = replace(CONFIG, half_life=half_life(300.0, unit) if unit else None)
    batches = [
        batch._replace(
            event_time=1000.0 + number - 3 * (number % 5 == 0),
            sample_weight=random.exponential(size=len(batch.points)) if number % 4 == 0 else None,
            points=batch.points.astype(np.int16) if number % 9 == 8 else batch.points,
        )
        for number, batch in enumerate(cut(blobs(6_000), [1, 7, 64, 1, 1, 200, 3]))
    ]

    one, results = applied(new_model(config), batches, 1)
    other, same_results = applied(new_model(config), batches, group)

    assert one.state == other.state
    assert one.events == other.events
    assert results == same_results
    assert sum(each.refined for each in results) > 3


def test_rows_that_are_converted_for_the_summary_leave_the_same_bits_as_rows_that_are_not() -> None:
    whole = np.round(100 * blobs(60_000))
    weights, labels = np.random.default_rng(1).exponential(size=len(whole)), np.arange(len(whole), dtype=np.int32) % 8
    model, _ = applied(new_model(CONFIG), [Batch(whole[:500])], 1)

    one, other = (
        learned(
            model,
            model.frame,
            LabelledRows(points, weights, labels, 0.0, is_batch=False),
            schedule_of(model),
            warm_engine(),
            run_in_order,
        )
        for points in (whole.astype(np.int16), whole)
    )

    assert one.state != model.state
    assert one.state == other.state


@pytest.mark.parametrize("group", [5, 1000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e19])
def test_refused_batches_in_the_middle_of_a_message_leave_no_trace(group: int, bad: float) -> None:
    batches = cut(blobs(3_000), [10])
    for number in range(7, len(batches), 7):
        points = batches[number].points.copy()
        points[4, 1] = bad
        batches[number] = Batch(points)
    good = [batch for batch in batches if np.isfinite(batch.points).all() and np.abs(batch.points).max() < 1e18]

    model, results = apply_batches(
        new_model(CONFIG), batches[:group], warm_engine(), run_in_order, lambda: False, on_bug, warm_engine()
    )
    for start in range(group, len(batches), group):
        model, more = apply_batches(
            model, batches[start : start + group], warm_engine(), run_in_order, lambda: False, on_bug, warm_engine()
        )
        results += more
    expected, _ = applied(new_model(CONFIG), good, 1)

    assert len(results) == len(batches)
    assert sum(each.refusal is not None for each in results) == len(batches) - len(good)
    assert model.state == expected.state


def test_a_first_batch_of_dropped_rows_is_applied() -> None:
    config = replace(CONFIG, init=np.zeros((8, 2)) + np.arange(8)[:, None], on_invalid="drop")
    empty = Batch(np.full((2, 2), np.nan, np.float32))

    model, results = applied(new_model(config), [empty, *cut(blobs(2_000), [100])], 4)

    assert (results[0].accepted, results[0].dropped) == (0, 2)
    assert ratio(blobs(2_000), model) < 1.03


def test_batches_without_weight_are_applied_in_time() -> None:
    config = replace(CONFIG, init=np.zeros((8, 2)) + np.arange(8)[:, None])
    calls = itertools.count()

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name == "apply_batches":
                next(calls)
            return getattr(warm_engine(), name)

    batches = [Batch(np.ones((1, 2), np.float32), np.zeros(1)) for _ in range(256)]
    model, results = applied(new_model(config), batches, 256, engine=Counting())

    assert not any(each.refined for each in results)
    assert next(calls) < 20
    assert model.version == 256


def test_refinements_are_within_their_budget_with_a_short_half_life() -> None:
    config = replace(CONFIG, half_life=half_life(1.0))
    random = np.random.default_rng(0)
    batches = [Batch(random.normal(size=(32, 2)).astype(np.float32)) for _ in range(1500)]

    model, results = applied(new_model(config), batches, 50)

    assert model.state.learning
    earned = 32 * len(batches) * row_work(CONFIG.n_clusters, 2)
    assert model.state.learning.schedule.work <= (1 + RESERVE) * FIRST_WORK + earned
    assert sum(each.refined for each in results) <= model.state.learning.schedule.work / FIXED_WORK


@pytest.mark.parametrize("scale", [1e18, 1e-30])
def test_points_of_every_scale_are_applied(scale: float) -> None:
    batches = cut((blobs(3_000).astype(np.float64) * scale / 60).astype(np.float32), [100])

    _, refined = applied(new_model(CONFIG), batches, 4)
    _, incremental = applied(new_model(replace(CONFIG, update_rule="incremental", summary_size=0)), batches, 4)

    assert [each.accepted for each in refined] == [each.accepted for each in incremental]


def test_a_bug_in_a_refinement_refuses_no_batch() -> None:
    class Broken:
        search = warm_engine().search

        def summary_kernels(self, _: Any) -> Any:
            raise RuntimeError("a bug")

    seen: list[Exception] = []

    def note(bug: Exception) -> Any:
        seen.append(bug)
        return on_bug(bug)

    _, results = apply_batches(
        new_model(CONFIG), cut(blobs(500), [50]), warm_engine(), run_in_order, lambda: False, note, Broken()
    )

    assert not any(each.refusal for each in results)
    assert {str(bug) for bug in seen} == {"a bug"}


def test_a_refinement_is_a_version_of_its_own_that_says_so() -> None:
    batches = cut(blobs(3_000), [50])
    model, version, refinements = new_model(CONFIG), 0, 0
    for batch in batches:
        before = model
        model, (result,) = applied(model, [batch], 1)

        assert result.version in {0, version + 1}
        assert snapshot(model).refined == result.refined
        version = model.version
        assert version == (result.version + 1 if result.refined else result.version)
        refinements += result.refined
        if result.refined:
            assert snapshot(model).inertia == result.inertia
            assert snapshot(model).batch_points == 50
            assert model.state.points_accepted == before.state.points_accepted + 50
    assert refinements > 3


def test_the_weights_are_those_of_all_rows_after_a_refinement() -> None:
    model, results = applied(new_model(CONFIG), cut(blobs(5_000), [100]), 4)

    assert snapshot(model).weights.sum() == pytest.approx(5_000, rel=1e-9)
    assert model.state.learning is not None
    assert total_weight(model.state.learning.summary, 0.0) == pytest.approx(5_000, rel=1e-9)
    assert any(each.refined for each in results)


def test_the_weights_are_forgotten_as_without_refinements() -> None:
    config = replace(CONFIG, half_life=half_life(5.0))
    batches = cut(blobs(5_000), [100])

    refined, _ = applied(new_model(config), batches, 4)
    incremental, _ = applied(new_model(replace(config, update_rule="incremental")), batches, 4)

    assert snapshot(refined).weights.sum() == pytest.approx(snapshot(incremental).weights.sum(), rel=1e-9)


@pytest.mark.parametrize("stage", [0, 1, 3, 40])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_refined_model_made_of_a_pickled_state_goes_on_bit_for_bit(stage: int, metric: Any) -> None:
    config = replace(CONFIG, metric=metric, half_life=half_life(30.0))
    batches = cut(blobs(4_000) + 50, [5, 100])
    model, _ = applied(new_model(config), batches[:stage], 3)

    carried = Model(config, pickle.loads(pickle.dumps(model.state)))  # noqa: S301  (of this test's own)
    model, _ = applied(model.committed(), batches[stage:], 3)
    carried, _ = applied(carried, batches[stage:], 3)

    assert carried.state == model.state
    assert carried.events == model.events


@pytest.mark.parametrize("name", ["sklearn", "scipy"])
def test_every_engine_refines(engines: dict[EngineName, Engine], name: EngineName) -> None:
    points = blobs(10_000, ordered=True)

    model, results = applied(new_model(replace(CONFIG, engine=name)), cut(points, [250]), 8, engine=engines[name])

    assert ratio(points, model) < 1.03
    assert any(each.refined for each in results)


def test_an_incremental_model_with_a_summary_is_not_refined() -> None:
    batches = cut(blobs(3_000), [50])

    plain, _ = applied(new_model(replace(CONFIG, update_rule="incremental", summary_size=0)), batches, 4)
    summarised, results = applied(new_model(replace(CONFIG, update_rule="incremental")), batches, 4)

    assert not any(each.refined for each in results)
    assert plain.state.learning is None
    assert summarised.state.learning is not None
    assert summarised.state._replace(learning=None) == plain.state


def test_a_model_that_changes_its_half_life_goes_on() -> None:
    batches = cut(blobs(4_000), [100])
    model, _ = applied(new_model(CONFIG), batches[:20], 4)

    model, _ = applied(reconfigure(model, replace(CONFIG, half_life=half_life(2.0))), batches[20:], 4)

    assert snapshot(model).weights.sum() < 500


def test_a_halted_refinement_applies_nothing() -> None:
    batches = cut(blobs(4_000), [100])
    pauses = itertools.count()

    def halted_after(limit: int) -> RunTasks:
        def run(task: Task, count: int) -> None:
            for index in range(count):
                for _ in task(index) or ():
                    if next(pauses) >= limit:
                        raise Halted

        return run

    model = new_model(CONFIG)
    model, results = apply_batches(model, batches, warm_engine(), halted_after(3), lambda: False, on_bug, warm_engine())

    assert len(results) < len(batches)
    expected, _ = applied(new_model(CONFIG), batches[: len(results)], 1)
    assert model.state == expected.state
