"""Batches that go into the summary as a whole: the same bits however they come, and exact sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering import batch_sampling
from shoal_server.clustering.batch_sampling import is_sampled_whole, min_rows
from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.fused import _fusible, apply_batches
from shoal_server.clustering.model import new_model
from shoal_server.clustering.open_block import calibrated
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.clustering.summary import total_weight
from shoal_server.engines.contract import Engine, Frame, run_in_order
from tests.clustering.builders import half_life, on_bug, snapshot
from tests.clustering.streaming import applied, blobs, cut, middles
from tests.clustering.summary_builders import assert_exact, centre_sets, cost, estimated, weighted_points
from tests.warm import warm_engine

CONFIG = ModelConfig(10, random_state=3, update_rule="refined", summary_size=400)
SIZES = [300, 4096, 256, 15, 16, 900, 5, 64, 1000, 17]
MIN_ROWS = min_rows(10, 4)


class OneByOne:
    """An engine that applies no batches itself: each is added up, and the update rule follows."""

    def __init__(self) -> None:
        self.contribute, self.assign = warm_engine().contribute, warm_engine().assign


class Counting:
    """Computes summaries, and counts the calls by which rows go in one by one, and batches as a whole."""

    def __init__(self) -> None:
        self.search = warm_engine().search
        self.calls: Counter[str] = Counter()

    def summary_kernels(self, precision: Any) -> Any:
        kernels = warm_engine().summary_kernels(precision)
        return replace(
            kernels,
            sample_rows=self._counted("rows", kernels.sample_rows),
            sample_batch=self._counted("batch", kernels.sample_batch),
        )

    def _counted(self, name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls[name] += 1
            return function(*arguments)

        return call


def fed(
    batches: Sequence[Batch], config: ModelConfig, group: int, *, engine: Any = None, fitter: Any = None
) -> tuple[Model, list[BatchResult]]:
    """Return a model after batches, so many of which come in one call, and their results, refusals among them."""
    model, results = new_model(config), []
    engine, fitter = engine or warm_engine(), fitter or warm_engine()
    for start in range(0, len(batches), group):
        ahead = batches[start : start + group]
        model, more = apply_batches(model, ahead, engine, run_in_order, lambda: False, on_bug, fitter)
        results += more
    return model, results


def all_kinds(rows: int = 40_000) -> list[Batch]:
    """Return batches of many sizes, with weights and times and without, and some that are refused."""
    random = np.random.default_rng(1)
    batches = [
        batch._replace(
            event_time=1000.0 + number - 3 * (number % 5 == 0),
            sample_weight=random.choice([0.0, 0.3, 1.0, 2.0], size=len(batch.points)) if number % 7 == 0 else None,
        )
        for number, batch in enumerate(cut(blobs(rows), SIZES))
    ]
    for number in range(20, len(batches), 5):
        points = batches[number].points.copy()
        points[-1, 1] = np.nan
        batches[number] = batches[number]._replace(points=points)
    return batches


@pytest.mark.parametrize("unit", ["batches", "points", "seconds", None])
def test_a_model_has_the_same_bits_however_large_batches_are_grouped(unit: Any) -> None:
    value = 9000.0 if unit == "points" else 12.0
    config, batches = replace(CONFIG, half_life=half_life(value, unit) if unit else None), all_kinds()

    model, results = fed(batches, config, 1)

    assert sum(each.refined for each in results) > 3
    assert sum(each.refusal is not None for each in results) > 3
    for group in (2, 7, 1000):
        other, same_results = fed(batches, config, group)
        assert other.state == model.state
        assert same_results == results


def test_a_model_has_the_same_bits_where_batches_are_added_up_before_they_are_applied() -> None:
    batches = all_kinds()

    model, _ = fed(batches, CONFIG, 8)
    other, _ = fed(batches, CONFIG, 8, engine=OneByOne())

    np.testing.assert_array_equal(snapshot(model).centroids, snapshot(other).centroids)
    assert model.state._replace(snapshot=None) == other.state._replace(snapshot=None)


@pytest.mark.parametrize("name", ["numba", "sklearn", "scipy"])
def test_batches_go_in_as_a_whole_until_a_block_ends(name: EngineName, engines: dict[EngineName, Engine]) -> None:
    fitter, batches = Counting(), cut(blobs(200_000), [1000])

    model, _ = fed(batches, replace(CONFIG, engine=name), 8, engine=engines[name], fitter=fitter)

    assert model.state.learning is not None
    blocks = model.state.learning.summary.blocks
    if name == "numba":  # as they are applied, but for those that a block may have no room for
        assert fitter.calls["batch"] <= blocks
    else:
        assert fitter.calls["batch"] > 150
    assert fitter.calls["rows"] < 3 * blocks + 10
    assert total_weight(model.state.learning.summary, 0.0) == pytest.approx(200_000, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_total_weight_and_mean_stay_exact(weighted: bool) -> None:
    points = blobs(60_000) + np.float32(100.0)
    weight = np.random.default_rng(2).exponential(size=len(points)) if weighted else np.ones(len(points))
    batches = [
        Batch(points[start : start + 2000], weight[start : start + 2000] if weighted else None)
        for start in range(0, len(points), 2000)
    ]
    model = new_model(CONFIG)

    for start in range(0, len(batches), 5):
        model, _ = applied(model, batches[start : start + 5])
        assert model.state.learning is not None
        rows = slice((start + 5) * 2000)
        found = weighted_points(model.state.learning.summary, 0.0)
        assert_exact(found, points[rows] - model.frame.origin, weight[rows])


def test_estimates_of_inertia_are_as_good_as_those_of_rows_that_go_in_one_by_one() -> None:
    points = blobs(100_000)
    config = ModelConfig(10, random_state=0, init=middles(0), update_rule="incremental", summary_size=2000)

    errors = {}
    for rows in (MIN_ROWS - 1, 1000):
        model, _ = applied(new_model(config), cut(points, [rows]))
        assert model.state.learning is not None
        found = weighted_points(model.state.learning.summary, 0.0)
        sets = centre_sets(np.random.default_rng(1), points - model.frame.origin, 10)
        errors[rows] = [
            abs(estimated(found, centres) / cost(points - model.frame.origin, np.ones(len(points)), centres) - 1)
            for centres in sets
        ]

    assert max(errors[1000]) < 0.02
    assert np.mean(errors[1000]) < 1.5 * np.mean(errors[MIN_ROWS - 1]) + 0.002


@pytest.mark.parametrize("rows", [MIN_ROWS - 1, 500])
@pytest.mark.parametrize("gap", [40.0, 2000.0, 1e9])
def test_all_is_forgotten_after_a_pause_of_many_half_lives(rows: int, gap: float) -> None:
    config = replace(CONFIG, half_life=half_life(5.0, "seconds"))
    batches = [
        batch._replace(event_time=number / 10 + gap * (number >= 60))
        for number, batch in enumerate(cut(blobs(70 * rows), [rows]))
    ]

    model, results = fed(batches, config, 8)

    assert not any(each.refusal for each in results)
    assert model.state.learning is not None
    schedule = model.state.learning.schedule
    weight = total_weight(model.state.learning.summary, schedule.age)
    assert weight == pytest.approx(schedule.weight, rel=1e-9)
    assert weight == pytest.approx(snapshot(model).weights.sum(), rel=1e-6)
    assert weight < 11 * rows


@pytest.mark.parametrize("value", [None, 1.0])
def test_what_is_looked_at_is_linear_in_the_number_of_batches(value: float | None, monkeypatch: Any) -> None:
    looked_at = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal looked_at
        found = _fusible(*arguments, **options)
        looked_at += len(found.batches)
        return found

    monkeypatch.setattr("shoal_server.clustering.fused._fusible", counted)
    config = replace(CONFIG, half_life=half_life(value) if value else None, summary_size=2000)
    batches = [Batch(each.points, np.ones(len(each.points))) for each in cut(blobs(40 * 1000), [40])]

    fed(batches, config, len(batches))

    assert looked_at < 4 * len(batches)


def test_batches_between_a_refinement_and_an_invalid_one_are_applied_together() -> None:
    added_up = 0

    class Noting:
        def __getattr__(self, name: str) -> Any:
            nonlocal added_up
            added_up += name == "contribute"
            return getattr(warm_engine(), name)

    batches = cut(blobs(60_000), [500])
    batches[60::20] = [Batch(np.full((500, 4), np.nan, np.float32))] * len(batches[60::20])

    _, results = fed(batches, CONFIG, len(batches), engine=Noting())

    assert sum(each.refusal is not None for each in results) == 3
    assert sum(each.refined for each in results) > 3
    assert added_up < 10  # those of the warming, and each that was refused


def test_a_refused_batch_ends_no_block(monkeypatch: Any) -> None:
    ends = 0

    def counted(*arguments: Any) -> Any:
        nonlocal ends
        ends += 1
        return calibrated(*arguments)

    points = blobs(40 * 512)
    heavy = [Batch(points[:10], np.full(10, 1e6)) for _ in range(4)]
    invalid = Batch(np.full((500, 4), np.nan, np.float32))
    model, _ = fed([*cut(points, [512]), *heavy], CONFIG, 8)
    monkeypatch.setattr("shoal_server.clustering.summary.calibrated", counted)

    for _ in range(5):
        after, (result,) = apply_batches(
            model, [invalid], warm_engine(), run_in_order, lambda: False, on_bug, warm_engine()
        )
        assert result.refusal is not None
        assert after.state == model.state
    ends_of_refused = ends
    apply_batches(model, [Batch(points[:512])], warm_engine(), run_in_order, lambda: False, on_bug, warm_engine())

    assert (ends_of_refused, ends > 0) == (0, True)


@pytest.mark.parametrize("scale", [1e-24, 1e-22, 1e-15])
def test_squares_that_a_precision_does_not_hold_are_added_up_in_a_wider_one(scale: float) -> None:
    points = (blobs(40_000).astype(np.float64) * scale).astype(np.float32)

    model, _ = fed(cut(points, [1000]), CONFIG, 8)

    assert model.state.learning is not None
    found = weighted_points(model.state.learning.summary, 0.0)
    wide = points.astype(np.float64) / scale - model.frame.origin.astype(np.float64) / scale
    squares = float(found.weights @ ((found.points.astype(np.float64) / scale) ** 2).sum(axis=1))
    assert squares + float(found.scatter.sum()) / scale**2 == pytest.approx(float((wide**2).sum()), rel=1e-4)


@pytest.mark.parametrize(
    ("k", "d", "least", "most"), [(10, 4, 16, 1 << 18), (64, 16, 64, 1 << 16), (1024, 128, 256, 1 << 13)]
)
def test_small_batches_and_huge_ones_are_not_taken_as_a_whole(k: int, d: int, least: int, most: int) -> None:
    frame = Frame(np.zeros((k, d)), np.zeros(d), np.ones(k), cosine=False)

    taken = [rows for rows in (least - 1, least, most, most + 1) if is_sampled_whole(rows, frame)]

    assert taken == [least, most]


@pytest.mark.parametrize("group", [1, 7])
@pytest.mark.parametrize("engine", [None, OneByOne])
def test_room_for_fewer_rows_than_are_kept_changes_no_bit(monkeypatch: Any, group: int, engine: Any) -> None:
    """More are kept than are expected where the stream goes to a new place."""
    batches = [*all_kinds(20_000), *cut(blobs(20_000, 1) + 30, SIZES)]
    monkeypatch.setattr(batch_sampling, "_SPARE_ROOM", 10**6)
    model, results = fed(batches, CONFIG, 8, engine=engine and engine())
    failed = 0

    def begun(*arguments: Any, **options: Any) -> Any:
        nonlocal failed
        failed += options["all_room"]
        return batch_sampling.begin_sampling(*arguments, **options)

    monkeypatch.setattr(batch_sampling, "_SPARE_ROOM", 1)
    monkeypatch.setattr(batch_sampling, "_TIMES_EXPECTED", 1)
    monkeypatch.setattr("shoal_server.clustering.absorbing.begin_sampling", begun)
    other, same_results = fed(batches, CONFIG, group, engine=engine and engine())

    assert failed > 20
    assert other.state == model.state
    assert same_results == results


def test_a_call_makes_no_room_for_all_of_its_rows() -> None:
    """Arrays that large are asked of the system anew for each call, which takes longer than to fill them."""
    batches = cut(blobs(400_000), [4096])
    model, _ = fed(batches[:60], CONFIG, 4)
    assert model.state.learning is not None
    summary = model.state.learning.summary

    sampling = batch_sampling.begin_sampling(
        summary, [batch.points for batch in batches[60:64]], [4096.0] * 4, [0.0] * 4, 3,
        warm_engine().summary_kernels(np.dtype(np.float32)), run_in_order,
    )  # fmt: skip

    assert sampling is not None
    assert len(sampling.sample.kept) < 4096 / 4
