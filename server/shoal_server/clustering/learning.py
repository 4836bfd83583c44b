"""Rows on their way into a model's summary, once they have updated its centroids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from shoal_server.clustering.absorbing import absorb_rows
from shoal_server.clustering.batch_sampling import Sampling, begin_sampling, with_batches
from shoal_server.clustering.fitted import Fitter, seed_of
from shoal_server.clustering.initial_summary import first_schedule, first_summary
from shoal_server.clustering.refinement_schedule import Learning, RefinementSchedule
from shoal_server.clustering.state import Model
from shoal_server.clustering.summary import empty_summary
from shoal_server.engines.contract import (
    Float64Array,
    Frame,
    LabelArray,
    PointArray,
    RunTasks,
    holding_memory,
)


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
    return with_learning(model, learning._replace(summary=summary, schedule=schedule))


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
    if model.state.learning is None:
        raise AssertionError("a model whose batches are sampled has a summary")
    summary = with_batches(sampling, rows, schedule.age)
    return with_learning(model, model.state.learning._replace(summary=summary, schedule=schedule))


def with_learning(model: Model, learning: Learning) -> Model:
    """Return the model with something else learnt."""
    return model.with_state(model.state._replace(learning=learning))
