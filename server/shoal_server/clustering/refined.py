"""The refined rule: each batch goes into the summary too, and when it is due the centroids are fitted to that anew.

Such a refinement makes a version of its own, in a place among the batches that depends on the rows alone. Between two
of them the incremental rule applies. A light one follows its batch at once, or, where that is too long to wait for, is
done in rounds with the batches that follow (see `DueRefinements.is_done_in_rounds`), each with the summary as it is by
then. A deep one goes on a little with each batch that follows. What is found so takes effect when it is done, if it is
better than the centroids that there are by then.
"""

from __future__ import annotations

import numpy as np

from shoal_server.clustering.absorbing import with_learning
from shoal_server.clustering.buckets import nearest_centroids
from shoal_server.clustering.deep_refinements import advance_deep, forget_running, with_batches_paid
from shoal_server.clustering.due_refinements import FRESH_STARTS, due_refinements
from shoal_server.clustering.events import Event
from shoal_server.clustering.fitted import Fitter, per_weight, seed_of, with_fitted
from shoal_server.clustering.learning import Learning, PendingDeep, PendingLight
from shoal_server.clustering.refinement import light_swaps, refine, refine_for_a_round
from shoal_server.clustering.refinement_schedule import FIXED_WORK, RefinementSchedule
from shoal_server.clustering.search import Refined
from shoal_server.clustering.state import Model
from shoal_server.clustering.summary import relabelled, weighted_points, with_block_ended, within_size
from shoal_server.clustering.update import newest
from shoal_server.engines.chunks import row_work
from shoal_server.engines.contract import Float64Array, RunTasks, UnusablePoints, holding_memory

_ROUND_SEED = 3  # tells the seeds of rounds from those of deep refinements and of other numbers of clusters


def batches_until_done(model: Model, batches: int, fitter: Fitter, run: RunTasks) -> int:
    """Return after how many of so many batches to come a refinement that is pending needs a look; 0: after none.

    A light one needs one after each batch, and a deep one when it is done.
    """
    learning = model.state.learning
    if learning is None:
        return 0
    if learning.light is not None or learning.is_put_off:
        return 1
    if learning.deep is None:
        return 0
    for count in range(1, batches + 1):
        if advance_deep(model, with_batches_paid(learning.deep, count), fitter, run):
            return count
    return 0


def refined_if_due(model: Model, batches: int, batch_rows: int, fitter: Fitter, run: RunTasks) -> tuple[Model, bool]:
    """Return the model, refined if that is due, and whether it is; a refinement makes the next version.

    Parameters
    ----------
    model
        With all rows in its summary.
    batches
        How many have come since it was asked for the last time.
    batch_rows
        How many rows the last one had.
    fitter, run
        Compute.
    """
    learning = model.state.learning
    if learning is None:
        return model, False
    try:
        return _refined_if_due(model, learning, batches, batch_rows, fitter, run)
    except UnusablePoints:  # so far from one another that they can be assigned, but not fitted to
        return without_refinement(model), False


def without_refinement(model: Model) -> Model:
    """Return the model with the refinement given up that is due or pending: one that failed may fail again."""
    if model.state.learning is None:
        return model
    learning = model.state.learning.without_pending()
    return with_learning(model, learning._replace(schedule=learning.schedule._replace(new_rows=0)))


def _refined_if_due(
    model: Model, learning: Learning, batches: int, batch_rows: int, fitter: Fitter, run: RunTasks
) -> tuple[Model, bool]:
    if learning.light is not None:
        return _with_light_continued(model, learning, learning.light, batch_rows, fitter, run)
    was_put_off = learning.is_put_off
    if was_put_off:
        learning = learning._replace(is_put_off=False)
        model = with_learning(model, learning)
    elif learning.deep is None:
        forget_running(model)
    else:
        deep = with_batches_paid(learning.deep, batches)
        found = advance_deep(model, deep, fitter, run)
        if found is not None:
            return _with_deep_ended(model, learning, deep, found, batch_rows, fitter, run)
        learning = learning._replace(deep=deep)
        model = with_learning(model, learning)
    return _with_due_begun(model, learning, was_put_off, batch_rows, fitter, run)


def _with_due_begun(
    model: Model, learning: Learning, was_put_off: bool, batch_rows: int, fitter: Fitter, run: RunTasks
) -> tuple[Model, bool]:
    """Return the model with the refinement begun, or put off, that is due, and whether it has taken effect."""
    due = due_refinements(model)
    depth = due.depth(learning.schedule)
    if depth is None:
        return model, False
    start = newest(model).centroids - model.frame.origin
    if due.is_done_in_rounds(learning.schedule, batch_rows):
        light = _light_from(start)
        if learning.deep is not None:  # the batch has waited for some pieces of that
            return with_learning(model, learning._replace(light=light)), False
        return _with_light_continued(model, learning, light, batch_rows, fitter, run)
    has_waited = learning.deep is not None or _has_ended_block(learning, batch_rows)
    if has_waited and not was_put_off and due.may_be_put_off(learning.schedule, batch_rows):
        return with_learning(model, learning._replace(is_put_off=True)), False
    model, is_refined = _refined(model, start, fitter, run)
    return (_with_deep_begun(model, fitter, run) if is_refined and depth == "deep" else model), is_refined


def _with_deep_ended(
    model: Model,
    learning: Learning,
    pending: PendingDeep,
    found: Refined,
    batch_rows: int,
    fitter: Fitter,
    run: RunTasks,
) -> tuple[Model, bool]:
    """Return the model after a deep refinement that is done, with what it found, and whether that is its next version.

    It is refined lightly first, since more rows have come.
    """
    schedule = learning.schedule.charged(found.work - pending.work)
    learning = learning._replace(schedule=schedule, deep=None)
    model = with_learning(model, learning)
    forget_running(model)
    if due_refinements(model).is_done_in_rounds(schedule, batch_rows):
        return with_learning(model, learning._replace(light=_light_from(found.centroids))), False
    return _refined(model, found.centroids, fitter, run, only_if_better=True)


def _light_from(centroids: Float64Array) -> PendingLight:
    """Return a light refinement from some centroids (k, d), before its first round."""
    return PendingLight(centroids, light_swaps(len(centroids)))


def _with_light_continued(
    model: Model, learning: Learning, light: PendingLight, batch_rows: int, fitter: Fitter, run: RunTasks
) -> tuple[Model, bool]:
    """Return the model after another round of a light refinement, or with what it found, and whether it has that now.

    Each round takes the summary as it is by then. One that follows the end of a block waits for the next batch. If the
    stream goes to a new place meanwhile, the rest is done at once.
    """
    if light.swaps_left and learning.schedule.is_urgent and _can_be_done_at_once(model, learning.schedule):
        model = with_learning(model, learning._replace(light=light).without_light())
        return _refined(model, light.centroids, fitter, run, only_if_better=True)
    if not light.has_waited and _has_ended_block(learning, batch_rows):
        return with_learning(model, learning._replace(light=light._replace(has_waited=True))), False
    if light.swaps_left:
        return _with_round(model, learning, light, fitter, run), False
    if light.outcome is not None:
        return _with_light_done(model, learning, light, fitter, run), False
    return _with_light_ended(model, light, fitter, run)


def _has_ended_block(learning: Learning, batch_rows: int) -> bool:
    """Return whether the last batch, of so many rows, has ended a block."""
    block = learning.summary.block
    return block is None or block.totals[2] < batch_rows


def _can_be_done_at_once(model: Model, schedule: RefinementSchedule) -> bool:
    return due_refinements(model)._replace(has_pending_light=False).depth(schedule) is not None


def _with_round(model: Model, learning: Learning, light: PendingLight, fitter: Fitter, run: RunTasks) -> Model:
    run, schedule = holding_memory(run), learning.schedule
    kernels = fitter.summary_kernels(model.frame.dtype)
    stands_for = weighted_points(learning.summary, schedule.age, kernels, run)
    if not len(stands_for.weights):
        return _with_nothing_left(model)
    light, inertia = refine_for_a_round(
        stands_for.points,
        stands_for.weights,
        light,
        seed=(seed_of(model), schedule.refinements, _ROUND_SEED, light.swaps_left),
        cosine=model.frame.cosine,
        kernels=fitter.search,
        run=run,
    )
    light = light._replace(work=light.work + FIXED_WORK, expected=per_weight(inertia, stands_for))
    return with_learning(model, learning._replace(light=light))


def _with_nothing_left(model: Model) -> Model:
    """Return the model for which nothing is due until other rows come: those it had have decayed to nothing."""
    learning = _learning(model).without_light()
    return with_learning(model, learning._replace(schedule=learning.schedule._replace(new_rows=0)))


def _refined(
    model: Model, start: Float64Array, fitter: Fitter, run: RunTasks, *, only_if_better: bool = False
) -> tuple[Model, bool]:
    """Return the model after a light refinement from some centroids (k, d), and whether there was one.

    With `only_if_better` there is none if the centroids of the model are as good already.
    """
    run, learning, frame = holding_memory(run), _learning(model), model.frame
    schedule, kernels = learning.schedule, fitter.summary_kernels(frame.dtype)
    ended = with_block_ended(learning.summary, seed_of(model), kernels, run)
    stands_for = weighted_points(ended, schedule.age, kernels, run)
    if not len(stands_for.weights):
        return _with_nothing_left(model), False
    fitted = refine(
        stands_for.points,
        stands_for.weights,
        start,
        depth="light",
        fresh=False,
        seed=(seed_of(model), schedule.refinements),
        cosine=frame.cosine,
        kernels=fitter.search,
        run=run,
    )
    if fitted.before is None:
        raise AssertionError("a light refinement tells what it began with")
    labels, inertia = fitted.before.labels, fitted.before.inertia
    if only_if_better:
        labels, squares = nearest_centroids(stands_for.points, frame.centroids, kernels, run)
        inertia = float(np.dot(squares, stands_for.weights))
        least = fitted.inertia if fitted.without_small_cluster is None else fitted.without_small_cluster
        if least >= inertia:
            return with_learning(model, learning._replace(schedule=schedule.charged(fitted.work))), False
    expected = per_weight(fitted.inertia, stands_for)
    schedule = schedule.refined(expected, len(start) / len(stands_for.weights), fitted.work)
    event = Event("refined", before=per_weight(inertia, stands_for), after=expected)
    model = with_learning(model, learning._replace(summary=ended))
    return with_fitted(model, stands_for, fitted, labels, schedule, learning.deep, [event], fitter, run), True


def _with_light_ended(model: Model, found: PendingLight, fitter: Fitter, run: RunTasks) -> tuple[Model, bool]:
    """Return the model with what a light refinement has found in rounds, if that is better, and whether it is.

    Either way that counts as a refinement: the next one waits for other rows. With the next batch the summary gets
    within its size again, and a deep one begins if that is due.
    """
    run, learning = holding_memory(run), _learning(model)
    schedule, kernels = learning.schedule, fitter.summary_kernels(model.frame.dtype)
    ended = with_block_ended(learning.summary, seed_of(model), kernels, run)
    stands_for = weighted_points(ended, schedule.age, kernels, run)
    points, weights, _ = stands_for
    if not len(weights):
        return _with_nothing_left(model), False
    k, d = found.centroids.shape
    before, squares = nearest_centroids(points, model.frame.centroids, kernels, run)
    inertia = float(np.dot(squares, weights))
    labels, squares = nearest_centroids(points, found.centroids.astype(points.dtype), kernels, run)
    fitted = Refined(
        found.centroids,
        np.bincount(labels, weights, k).astype(np.float64),
        float(np.dot(squares, weights)),
        found.work + 2 * len(weights) * row_work(k, d),
        labels,
    )
    expected = per_weight(fitted.inertia, stands_for)
    is_better = fitted.inertia < found.small_cluster_cost * inertia
    if not is_better:  # of the rows up to its last round it may still tell best what can be expected
        expected = min(per_weight(inertia, stands_for), found.expected)
    schedule = schedule.refined(expected, k / len(weights), fitted.work)
    begins = due_refinements(model).may_begin_deep(schedule)
    if not is_better:
        light = found._replace(outcome="not better", work=0, begins_deep=True) if begins else None
        return with_learning(model, learning._replace(schedule=schedule, light=light)), False
    event = Event("refined", before=per_weight(inertia, stands_for), after=expected)
    model = with_learning(model, learning._replace(summary=ended))
    model = with_fitted(
        model, stands_for, fitted, before, schedule, learning.deep, [event], fitter, run, is_reduced=False
    )  # fmt: skip
    light = found._replace(outcome="better", work=0, begins_deep=begins, has_waited=True)
    return with_learning(model, _learning(model)._replace(light=light)), True


def _with_light_done(model: Model, learning: Learning, light: PendingLight, fitter: Fitter, run: RunTasks) -> Model:
    """Return the model after a light refinement whose outcome is known, and that is pending no more."""
    now, schedule, seed = newest(model), learning.schedule, seed_of(model)
    run, kernels = holding_memory(run), fitter.summary_kernels(model.frame.dtype)
    if light.outcome == "better":  # the open block has begun after it
        summary = within_size(learning.summary, schedule.age, seed, kernels, run)
    elif schedule.expected is None:
        raise AssertionError("there has been a refinement")
    else:
        summary = relabelled(
            learning.summary, model.frame.centroids, now.weights, schedule.expected, schedule.age, seed, kernels, run
        )
    model = with_learning(model, learning._replace(summary=summary, light=None))
    return _with_deep_begun(model, fitter, run) if light.begins_deep else model


def _with_deep_begun(model: Model, fitter: Fitter, run: RunTasks) -> Model:
    """Return the model with a deep refinement pending, from where its centroids are now."""
    learning = _learning(model)
    schedule, kernels = learning.schedule, fitter.summary_kernels(model.frame.dtype)
    stands_for = weighted_points(learning.summary, schedule.age, kernels, holding_memory(run))
    work = due_refinements(model).deep_work(schedule)
    pending = PendingDeep(
        stands_for.points,
        stands_for.weights,
        newest(model).centroids - model.frame.origin,
        schedule.deep_refinements < FRESH_STARTS,
        schedule.refinements,
        work,
        0,
    )
    return with_learning(model, learning._replace(schedule=schedule.begun_deep(work), deep=pending))


def _learning(model: Model) -> Learning:
    if model.state.learning is None:
        raise AssertionError("a model that is refined has a summary")
    return model.state.learning
