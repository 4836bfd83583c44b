"""Deep refinements, which are done in pieces with the batches that follow, and may fail or be given up."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.due_refinements import FRESH_STARTS
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import new_model, reconfigure
from shoal_server.clustering.refined import PIECES_A_BATCH, _refined, schedule_of
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.engines.contract import run_in_order
from tests.clustering.builders import on_bug, snapshot
from tests.clustering.streaming import applied, cut
from tests.clustering.test_refined import CONFIG, blobs
from tests.warm import warm_engine

LARGE = ModelConfig(50, random_state=3, update_rule="refined")


def until_pending(batches: Sequence[Batch]) -> tuple[Model, list[Batch]]:
    """Return a model in the middle of a deep refinement, and the batches that are left."""
    model = new_model(LARGE)
    for number, batch in enumerate(batches):
        learning = model.state.learning
        if learning and learning.pending and learning.pending.pieces > 0:
            return model, list(batches[number:])
        model, _ = applied(model, [batch], 1)
    raise AssertionError("no deep refinement takes several batches")


def test_a_deep_refinement_is_done_in_pieces_with_the_batches_that_follow() -> None:
    model, batches = until_pending(cut(blobs(60_000, 50, 8), [500]))
    pieces: list[int] = []

    while (learning := model.state.learning) and learning.pending:
        pieces.append(learning.pending.pieces)
        model, _ = applied(model, [batches.pop(0)], 1)

    assert len(pieces) > 1
    assert pieces == list(range(pieces[0], pieces[0] + PIECES_A_BATCH * len(pieces), PIECES_A_BATCH))


def test_a_deep_refinement_that_is_lost_halfway_ends_with_the_same_bits() -> None:
    model, batches = until_pending(cut(blobs(60_000, 50, 8), [500]))

    carried = Model(LARGE, pickle.loads(pickle.dumps(model.state)))  # noqa: S301  (of this test's own)
    model, results = applied(model.committed(), batches[:20], 1)
    carried, same_results = applied(carried, batches[:20], 7)

    assert carried.state == model.state
    assert carried.events == model.events
    assert same_results == results


def test_a_resize_refunds_the_pending_deep_refinement_and_the_new_number_begins_fresh_ones() -> None:
    model, batches = until_pending(cut(blobs(60_000, 50, 8), [500]))
    learning = model.state.learning
    assert learning is not None
    assert learning.pending is not None
    used = learning._replace(schedule=learning.schedule._replace(deep_refinements=FRESH_STARTS))
    model = model.with_state(model.state._replace(learning=used))

    resized = reconfigure(model, replace(LARGE, n_clusters=45), fitter=warm_engine())
    before, after = schedule_of(model), schedule_of(resized)
    resized = reconfigure(resized, replace(LARGE, n_clusters=46), fitter=warm_engine())
    a_resize = schedule_of(resized).work - after.work  # of about the same number
    model = until_deep(resized, batches)

    assert after.work <= before.work - learning.pending.work + 2 * a_resize
    assert model.state.learning is not None
    assert model.state.learning.pending is not None
    assert model.state.learning.pending.fresh


def until_deep(model: Model, batches: Sequence[Batch]) -> Model:
    """Return the model once a deep refinement has begun."""
    for batch in batches:
        if model.state.learning and model.state.learning.pending:
            return model
        model, _ = applied(model, [batch], 1)
    raise AssertionError("no deep refinement began")


def test_a_deep_refinement_that_found_nothing_better_pays_for_the_light_one_that_ended_it() -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(4_000), [100]), 4)
    worse = snapshot(model).centroids[:1] - model.frame.origin

    after, is_refined = _refined(model, worse, warm_engine(), run_in_order, only_if_better=True)

    assert not is_refined
    assert after.snapshot is model.snapshot
    assert schedule_of(after).work > schedule_of(model).work


@pytest.mark.parametrize("failures", [1, 2])
def test_learning_goes_on_after_a_deep_refinement_has_failed(failures: int) -> None:
    """Once: it is done anew in the same batch; twice: it is given up, and the batches that follow are learnt."""
    model, batches = until_pending(cut(blobs(60_000, 50, 8), [500]))
    model = Model(LARGE, model.state)  # begins the refinement anew, with kernels that fail
    assert model.state.learning is not None
    before = model.state.learning
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
    assert model.state.learning is not None
    missed = 500 * (failures - 1)
    assert model.state.learning.summary.rows == before.summary.rows + 40 * 500 - missed
    assert model.state.learning.schedule.refinements > before.schedule.refinements
