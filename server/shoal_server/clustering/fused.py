"""Batch after batch: those that need no special care in one call of an engine that can, the others one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from shoal_server.clustering.forgetting import Decay, decay
from shoal_server.clustering.model import apply, can_skip_validation
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.clustering.update import at_version, newest
from shoal_server.engines.chunks import piece_rows
from shoal_server.engines.contract import Engine, FusedBatches, FusedEngine, FusedResult, Halted, RunTasks, is_fused
from shoal_server.errors import DomainError, Refusal


def apply_batches(
    model: Model,
    batches: Sequence[Batch],
    engine: Engine,
    run: RunTasks,
    halted: Callable[[], bool],
    on_bug: Callable[[Exception], Refusal],
) -> tuple[Model, list[BatchResult]]:
    """Apply batches in their order, each its own version.

    Parameters
    ----------
    model, batches, engine, run
        As for `apply`.
    halted
        Asked now and then whether to stop: the batches that are left then have no result. `run` raises Halted for the
        same, and then the batch that it is for has none either.
    on_bug
        Returns what is said of an exception that is no refusal.

    Returns
    -------
    model
        After the last batch.
    results
        Of each batch. One that was refused changed nothing.
    """
    results: list[BatchResult] = []
    reach = len(batches)  # how many batches are looked at together
    while len(results) < len(batches) and not halted():
        ahead = batches[len(results) : len(results) + reach]
        model, outcomes, tried = _follow_plain_ones(model, ahead, engine)
        results.extend(outcomes)
        if tried and len(outcomes) == tried:
            reach = min(2 * reach, len(batches))
            continue
        if tried:
            # Not much more is looked at in vain than was applied before: else many bad batches would cost the square.
            reach = max(len(outcomes), 1)
        try:
            model, result = _apply_one(model, ahead[len(outcomes)], engine, run, on_bug)
        except Halted:
            break
        results.append(result)
    return model, results


def _follow_plain_ones(model: Model, batches: Sequence[Batch], engine: Engine) -> tuple[Model, list[BatchResult], int]:
    """Apply the first batches together, up to one that needs special care, and say of how many that was tried.

    Where there are fewer outcomes, the next batch turned out to have an invalid value, or something failed, with none
    of them applied. By itself each batch then shows whether it was the one.
    """
    try:
        plain, decays = _plain_ones(model, batches, engine)
        if plain and is_fused(engine):
            return *_follow(model, plain, decays, engine), len(plain)
    except Exception:  # noqa: BLE001  (a batch that also fails by itself is told so)
        return model, [], len(batches)
    return model, [], 0


def _plain_ones(model: Model, batches: Sequence[Batch], engine: Engine) -> tuple[list[Batch], list[Decay]]:
    """Return the first batches, up to one that needs special care, and what they do to the weights."""
    plain: list[Batch] = []
    decays: list[Decay] = []
    if not is_fused(engine) or not can_skip_validation(model):
        return plain, decays
    max_rows, dtype, half_life = engine.max_rows(model.frame), model.frame.dtype, model.config.half_life
    timeless = half_life is None or half_life.unit != "seconds"
    fading = Decay(0.0, 1.0, model.latest_event)  # what one does that has no time where nothing is forgotten
    left = piece_rows(*model.frame.centroids.shape)  # rows of one call, which can't be stopped
    for batch in batches:
        points, time = batch.points, batch.event_time
        rows, columns = points.shape
        if (
            batch.sample_weight is not None
            or batch.refusal is not None
            or points.dtype != dtype
            or columns != model.n_features
            or rows > max_rows
            or (rows > left and plain)
            or not points.flags.c_contiguous
            or (time is None and not timeless)
        ):
            break
        if half_life is not None or time is not None or fading.late:
            fading = decay(half_life, rows, time, fading.latest_event)
        if fading.batch != 1:
            break
        plain.append(batch)
        left -= rows
        decays.append(fading)
    return plain, decays


def _follow(
    model: Model, batches: list[Batch], decays: list[Decay], engine: FusedEngine
) -> tuple[Model, list[BatchResult]]:
    """Apply plain batches, up to the first that turns out to have an invalid value."""
    before = newest(model)
    result = engine.apply_batches(
        FusedBatches(
            batches=[batch.points for batch in batches],
            decays=np.array([fading.before for fading in decays]),
            centroids=before.centroids,
            frame=model.frame,
            return_labels=any(batch.return_labels for batch in batches),
        )
    )
    outcomes = list(_outcomes(before.version, batches, decays, result))
    if not outcomes:
        return model, outcomes
    accepted = model.points_accepted + sum(outcome.accepted for outcome in outcomes)
    last = outcomes[-1]
    model = at_version(
        model,
        last.version,
        result.moved,
        inertia=last.inertia,
        batch_points=last.accepted,
        points_accepted=accepted,
        latest_event=decays[len(outcomes) - 1].latest_event,
    )
    return model, outcomes


def _outcomes(version: int, batches: list[Batch], decays: list[Decay], result: FusedResult) -> Iterator[BatchResult]:
    begin = 0
    for batch, fading, inertia in zip(batches, decays, result.inertias.tolist(), strict=False):
        version += 1
        end = begin + len(batch.points)
        # A copy: a view would keep the labels of all.
        labels = result.labels[begin:end].copy() if batch.return_labels else None
        yield BatchResult(version, end - begin, 0, inertia, labels, None, batch.sequence, late=fading.late)
        begin = end


def _apply_one(
    model: Model, batch: Batch, engine: Engine, run: RunTasks, on_bug: Callable[[Exception], Refusal]
) -> tuple[Model, BatchResult]:
    try:
        if batch.refusal is None:
            return apply(model, batch, engine, run)
        refusal = batch.refusal
    except Halted:
        raise
    except DomainError as error:
        refusal = error.refusal
    except Exception as bug:  # noqa: BLE001  (whatever it is, it is this batch's answer, and the session lives on)
        refusal = on_bug(bug)
    return model, BatchResult(sequence=batch.sequence, refusal=refusal)
