"""Scores: calibrated on streams that stay as they are, and healing on those that don't."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks.one_pass.tables import flights
from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import assign, new_model, reconfigure
from shoal_server.clustering.outliers import CHUNK_ROWS, no_scores, scored, scores_of
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.engines.contract import Engine, Task, run_in_order
from shoal_server.errors import DomainError, Reason
from tests.clustering.builders import half_life, on_bug, snapshot
from tests.clustering.streaming import BLOBS, applied, blobs, cut, drifts, heavy_tailed, middles, unequal_blobs
from tests.effort import examples
from tests.warm import warm_engine

CONFIG = ModelConfig(BLOBS, random_state=0, update_rule="refined", outlier_threshold=0.01)
Stream = Callable[[int], NDArray[np.float32]]
ENOUGH = {0.05: 40_000, 0.01: 80_000, 0.001: 300_000}  # rows for a threshold


# The upper ends of the histogram's bins.
EDGES = np.array([*(2 ** (i / 64) for i in range(-512, 512)), *(2 ** (i / 4) for i in range(32, 193)), np.inf])


def directions(n: int) -> NDArray[np.float32]:
    random = np.random.default_rng(4)
    where = random.normal(size=(BLOBS, 12))
    return (where[random.integers(BLOBS, size=n)] + 0.5 * random.normal(size=(n, 12))).astype(np.float32)


def digits(n: int) -> NDArray[np.float32]:
    """Return the digits again and again, each time in another order and with a little noise."""
    random, rows = np.random.default_rng(5), load_digits().data
    found: NDArray[np.float32] = (rows[random.integers(len(rows), size=n)] + random.normal(size=(n, 64))).astype(
        np.float32
    )
    return found


def shuffled_flights(n: int) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = flights()
    return rows[np.random.default_rng(6).permutation(len(rows))[:n]]


STREAMS: dict[str, Stream] = {
    "blobs": blobs,
    "heavy tails": heavy_tailed,
    "unequal clusters": unequal_blobs,
    "directions": directions,
    "digits": digits,
    "flights": shuffled_flights,
}


def share(results: list[BatchResult]) -> float:
    """Return the share of outliers in the second half of the batches."""
    half = results[len(results) // 2 :]
    return sum(each.outliers for each in half) / sum(each.accepted for each in half)


def config_of(stream: str, threshold: float) -> ModelConfig:
    metric: Any = "cosine" if stream == "directions" else "euclidean"
    return replace(CONFIG, metric=metric, outlier_threshold=threshold)


@pytest.mark.parametrize("threshold", [0.05, 0.01, pytest.param(0.001, marks=pytest.mark.torture)])
@pytest.mark.parametrize("stream", STREAMS)
def test_the_share_of_outliers_is_the_threshold_on_a_stationary_stream(stream: str, threshold: float) -> None:
    points = STREAMS[stream](ENOUGH[threshold])

    _, results = applied(new_model(config_of(stream, threshold)), cut(points, [500]))

    assert share(results) == pytest.approx(threshold, rel=0.2)


@pytest.mark.parametrize("sizes", [[1, 7, 40], [100], [CHUNK_ROWS + 1], [30_000]])
@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_the_share_of_outliers_is_the_threshold_in_batches_of_any_size(rule: Any, sizes: list[int]) -> None:
    config = replace(CONFIG, update_rule=rule, outlier_threshold=0.05, half_life=half_life(20_000, "points"))
    points = blobs(10_000 if 1 in sizes else 90_000)

    _, results = applied(new_model(config), cut(points, sizes))

    assert share(results) == pytest.approx(0.05, rel=0.2)


@pytest.mark.parametrize("k", [2, 60])
def test_scores_are_calibrated_with_too_few_and_too_many_clusters(k: int) -> None:
    config = replace(CONFIG, n_clusters=k, outlier_threshold=0.05)

    _, results = applied(new_model(config), cut(blobs(60_000), [500]))

    assert share(results) == pytest.approx(0.05, rel=0.2)


def test_outliers_are_those_whose_scores_are_below_the_threshold_and_move_nothing() -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(20_000), [500]))
    far = np.full((3, 4), 500.0, np.float32)
    batch = Batch(np.concatenate([blobs(200, 9, at=0), far]), return_labels=True, return_scores=True)

    after, (result,) = applied(model, [batch])

    assert result.scores is not None
    assert result.labels is not None
    assert result.outliers == (result.scores < 0.01).sum() >= 3
    assert (result.scores[-3:] < 1e-3).all()
    assert (result.accepted, result.dropped, len(result.labels)) == (203, 0, 203)
    assert snapshot(after).weights.sum() == pytest.approx(snapshot(model).weights.sum() + 203 - result.outliers)
    assert abs(snapshot(after).centroids - snapshot(model).centroids).max() < 0.1
    assert result.inertia > 3 * 1e5
    assert snapshot(after).inertia == result.inertia
    assert after.state.points_accepted == model.state.points_accepted + 203


def test_a_batch_of_outliers_alone_makes_a_version_that_stands_still() -> None:
    without_refinements = replace(CONFIG, update_rule="incremental")
    model, _ = applied(new_model(without_refinements), cut(blobs(20_000), [500]))

    after, (result,) = applied(model, [Batch(np.full((2, 4), 500.0, np.float32))])

    assert (result.accepted, result.outliers, after.version) == (2, 2, model.version + 1)
    np.testing.assert_array_equal(snapshot(after).centroids, snapshot(model).centroids)


def test_a_threshold_that_nothing_reaches_changes_no_centroid() -> None:
    batches = cut(blobs(20_000), [500])

    plain, _ = applied(new_model(replace(CONFIG, outlier_threshold=None)), batches)
    scoring, results = applied(new_model(replace(CONFIG, outlier_threshold=1e-9)), batches)

    assert not any(each.outliers for each in results)
    np.testing.assert_allclose(snapshot(scoring).centroids, snapshot(plain).centroids, rtol=1e-9)


@pytest.mark.parametrize("threshold", [0.01, 0.05])
@pytest.mark.parametrize("rule", ["incremental", "refined"])
@pytest.mark.parametrize("rows", [20_000, 100_000])
def test_rows_of_a_new_kind_are_not_outliers_for_long(rows: int, rule: Any, threshold: float) -> None:
    config = replace(CONFIG, update_rule=rule, outlier_threshold=threshold)
    model, _ = applied(new_model(config), cut(blobs(rows), [500]))

    model, results = applied(model, cut(blobs(10_000, at=77), [500]))

    assert results[0].outliers > 250
    memory = max(400, 10_000 * threshold)  # rows beyond the threshold
    assert sum(each.outliers for each in results) < 3 * memory + 10_000 * threshold
    assert share(results) < 2 * threshold


def test_a_shift_within_one_large_batch_is_taken_in() -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(50_000), [500]))

    _, (result,) = applied(model, [Batch(blobs(100_000, at=77))])

    assert 400 < result.outliers < 2 * CHUNK_ROWS


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 5))
@examples(100)
def test_a_score_is_the_share_of_earlier_rows_as_far_from_their_clusters(seed: int, n: int, k: int) -> None:
    random = np.random.default_rng(seed)
    spreads = 10.0 ** random.uniform(-2, 2, k)
    state = no_scores(k)
    for _ in range(4):
        labels = random.integers(k, size=n).astype(np.int32)
        squares = spreads[labels] * random.chisquare(3, n)
        own = (state.squares + 4 * state.squares.sum() / max(state.counts.sum(), 1)) / (state.counts + 4)
        before = state
        found = scored(state, labels, squares, None, 1.0, 1e-9, run_in_order)
        state = found.after
        if before.counts.sum():
            ratios = squares / own[labels]
            total = before.ratios.sum()
            for ratio, score in zip(ratios, found.scores, strict=True):
                # The histogram's bins are 1.1 % wide, and older rows count less.
                nearer, farther = (weight_beyond(before.ratios, edge * ratio) for edge in (1.012, 0.988))
                assert (nearer + 1) / (total + 1) - 1e-9 <= score <= (farther + 1) / (total + 1) + 1e-9
        np.testing.assert_array_equal(found.scores, scores_of(before, labels, squares, run_in_order))
        assert ((found.scores > 0) & (found.scores <= 1)).all()


def weight_beyond(ratios: NDArray[np.float64], edge: float) -> float:
    """Return what a histogram has in the bins that are wholly or partly beyond an edge, bin by bin."""
    return float(ratios[edge < EDGES].sum())


@pytest.mark.parametrize("squares", [[0.0], [1e300, 1e-300, 0.0], [1e38] * 5, [5e-324, 1.0]])
def test_distances_of_every_size_have_scores(squares: list[float]) -> None:
    labels = np.zeros(len(squares), np.int32)
    state = no_scores(1)
    for _ in range(5):
        found = scored(state, labels, np.array(squares), None, 1.0, 0.5, run_in_order)
        state = found.after

        assert ((found.scores > 0) & (found.scores <= 1)).all()
        assert np.isfinite(state.ratios).all()


@pytest.mark.parametrize("group", [3, 1000])
@pytest.mark.parametrize("unit", ["batches", "points", None])
def test_a_model_is_the_same_bit_for_bit_however_its_batches_are_grouped(group: int, unit: Any) -> None:
    random = np.random.default_rng(1)
    config = replace(CONFIG, on_drift="adapt", half_life=half_life(3000.0, unit) if unit else None)
    points = np.concatenate([blobs(4_000), blobs(3_000, at=7)])
    batches = [
        batch._replace(
            sample_weight=random.exponential(size=len(batch.points)) * (number % 8 > 0) if number % 4 == 0 else None,
            return_scores=number % 3 == 0,
        )
        for number, batch in enumerate(cut(points, [1, 7, 64, 1, 200, 3]))
    ]

    one, results = applied(new_model(config), batches, 1)
    other, same_results = applied(new_model(config), batches, group)

    assert one.state == other.state
    assert [plain(each) for each in results] == [plain(each) for each in same_results]
    assert sum(each.outliers for each in results) > 10
    assert drifts(one)
    assert one.events == other.events


def test_scores_are_the_same_on_several_threads() -> None:
    batches = cut(blobs(40_000), [5_000])

    def on_threads(task: Task, count: int) -> None:
        def whole(index: int) -> None:
            for _ in task(index) or ():
                pass

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(whole, range(count)))

    one, results = applied(new_model(CONFIG), batches)
    other, same_results = applied(new_model(CONFIG), batches, run=on_threads)

    assert one.state == other.state
    assert [plain(each) for each in results] == [plain(each) for each in same_results]


@pytest.mark.parametrize("stage", [0, 1, 30])
def test_a_model_made_of_a_pickled_state_goes_on_bit_for_bit(stage: int) -> None:
    config = replace(CONFIG, on_drift="adapt")
    batches = cut(np.concatenate([blobs(8_000), blobs(4_000, at=7)]), [150])
    model, _ = applied(new_model(config), batches[:stage])

    carried = Model(config, pickle.loads(pickle.dumps(model.state)))  # noqa: S301  (of this test's own)
    model, _ = applied(model, batches[stage:])
    carried, _ = applied(carried, batches[stage:])

    assert carried.state == model.state
    assert model.state.outliers is not None


@pytest.mark.parametrize("name", ["sklearn", "scipy"])
def test_every_engine_finds_the_same_outliers(engines: dict[EngineName, Engine], name: EngineName) -> None:
    batches = cut(blobs(12_000).astype(np.float64), [300])
    config = replace(CONFIG, update_rule="incremental")

    _, expected = applied(new_model(config), batches)
    _, results = applied(new_model(replace(config, engine=name)), batches, engine=engines[name])

    assert [each.outliers for each in results] == [each.outliers for each in expected]
    assert sum(each.outliers for each in results) > 50


def test_dropped_rows_have_no_score_and_rows_of_weight_0_are_not_counted() -> None:
    config = replace(CONFIG, on_invalid="drop")
    model, _ = applied(new_model(config), cut(blobs(10_000), [500]))
    points = blobs(4, 5, at=0)
    points[1, 2] = np.nan

    after, (result,) = applied(model, [Batch(points, np.zeros(4), return_scores=True)])

    assert result.scores is not None
    np.testing.assert_array_equal(np.isnan(result.scores), [False, True, False, False])
    assert after.state.outliers is not None
    assert model.state.outliers is not None
    np.testing.assert_array_equal(after.state.outliers.ratios, model.state.outliers.ratios)


def test_scores_begin_once_there_are_centroids() -> None:
    model, (warming, first, second) = applied(
        new_model(replace(CONFIG, outlier_threshold=0.5)),
        [batch._replace(return_scores=True) for batch in cut(blobs(60), [20])],
    )

    assert warming.scores is None
    assert first.scores is not None
    assert (first.scores == 1).all()
    assert second.scores is not None
    assert model.state.outliers is not None


def test_assigned_points_get_the_scores_that_the_next_batch_would() -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(10_000), [500]))
    points = np.concatenate([blobs(100, 8, at=0), np.full((1, 4), 99, np.float32)])

    assigned = assign(model, points, warm_engine(), run_in_order, return_distances=False, return_scores=True)
    _, (pushed,) = applied(model, [Batch(points, return_scores=True)])

    assert assigned.distances is None
    assert assigned.scores is not None
    np.testing.assert_array_equal(assigned.scores, pushed.scores)


def test_a_model_without_threshold_has_no_scores() -> None:
    model, _ = applied(new_model(replace(CONFIG, outlier_threshold=None)), cut(blobs(1_000), [100]))

    with pytest.raises(DomainError) as refused:
        assign(model, blobs(5), warm_engine(), run_in_order, return_scores=True)
    batches = [Batch(blobs(5)), Batch(blobs(5), return_scores=True), Batch(blobs(5))]
    after, results = apply_batches(model, batches, warm_engine(), run_in_order, lambda: False, on_bug, warm_engine())

    assert refused.value.refusal.reason is Reason.SCORES_UNAVAILABLE
    assert [each.refusal and each.refusal.reason for each in results] == [None, Reason.SCORES_UNAVAILABLE, None]
    assert after.version == model.version + 2
    assert after.state.outliers is None


def test_a_threshold_can_come_and_go() -> None:
    batches = cut(blobs(20_000), [500])
    model, _ = applied(new_model(replace(CONFIG, outlier_threshold=None)), batches[:10])

    model, with_threshold = applied(reconfigure(model, CONFIG), batches[10:30])
    found = model.state.outliers
    model, without = applied(reconfigure(model, replace(CONFIG, outlier_threshold=None)), batches[30:])

    assert found is not None
    assert found.found == sum(each.outliers for each in with_threshold) > 0
    assert not any(each.outliers for each in without)
    assert model.state.outliers is None


@pytest.mark.parametrize("k", [4, 20])
def test_scores_are_calibrated_after_a_change_of_the_number_of_clusters(k: int) -> None:
    batches = cut(blobs(120_000), [500])
    model, before = applied(new_model(replace(CONFIG, outlier_threshold=0.05)), batches[:60])

    model = reconfigure(model, replace(model.config, n_clusters=k), fitter=warm_engine())
    model, after = applied(model, batches[60:])

    assert share(after) == pytest.approx(0.05, rel=0.2)
    assert model.state.outliers is not None
    assert len(model.state.outliers.counts) == k
    assert model.state.outliers.found == sum(each.outliers for each in before + after)


def test_the_spreads_are_those_of_all_rows_after_a_refinement() -> None:
    points = unequal_blobs(30_000)
    model, at, moved = new_model(replace(CONFIG, outlier_threshold=1e-6)), 0, new_model(CONFIG)
    for number, batch in enumerate(cut(points, [300]), 1):
        model, (result,) = applied(model, [batch])
        if result.refined:
            at, moved = 300 * number, model

    squares = ((points[:at, None].astype(np.float64) - snapshot(moved).centroids) ** 2).sum(axis=2)
    labels = squares.argmin(axis=1)
    counts = np.bincount(labels, minlength=BLOBS)
    expected = np.bincount(labels, squares.min(axis=1), BLOBS) / np.maximum(counts, 1)
    outliers = moved.state.outliers
    assert at > 3_000
    assert outliers is not None
    spreads = outliers.squares / np.maximum(outliers.counts, 1e-9)
    np.testing.assert_allclose(spreads[counts > 500], expected[counts > 500], rtol=0.1)


def plain(result: BatchResult) -> Any:
    return result._replace(scores=None), None if result.scores is None else result.scores.tobytes()


def test_middles_are_apart() -> None:
    apart = [np.linalg.norm(one - other) for one, other in itertools.combinations(middles(0), 2)]

    assert min(apart) > 6
