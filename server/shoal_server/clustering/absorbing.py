"""The rows of a session on their way into its summary, once they have updated the centroids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.batch_sampling import Sampling, begin_sampling, is_sampled_whole, with_batches
from shoal_server.clustering.buckets import SummaryKernels
from shoal_server.clustering.fitted import Fitter, seed_of
from shoal_server.clustering.initial_summary import first_schedule, first_summary
from shoal_server.clustering.learning import Learning
from shoal_server.clustering.refinement_schedule import RefinementSchedule
from shoal_server.clustering.state import Model
from shoal_server.clustering.summary import Summary, absorb, empty_summary
from shoal_server.engines.contract import Float64Array, Frame, LabelArray, PointArray, RunTasks, holding_memory

# Rows that the kernels can't read as they came are converted so many values at a time, or rows of many columns: a copy
# of all of them could be several times as large as their message.
_CONVERTED_VALUES, _MIN_CONVERTED_ROWS = 1 << 15, 512


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
    *,
    all_room: bool,
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
    all_room
        As for `begin_sampling`.
    """
    learning = model.state.learning
    if learning is None:
        return None
    _, *ages = accumulate([learning.schedule.age, *half_lives])
    kernels = fitter.summary_kernels(model.frame.dtype)
    return begin_sampling(
        learning.summary, batches, weights, ages, seed_of(model), kernels, holding_memory(run), all_room=all_room
    )  # fmt: skip


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


def absorb_rows(
    summary: Summary,
    points: PointArray,
    sample_weight: Float64Array | None,
    labels: LabelArray,
    ages: Float64Array | float,
    is_batch: bool,
    before: Frame,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
) -> Summary:
    """Return the summary with rows.

    Parameters
    ----------
    summary
        Before them.
    points, sample_weight, labels, ages
        As for `absorb`, but the points (n, d) as they came.
    is_batch
        Whether the rows are a batch, and all of it.
    before
        The frame that the rows met.
    seed, kernels, run
        As for `absorb`.

    Raises
    ------
    UnusablePoints
        They can't be computed with.
    """
    n, d = points.shape
    is_readable = _is_readable(points, before)
    if is_batch and is_readable and is_sampled_whole(n, before) and not isinstance(ages, np.ndarray):
        whole = _with_batch(summary, points, sample_weight, labels, ages, before, seed, kernels, run)
        if whole is not None:
            return whole
    step = n if is_readable else max(_CONVERTED_VALUES // d, _MIN_CONVERTED_ROWS)
    for start in range(0, n, step):
        part = slice(start, start + step)
        summary = absorb(
            summary,
            points if is_readable else before.transform(points[part]),
            None if sample_weight is None else sample_weight[part],
            labels[part],
            before.centroids,
            ages[part] if isinstance(ages, np.ndarray) else ages,
            seed,
            kernels,
            run,
            origin=before.origin if is_readable else None,
        )
    return summary


def _with_batch(
    summary: Summary,
    points: PointArray,
    sample_weight: Float64Array | None,
    labels: LabelArray,
    age: float,
    before: Frame,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
) -> Summary | None:
    """Return the summary with a batch as a whole; None: its rows must be added one by one."""
    weight = float(len(points)) if sample_weight is None else float(sample_weight.sum())
    weights = np.empty(0) if sample_weight is None else np.ascontiguousarray(sample_weight, np.float64)
    for all_room in (False, True):
        sampling = begin_sampling(summary, (points,), (weight,), (age,), seed, kernels, run, all_room=all_room)
        if sampling is None:
            return None
        if _is_sampled(sampling, points, weights, labels, before, kernels, run):
            return with_batches(sampling, len(points), age)
        if sampling.has_all_room:
            break
    return None


def _is_sampled(
    sampling: Sampling,
    points: PointArray,
    weights: Float64Array,
    labels: LabelArray,
    before: Frame,
    kernels: SummaryKernels,
    run: RunTasks,
) -> bool:
    is_sampled = False

    def work(_: int) -> None:
        nonlocal is_sampled
        is_sampled = kernels.sample_batch(points, weights, labels, before, sampling.sample)

    run(work, 1)
    return is_sampled


def converted_bytes(n_features: int) -> int:
    """Return what rows take that are being converted."""
    return 2 * np.dtype(np.float64).itemsize * max(_CONVERTED_VALUES, _MIN_CONVERTED_ROWS * n_features)


def _is_readable(points: PointArray, frame: Frame) -> bool:
    """Return whether the kernels read points as they came; else they must be brought into the frame's coordinates."""
    return points.dtype == frame.dtype and points.flags.c_contiguous and points.dtype.isnative and not frame.cosine
