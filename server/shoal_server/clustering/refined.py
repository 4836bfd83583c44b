"""The refined rule: each batch goes into the summary too, and when it is due the centroids are fitted to that anew.

Such a refinement makes a version of its own, in a place among the batches that depends on the rows alone. Between two
of them the incremental rule applies. A light one follows its batch at once. A deep one begins there, goes on a little
with each batch that follows, and takes effect when it is done, if it has found better centroids than there are by then:
so no batch waits long for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.absorbing import absorb_rows
from shoal_server.clustering.batch_sampling import Sampling, begin_sampling, with_batches
from shoal_server.clustering.buckets import Reals, nearest_centroids
from shoal_server.clustering.due_refinements import FRESH_STARTS, due_refinements
from shoal_server.clustering.events import Event
from shoal_server.clustering.fitted import Fitter, per_weight, seed_of, with_fitted
from shoal_server.clustering.initial_summary import first_schedule, first_summary
from shoal_server.clustering.refinement import DeepRefinement, refine
from shoal_server.clustering.refinement_schedule import (
    Learning,
    PendingRefinement,
    RefinementSchedule,
)
from shoal_server.clustering.state import Model
from shoal_server.clustering.summary import empty_summary, weighted_points
from shoal_server.clustering.update import newest
from shoal_server.engines.contract import (
    Float64Array,
    Frame,
    Halted,
    LabelArray,
    PointArray,
    RunTasks,
    UnusablePoints,
    holding_memory,
)

# A deep refinement is done bit by bit: so many pieces, each about 5 ms, with each batch that follows.
PIECES_A_BATCH = 3


class LabelledRows(NamedTuple):
    """Rows that have updated the centroids, in their order."""

    points: PointArray  # (n, d) as they came
    sample_weight: Float64Array | None  # (n,)
    labels: LabelArray  # (n,)
    ages: Float64Array | float  # half-lives that had passed when each came, (n,) or one for all
    is_batch: bool  # whether they are one batch, and all of it


def is_summarised(model: Model) -> bool:
    """Return whether the model keeps a summary of its stream."""
    return model.config.summary_points(model.state.n_features) > 0


def schedule_of(model: Model) -> RefinementSchedule:
    """Return how far a model is from its next refinement."""
    return model.state.learning.schedule if model.state.learning else first_schedule(model.config)


def learned(
    model: Model, before: Frame, rows: LabelledRows, schedule: RefinementSchedule, fitter: Fitter, run: RunTasks
) -> Model:
    """Return the model with rows in its summary.

    Parameters
    ----------
    model
        After the rows' updates.
    before
        Its frame before them.
    rows
        In their order.
    schedule
        After them.
    fitter, run
        Compute.
    """
    d, run = rows.points.shape[1], holding_memory(run)
    learning = model.state.learning or Learning(
        empty_summary(model.config.summary_points(d), d, before.dtype), schedule
    )
    summary = learning.summary
    if len(rows.points):
        kernels = fitter.summary_kernels(before.dtype)
        if summary.reference is None:
            summary = first_summary(model.config, before, rows.points, rows.sample_weight, kernels, run)
        summary = absorb_rows(summary, *rows, before, seed_of(model), kernels, run)
    return _with_learning(model, learning._replace(summary=summary, schedule=schedule))


def begin_learning(
    model: Model,
    batches: Sequence[PointArray],
    weights: Iterable[float],
    half_lives: Sequence[float],
    fitter: Fitter,
    run: RunTasks,
) -> Sampling | None:
    """Return what takes the first of some batches into the summary as they are applied; None: not the first one.

    Parameters
    ----------
    model
        Before them.
    batches
        m of (n, d), which the summary may take as a whole.
    weights, half_lives
        What the rows of each weigh, and how many half-lives passed before it.
    fitter, run
        Compute.
    """
    learning = model.state.learning
    if learning is None:
        return None
    _, *ages = accumulate([learning.schedule.age, *half_lives])
    kernels = fitter.summary_kernels(model.frame.dtype)
    return begin_sampling(learning.summary, batches, weights, ages, seed_of(model), kernels, holding_memory(run))


def learned_batches(model: Model, sampling: Sampling, rows: int, schedule: RefinementSchedule) -> Model:
    """Return the model with batches in its summary that a sample has.

    Parameters
    ----------
    model
        After the batches' updates.
    sampling
        What `begin_learning` returned.
    rows
        How many the batches have.
    schedule
        After them.
    """
    return _with_learning(model, Learning(with_batches(sampling, rows, schedule.age), schedule, _pending(model)))


def batches_until_done(model: Model, batches: int, fitter: Fitter, run: RunTasks) -> int:
    """Return after how many of so many batches to come a deep refinement that is pending is done; 0: after none."""
    pending = _pending(model)
    if pending is None:
        return 0
    deep = _deep_refinement(model, pending, fitter)
    for count in range(1, batches + 1):
        if _is_done(model, deep, pending.pieces + count * PIECES_A_BATCH, run):
            return count
    return 0


def refined_if_due(model: Model, batches: int, fitter: Fitter, run: RunTasks) -> tuple[Model, bool]:
    """Return the model, refined if that is due, and whether it is; a refinement makes the next version.

    Parameters
    ----------
    model
        With all rows in its summary.
    batches
        How many have come since it was asked for the last time.
    fitter, run
        Compute.
    """
    learning = model.state.learning
    if learning is None:
        return model, False
    try:
        return _refined_if_due(model, learning, batches, fitter, run)
    except UnusablePoints:  # so far from one another that they can be assigned, but not fitted to
        return without_refinement(model), False


def without_refinement(model: Model) -> Model:
    """Return the model with the refinement given up that is due or pending: one that failed may fail again."""
    learning = model.state.learning
    if learning is None:
        return model
    given_up = learning.pending.work if learning.pending else 0
    schedule = learning.schedule.done_deep(given_up, 0)._replace(new_rows=0)
    return _with_learning(model, Learning(learning.summary, schedule))


def _refined_if_due(
    model: Model, learning: Learning, batches: int, fitter: Fitter, run: RunTasks
) -> tuple[Model, bool]:
    pending = learning.pending
    if pending is None:
        _forget_running(model)
    else:
        paid = pending._replace(pieces=pending.pieces + batches * PIECES_A_BATCH)
        deep = _deep_refinement(model, pending, fitter)
        if _is_done(model, deep, paid.pieces, run) and deep.refined is not None:
            schedule = learning.schedule.done_deep(pending.work, deep.refined.work)
            model = _with_learning(model, Learning(learning.summary, schedule))
            _forget_running(model)
            return _refined(model, deep.refined.centroids, fitter, run, only_if_better=True)
        model = _with_learning(model, learning._replace(pending=paid))
    depth = due_refinements(model).depth(learning.schedule)
    if depth is None:
        return model, False
    model, is_refined = _refined(model, newest(model).centroids - model.frame.origin, fitter, run)
    return (_with_deep_begun(model, run) if is_refined and depth == "deep" else model), is_refined


def _refined(
    model: Model, start: Float64Array, fitter: Fitter, run: RunTasks, *, only_if_better: bool = False
) -> tuple[Model, bool]:
    """Return the model after a light refinement from some centroids (k, d), and whether there was one.

    With `only_if_better` there is none if the centroids of the model are as good already.
    """
    if model.state.learning is None:
        raise AssertionError("a model that is refined has a summary")
    run = holding_memory(run)
    summary, schedule, pending = model.state.learning
    frame = model.frame
    stands_for = weighted_points(summary, schedule.age, run)
    kernels = fitter.summary_kernels(frame.dtype)
    if not (stands_for.weights > 0).any():  # its rows have decayed to nothing, or could not be summarised
        return _with_learning(model, Learning(summary, schedule._replace(new_rows=0), pending)), False
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
            schedule = schedule._replace(work=schedule.work + fitted.work)
            return _with_learning(model, Learning(summary, schedule, pending)), False
    expected = per_weight(fitted.inertia, stands_for)
    schedule = schedule.refined(expected, len(start) / len(stands_for.weights), fitted.work)
    event = Event("refined", before=per_weight(inertia, stands_for), after=expected)
    return with_fitted(model, stands_for, fitted, labels, schedule, pending, [event], fitter, run), True


def _with_deep_begun(model: Model, run: RunTasks) -> Model:
    """Return the model with a deep refinement pending, from where its centroids are now."""
    if model.state.learning is None:
        raise AssertionError("a model that is refined has a summary")
    summary, schedule, _ = model.state.learning
    stands_for = weighted_points(summary, schedule.age, holding_memory(run))
    work = due_refinements(model).deep_work(schedule)
    pending = PendingRefinement(
        stands_for.points,
        stands_for.weights,
        newest(model).centroids - model.frame.origin,
        schedule.deep_refinements < FRESH_STARTS,
        schedule.refinements,
        work,
        0,
    )
    return _with_learning(model, Learning(summary, schedule.begun_deep(work), pending))


class _Running:
    """The deep refinement of the newest version, as far as it has been computed: perhaps ahead of its batches."""

    def __init__(self) -> None:
        self.points: Reals | None = None  # that it was begun with
        self.deep: DeepRefinement | None = None


def _deep_refinement(model: Model, pending: PendingRefinement, fitter: Fitter) -> DeepRefinement:
    """Return the one that is pending; begun anew, if it has been lost."""
    running = model.cache.get(_Running)
    if running.deep is None or running.points is not pending.points:
        running.points = pending.points
        running.deep = DeepRefinement(
            pending.points,
            pending.weights,
            pending.centroids,
            fresh=pending.fresh,
            seed=(seed_of(model), pending.number, 1),
            cosine=model.frame.cosine,
            kernels=fitter.search,
        )
    return running.deep


def _is_done(model: Model, deep: DeepRefinement, pieces: int, run: RunTasks) -> bool:
    """Go on with a running deep refinement until so many pieces are done, and return whether it is."""
    try:
        return deep.advance(pieces, run)
    except Halted:
        raise
    except Exception:  # a generator that has raised is done for: what comes next begins anew, or gives it up
        _forget_running(model)
        raise


def _forget_running(model: Model) -> None:
    running = model.cache.get(_Running)
    running.points = running.deep = None


def _pending(model: Model) -> PendingRefinement | None:
    return model.state.learning.pending if model.state.learning else None


def _with_learning(model: Model, learning: Learning) -> Model:
    return model.with_state(model.state._replace(learning=learning))
