"""Drift: found within five batches, never on a stream that stays as it is, and adapted to."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal_server.clustering.adapting import REMAINING
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.drift import MIN_BLOCK_ROWS, MIN_RUN, Drift, DriftWatch, watched
from shoal_server.clustering.model import new_model, reconfigure
from shoal_server.clustering.state import Batch, Model
from shoal_server.clustering.summary import total_weight
from tests.clustering.builders import half_life, snapshot
from tests.clustering.streaming import BLOBS, applied, blobs, cut, drifts, heavy_tailed, middles, unequal_blobs
from tests.effort import examples
from tests.warm import warm_engine

CONFIG = ModelConfig(BLOBS, random_state=0, update_rule="refined")
WITHIN = 5  # batches
Squares = Callable[[np.random.Generator, int], NDArray[np.float64]]

# Squared distances of rows to their centroids.
SQUARES: dict[str, Squares] = {
    "two columns": lambda random, n: random.chisquare(2, n),
    "many columns": lambda random, n: random.chisquare(64, n),
    "finite variance": lambda random, n: (random.standard_t(5, (n, 2)) ** 2).sum(axis=1),
    "no variance": lambda random, n: (random.standard_t(3, (n, 2)) ** 2).sum(axis=1),
    "no mean": lambda random, n: random.standard_cauchy(n) ** 2,
    "log-normal": lambda random, n: np.exp(3 * random.normal(size=n)),
    "rows of no cluster": lambda random, n: random.chisquare(2, n) * np.where(random.random(n) < 0.002, 500, 1),
    "mostly zeros": lambda random, n: np.where(random.random(n) < 0.002, 1.0, 0.0),
    "all zeros": lambda _, n: np.zeros(n),
}
LIGHT = ["two columns", "many columns"]


def looked_at(squares: NDArray[np.float64], rows: int, watch: DriftWatch | None = None) -> tuple[DriftWatch, list[int]]:
    """Return the watch after rows in batches of so many, and the numbers of the batches by which drifts were found."""
    starts = np.arange(0, len(squares), rows)
    sizes = np.diff([*starts, len(squares)])
    batches = [(int(n), float(n), float(each)) for n, each in zip(sizes, np.add.reduceat(squares, starts), strict=True)]
    watch, at, found = watch or DriftWatch(), 0, []
    while at < len(batches):
        watch, count, drift = watched(watch, batches[at:])
        at += count
        found += [] if drift is None else [at]
    return watch, found


@pytest.mark.parametrize("rows", [1, 32, 1_000, 65_536])
@pytest.mark.parametrize("kind", SQUARES)
def test_no_drift_is_found_in_rows_that_stay_as_they_are(kind: str, rows: int) -> None:
    squares = SQUARES[kind](np.random.default_rng(0), 1_300_000 if rows > 10_000 else 100_000)

    assert looked_at(squares, rows)[1] == []


@pytest.mark.torture
@pytest.mark.parametrize("rows", [1, 64, 1_000, 65_536])
@pytest.mark.parametrize("kind", SQUARES)
@pytest.mark.parametrize("seed", range(10))
def test_no_drift_is_found_in_a_million_rows_that_stay_as_they_are(kind: str, rows: int, seed: int) -> None:
    squares = SQUARES[kind](np.random.default_rng([seed, 7]), 1_000_000)

    assert looked_at(squares, rows)[1] == []


@pytest.mark.parametrize(("rows", "rise"), [(64, 3.0), (500, 1.5), (4_096, 1.4), (65_536, 1.4)])
@pytest.mark.parametrize("kind", LIGHT)
@pytest.mark.parametrize("before", [12, 40, 300])
def test_a_rise_is_found_within_five_batches(kind: str, rows: int, rise: float, before: int) -> None:
    random = np.random.default_rng(before)
    watch, early = looked_at(SQUARES[kind](random, rows * min(before, 4_000_000 // rows)), rows)

    _, found = looked_at(rise * SQUARES[kind](random, 10 * rows), rows, watch)

    assert early == []
    assert found
    assert found[0] <= WITHIN


def test_a_drift_has_the_inertia_before_and_after() -> None:
    random = np.random.default_rng(0)
    watch, _ = looked_at(random.chisquare(2, 100_000), 1_000)

    _, count, drift = watched(watch, [(1_000, 500.0, 500.0 * random.chisquare(2, 1_000).mean() * 5)] * 9)

    assert count == MIN_RUN
    assert drift is not None
    assert drift.before == pytest.approx(2, rel=0.05)
    assert drift.after == pytest.approx(10, rel=0.1)
    assert drift.weight == 500.0 * MIN_RUN


def test_one_batch_of_far_rows_is_no_drift() -> None:
    squares = np.random.default_rng(0).chisquare(2, 200_000)
    squares[100_000:102_000] *= 1e6

    assert looked_at(squares, 1_000)[1] == []


def test_each_of_several_drifts_is_found_once() -> None:
    squares = np.random.default_rng(0).chisquare(8, 300_000) * np.repeat([1.0, 3.0, 0.5, 4.0, 12.0, 1.0], 50_000)

    _, found = looked_at(squares, 1_000)

    assert found == [54, 154, 204]


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1e50), st.floats(0, 1e200)), max_size=60), st.data())
@examples(100)
def test_a_watch_is_the_same_however_batches_are_grouped(batches: list[Any], data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(batches)))

    def all_of(watch: DriftWatch, part: list[Any]) -> tuple[DriftWatch, list[Drift]]:
        drifts: list[Drift] = []
        while part:
            watch, count, drift = watched(watch, part)
            part = part[count:]
            drifts += [] if drift is None else [drift]
        return watch, drifts

    whole, drifts = all_of(DriftWatch(), batches)
    half, first = all_of(DriftWatch(), batches[:split])
    rest, second = all_of(half, batches[split:])

    assert rest == whole
    assert first + second == drifts
    assert all(math.isfinite(each) for each in whole.level)


STREAMS: dict[str, Callable[[int, int], NDArray[np.float32]]] = {
    "blobs": blobs,
    "heavy tails": heavy_tailed,
    "unequal": unequal_blobs,
}


@pytest.mark.parametrize("k", [2, BLOBS, 100])
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_a_stream_that_stays_as_it_is_has_no_drift_while_its_model_learns(stream: str, rule: Any, k: int) -> None:
    config = replace(CONFIG, n_clusters=k, update_rule=rule)

    model, _ = applied(new_model(config), cut(STREAMS[stream](20_000, 3), [64]))

    assert not drifts(model)


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("half_life_batches", [None, 5.0])
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_a_million_rows_that_stay_as_they_are_have_no_drift(
    rule: Any, stream: str, half_life_batches: float | None, seed: int
) -> None:
    forgetting = None if half_life_batches is None else half_life(half_life_batches)
    config = replace(CONFIG, update_rule=rule, half_life=forgetting, random_state=seed)

    model, _ = applied(new_model(config), cut(STREAMS[stream](1_000_000, seed), [1_000]), 32)

    assert not drifts(model)


SHIFTS: dict[str, Callable[[int], NDArray[np.float32]]] = {
    "every blob elsewhere": lambda n: blobs(n, 1, at=77),
    "all moved": lambda n: blobs(n, 1, at=0) + np.float32(3),
    "wider": lambda n: blobs(n, 1, at=0, spread=1.6),
}


@pytest.mark.parametrize("threshold", [None, 0.01])
@pytest.mark.parametrize("forgetting", [None, half_life(5.0)])
@pytest.mark.parametrize("rows", [256, 4_096])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_is_found_within_five_batches(shift: str, rows: int, forgetting: Any, threshold: float | None) -> None:
    before = 25
    batches = cut(np.concatenate([blobs(before * rows), SHIFTS[shift](10 * rows)]), [rows])
    config = replace(CONFIG, half_life=forgetting, outlier_threshold=threshold)

    model, results = applied(new_model(config), batches)

    first = drifts(model)[0]
    (found,) = [number for number, each in enumerate(results, 1) if each.version == first.version]
    assert 0 < found - before <= WITHIN
    assert first.before is not None
    assert first.after is not None
    assert first.after > 1.25 * first.before


@pytest.mark.parametrize("forgetting", [None, half_life(5.0)])
@pytest.mark.parametrize("threshold", [None, 0.01])
def test_a_model_that_adapts_fits_the_new_rows_soon(forgetting: Any, threshold: float | None) -> None:
    batches = cut(np.concatenate([blobs(50_000), blobs(20_000, 1, at=77)]), [1_000])
    new, best = blobs(5_000, 2, at=77), 4.0  # of a row: one a column

    def fitted(on_drift: Any) -> float:
        config = replace(CONFIG, half_life=forgetting, outlier_threshold=threshold, on_drift=on_drift)
        model, _ = applied(new_model(config), batches[:58])
        squares = ((new[:, None].astype(np.float64) - snapshot(model).centroids) ** 2).sum(axis=2).min(axis=1)
        return float(squares.mean()) / best

    assert fitted("report") > 2
    assert fitted("adapt") < 1.1


@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_a_model_that_adapts_forgets_at_once(rule: Any) -> None:
    config = replace(CONFIG, update_rule=rule, on_drift="adapt")
    model, _ = applied(new_model(config), cut(blobs(100_000), [1_000]))
    for batch in cut(blobs(10_000, 1, at=77), [1_000]):
        model, _ = applied(model, [batch])
        if drifts(model):
            break

    left = REMAINING * 1_000 * MIN_RUN
    assert snapshot(model).weights.sum() == pytest.approx(left, rel=1e-6)
    if model.state.learning is not None:
        learning = model.state.learning
        assert total_weight(learning.summary, learning.schedule.age) == pytest.approx(left, rel=1e-6)
    assert model.state.points_accepted == 100_000 + 1_000 * MIN_RUN


def test_nothing_is_forgotten_that_is_less_than_what_is_to_remain() -> None:
    config = replace(CONFIG, half_life=half_life(0.05), on_drift="adapt")
    batches = [Batch(np.full((100, 4), 10.0**number, np.float32)) for number in range(16)]

    model, _ = applied(new_model(config), batches)

    assert snapshot(model).weights.sum() == pytest.approx(100, rel=1e-3)


@pytest.mark.parametrize("group", [3, 1000])
@pytest.mark.parametrize("on_drift", ["report", "adapt"])
@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_a_model_is_the_same_bit_for_bit_however_its_batches_are_grouped(rule: Any, on_drift: Any, group: int) -> None:
    config = replace(CONFIG, update_rule=rule, on_drift=on_drift)
    points = np.concatenate([blobs(2_000), blobs(2_000, 1, at=7), blobs(2_000, 2, at=8)])
    batches = cut(points, [1, 7, 64, 100, 30])

    one, results = applied(new_model(config), batches, 1)
    other, same_results = applied(new_model(config), batches, group)

    assert one.state == other.state
    assert results == same_results
    assert one.events == other.events
    assert drifts(one)


@pytest.mark.parametrize("stage", [1, 40, 62])
def test_a_model_made_of_a_pickled_state_goes_on_bit_for_bit(stage: int) -> None:
    config = replace(CONFIG, on_drift="adapt")
    batches = cut(np.concatenate([blobs(6_000), blobs(4_000, at=7)]), [100])
    model, _ = applied(new_model(config), batches[:stage])

    carried = Model(config, pickle.loads(pickle.dumps(model.state)), events=model.events)  # noqa: S301  (of this test's own)
    model, results = applied(model, batches[stage:])
    carried, same_results = applied(carried, batches[stage:], 3)

    assert carried.state == model.state
    assert same_results == results
    assert carried.events == model.events
    assert drifts(model)


def test_a_model_with_fewer_clusters_has_no_drift() -> None:
    batches = cut(blobs(60_000), [500])
    model, _ = applied(new_model(CONFIG), batches[:60])

    model = reconfigure(model, replace(CONFIG, n_clusters=3), fitter=warm_engine())
    model, _ = applied(model, batches[60:])

    assert not drifts(model)


def test_small_batches_are_looked_at_together() -> None:
    watch, _, _ = watched(DriftWatch(), [(1, 1.0, 2.0)] * (2 * MIN_BLOCK_ROWS + 5))

    assert watch.level.blocks == 2
    assert watch.block.rows == 5


def test_the_middles_of_two_seeds_are_apart() -> None:
    assert np.linalg.norm(middles(0)[:, None] - middles(77), axis=2).min(axis=1).mean() > 5
