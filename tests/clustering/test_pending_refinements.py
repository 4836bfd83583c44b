"""Refinements that are done in pieces with the batches that follow, and may be lost, fail or be given up."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.absorbing import schedule_of
from shoal_server.clustering.adapting import after_drift
from shoal_server.clustering.deep_refinements import PIECES_A_BATCH
from shoal_server.clustering.drift import Drift
from shoal_server.clustering.due_refinements import FRESH_STARTS
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.learning import PendingLight
from shoal_server.clustering.model import new_model, reconfigure
from shoal_server.clustering.refined import _refined, _with_light_ended, without_refinement
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.engines.contract import run_in_order
from tests.clustering.builders import half_life, on_bug, snapshot
from tests.clustering.pending_builders import (
    CASES,
    LARGE,
    MANY,
    WIDE,
    after_a_round,
    batches_of,
    learning_of,
    pends,
    until_end,
    until_pending,
)
from tests.clustering.streaming import applied, cut
from tests.clustering.test_refined import CONFIG, blobs, ratio
from tests.warm import warm_engine

EACH = pytest.mark.parametrize("case", CASES)


def test_a_deep_refinement_is_done_in_pieces_with_the_batches_that_follow() -> None:
    model, batches = until_pending("deep")
    pieces: list[int] = []

    while deep := learning_of(model).deep:
        pieces.append(deep.pieces)
        model, _ = applied(model, [batches.pop(0)], 1)

    assert len(pieces) > 1
    assert pieces == list(range(pieces[0], pieces[0] + PIECES_A_BATCH * len(pieces), PIECES_A_BATCH))


def test_a_light_refinement_is_done_in_rounds_with_the_batches_that_follow() -> None:
    model, batches = until_pending("light, many rounds")
    left, waits = [], 0

    while pends(model, "light"):
        light = learning_of(model).light
        assert light is not None
        left.append(light.swaps_left)
        waits += light.has_waited
        model, (result,) = applied(model, [batches.pop(0)], 1)
        assert not (result.refined and pends(model, "light"))

    assert left[-1] == 0
    assert len(set(left)) > 1
    assert len(left) == len(set(left)) + waits


def test_a_stream_that_goes_to_a_new_place_does_not_wait_for_rounds() -> None:
    model, _ = until_pending("light, many rounds")
    far = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32) + 100

    after, (result,) = applied(model, [Batch(far)], 1)

    assert result.refined
    assert not pends(after, "light")
    assert (snapshot(after).centroids.mean(axis=1) > 95).sum() > 10


def test_a_light_refinement_waits_for_the_batch_after_the_end_of_a_block_but_no_longer() -> None:
    """A block ends with each of these batches: their weight halves with every row."""
    config = replace(WIDE, half_life=half_life(500.0, "points"))
    model, waits, rounds = new_model(config), 0, 0

    for batch in batches_of("light, one round"):
        before = model.state.learning.light if model.state.learning else None
        model, _ = applied(model, [batch], 1)
        light = learning_of(model).light
        if before is not None and before.has_waited:
            assert light is None or not light.has_waited
            rounds += 1
        waits += light is not None and light.has_waited

    assert waits > 3
    assert rounds > 3


@EACH
@pytest.mark.parametrize("group", [2, 7])
def test_a_refinement_that_is_lost_halfway_ends_with_the_same_bits(case: str, group: int) -> None:
    model, batches = until_pending(case)

    refinements = schedule_of(model).refinements
    carried = Model(model.config, pickle.loads(pickle.dumps(model.state)))  # noqa: S301  (of this test's own)
    model, results = applied(model.committed(), batches[:20], 1)
    carried, same_results = applied(carried, batches[:20], group)

    assert carried.state == model.state
    assert carried.events == model.events
    assert same_results == results
    assert schedule_of(model).refinements > refinements


def test_one_pass_over_sorted_wide_points_ends_near_the_offline_fit() -> None:
    points = blobs(30_000, 16, 256, ordered=True)

    model, results = applied(new_model(WIDE), cut(points, [1000]), 4)

    assert ratio(points, model) < 1.01
    assert sum(each.refined for each in results) > 3


class NoSearch:
    """A fitter that can't search."""

    search: Any = object()
    summary_kernels = warm_engine().summary_kernels


@pytest.mark.parametrize("case", ["light, one round", "light, many rounds"])
def test_what_a_light_refinement_found_takes_effect_with_a_batch_that_searches_no_further(case: str) -> None:
    before, batch, after, result = until_end(*until_pending(case), "light", refined=True)

    again, (same_result,) = apply_batches(
        before, [batch], warm_engine(), run_in_order, lambda: False, on_bug, NoSearch()
    )

    assert result.refined
    assert same_result == result
    assert again.state == after.state


def test_a_batch_with_a_round_does_nothing_for_a_deep_refinement() -> None:
    model, rounds = new_model(WIDE), 0

    for batch in batches_of("light, one round"):
        before = model
        model, _ = applied(model, [batch], 1)
        deep, deep_before = (each.state.learning and each.state.learning.deep for each in (model, before))
        if deep and deep_before and deep.number == deep_before.number:
            has_round = learning_of(before).light is not None or learning_of(before).is_put_off
            rounds += has_round
            assert (deep.pieces == deep_before.pieces) == has_round

    assert rounds > 3


def test_what_a_long_deep_refinement_found_is_refined_lightly_in_rounds() -> None:
    before, _, after, result = until_end(new_model(WIDE), batches_of("light, one round"), "deep")

    light = learning_of(after).light
    assert light is not None
    assert not result.refined
    assert schedule_of(after).work < schedule_of(before).work  # it took less than was charged for it


def test_a_large_batch_is_followed_by_its_light_refinement_at_once() -> None:
    model, (result,) = applied(new_model(WIDE), cut(blobs(30_000, 16, 256), [30_000]), 1)

    assert result.refined
    assert not pends(model, "light")


def test_a_resize_refunds_the_pending_deep_refinement_and_the_new_number_begins_fresh_ones() -> None:
    model, batches = until_pending("deep")
    learning = learning_of(model)
    assert learning.deep is not None
    used = learning._replace(schedule=learning.schedule._replace(deep_refinements=FRESH_STARTS))
    model = model.with_state(model.state._replace(learning=used))

    resized = reconfigure(model, replace(LARGE, n_clusters=45), fitter=warm_engine())
    before, after = schedule_of(model), schedule_of(resized)
    resized = reconfigure(resized, replace(LARGE, n_clusters=46), fitter=warm_engine())
    a_resize = schedule_of(resized).work - after.work  # of about the same number
    model = until_deep(resized, batches)

    assert after.work <= before.work - learning.deep.work + 2 * a_resize
    begun = learning_of(model).deep
    assert begun is not None
    assert begun.fresh


def until_deep(model: Model, batches: Sequence[Batch]) -> Model:
    """Return the model once a deep refinement has begun."""
    for batch in batches:
        if pends(model, "deep"):
            return model
        model, _ = applied(model, [batch], 1)
    raise AssertionError("no deep refinement began")


def test_a_resize_gives_up_the_pending_light_refinement_and_charges_it() -> None:
    model, batches, light = after_a_round()
    without = model.with_state(model.state._replace(learning=learning_of(model)._replace(light=None)))

    resized, other = (
        reconfigure(each, replace(MANY, n_clusters=490), fitter=warm_engine()) for each in (model, without)
    )
    assert not pends(resized, "light")
    assert schedule_of(resized).work == schedule_of(other).work + light.work
    refinements = schedule_of(resized).refinements
    model, _ = applied(resized, batches, 4)

    assert snapshot(model).centroids.shape == (490, 4)
    assert schedule_of(model).refinements > refinements


def test_a_light_refinement_that_is_given_up_is_charged() -> None:
    model, _, light = after_a_round()

    after = without_refinement(model)

    assert not pends(after, "light")
    assert not pends(after, "deep")
    refund = deep.work if (deep := learning_of(model).deep) else 0
    assert schedule_of(after).work == schedule_of(model).work + light.work - refund


def test_a_drift_that_a_session_adapts_to_gives_up_the_pending_light_refinement() -> None:
    model, _, light = after_a_round()
    model = Model(replace(MANY, on_drift="adapt"), model.state)

    after = after_drift(model, Drift(1.0, 2.0, 10.0))

    assert not pends(after, "light")
    assert schedule_of(after).work == schedule_of(model).work + light.work


def test_a_light_refinement_goes_on_where_there_is_no_work_left_to_do_it_at_once() -> None:
    model, batches, light = after_a_round()
    learning = learning_of(model)
    urgent = learning.schedule._replace(regret=1e12, work=10**15)
    assert urgent.is_urgent
    model = model.with_state(model.state._replace(learning=learning._replace(schedule=urgent)))

    after, (result,) = applied(model, batches[:1], 1)

    gone_on = learning_of(after).light
    assert gone_on is not None
    assert gone_on.swaps_left < light.swaps_left or gone_on.has_waited
    assert not result.refined


def test_an_urgent_one_is_charged_for_its_rounds_too() -> None:
    model, _, light = after_a_round()
    far = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32) + 100

    after, (result,) = applied(model, [Batch(far)], 1)

    assert result.refined
    assert schedule_of(after).work > schedule_of(model).work + light.work


def test_a_deep_refinement_that_is_due_begins_even_if_the_light_one_found_nothing_better() -> None:
    """Where centroids are in a bad optimum, only a deep one may help."""
    model, batches, light = after_a_round()
    learning = learning_of(model)
    stale = learning.schedule._replace(new_weight_deep=learning.schedule.weight, new_rows_deep=10**6)
    model = model.with_state(model.state._replace(learning=learning._replace(schedule=stale, deep=None)))
    worse = light._replace(centroids=light.centroids + 100, swaps_left=0)

    after, is_refined = _with_light_ended(model, worse, warm_engine(), run_in_order)
    assert not is_refined
    for batch in batches[:3]:  # one to wait for the end of a block, and perhaps its first pieces
        after, _ = applied(after, [batch], 1)

    deep = learning_of(after).deep
    assert deep is not None
    assert len(deep.weights) <= MANY.summary_points(4)


def test_what_is_expected_is_never_more_than_what_the_centroids_leave() -> None:
    model, _, light = after_a_round()
    worse = light._replace(centroids=light.centroids + 100, swaps_left=0, expected=1e9)

    after, _ = _with_light_ended(model, worse, warm_engine(), run_in_order)

    own = schedule_of(after).expected
    assert own is not None
    assert own < 10


def test_a_deep_refinement_that_found_nothing_better_pays_for_the_light_one_that_ended_it() -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(4_000), [100]), 4)
    worse = snapshot(model).centroids[:1] - model.frame.origin

    after, is_refined = _refined(model, worse, warm_engine(), run_in_order, only_if_better=True)

    assert not is_refined
    assert after.snapshot is model.snapshot
    assert schedule_of(after).work > schedule_of(model).work


@pytest.mark.parametrize(
    ("shift", "cost", "is_taken"), [(0.0, 1.0, False), (0.02, 1.0, False), (0.02, 1.005, True), (1.0, 1.005, False)]
)
def test_what_was_found_is_taken_only_if_it_is_better_but_for_what_a_small_cluster_costs(
    shift: float, cost: float, is_taken: bool
) -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(4_000), [100]), 4)
    centroids = snapshot(model).centroids - model.frame.origin + shift
    found = PendingLight(centroids, 0, work=10, small_cluster_cost=cost, expected=1.0)

    after, is_refined = _with_light_ended(model, found, warm_engine(), run_in_order)

    assert is_refined == is_taken
    assert (snapshot(after).version > snapshot(model).version) == is_taken
    assert schedule_of(after).work > schedule_of(model).work
    assert schedule_of(after).new_rows == 0  # nothing is due at once


@EACH
@pytest.mark.parametrize("failures", [1, 2])
def test_learning_goes_on_after_a_refinement_has_failed(case: str, failures: int) -> None:
    """Once: it is done anew in the same batch; twice: it is given up, and the batches that follow are learnt."""
    model, batches = until_pending(case)
    model = Model(model.config, model.state)  # begins the refinement anew, with kernels that fail
    before = learning_of(model)
    left = [failures]

    class Search:
        def __getattr__(self, name: str) -> Any:
            if name == "find_nearest_two" and left[0]:
                left[0] -= 1
                raise MemoryError
            return getattr(warm_engine().search, name)

    class Failing:
        search: Any = Search()
        summary_kernels = warm_engine().summary_kernels

    bugs: list[Exception] = []

    def note(bug: Exception) -> Any:
        bugs.append(bug)
        return on_bug(bug)

    results: list[BatchResult] = []
    for batch in batches[:40]:
        model, more = apply_batches(
            model.committed(), [batch], warm_engine(), run_in_order, lambda: False, note, Failing()
        )
        results += more

    assert left == [0]
    assert not any(each.refusal for each in results)
    assert [type(bug) for bug in bugs] == [MemoryError] * (failures - 1)
    learning, batch_rows = learning_of(model), len(batches[0].points)
    assert learning.summary.rows == before.summary.rows + (40 - (failures - 1)) * batch_rows
    assert learning.schedule.refinements > before.schedule.refinements
