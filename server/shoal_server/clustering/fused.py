"""Batch after batch: those that need no special care in one call of an engine that can, the others one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.forgetting import MIN_WEIGHT, Decay
from shoal_server.clustering.forgetting import decay as decay_of
from shoal_server.clustering.model import apply, can_skip_validation
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.clustering.update import newest, next_version
from shoal_server.clustering.validation import MAX_WEIGHT, are_weights
from shoal_server.engines.chunks import piece_rows
from shoal_server.engines.contract import (
    Engine,
    Float64Array,
    FusedBatches,
    FusedEngine,
    FusedResult,
    Halted,
    PointArray,
    RunTasks,
    is_fused,
)
from shoal_server.errors import DomainError, Refusal

_FEW = 16  # weights


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
        try:
            model, outcomes, tried = _apply_fused(model, ahead, engine, run)
        except Halted:
            break
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


class _Fusible(NamedTuple):
    """Batches that can be applied in one call."""

    batches: list[Batch]
    points: list[PointArray]
    decays: list[Decay]
    sample_weights: list[Float64Array]  # with what the batches lose by being late; empty: each row counts 1


def _apply_fused(
    model: Model, batches: Sequence[Batch], engine: Engine, run: RunTasks
) -> tuple[Model, list[BatchResult], int]:
    """Apply the first batches in one call, up to one that needs special care; return of how many that was tried, too.

    Where there are fewer outcomes, the next batch turned out to have an invalid value, or something failed, with none
    of them applied. By itself each batch then shows whether it was the one.
    """
    if not is_fused(engine) or not can_skip_validation(model):
        return model, [], 0
    try:
        fusible = _fusible(model, batches, engine)
        if not fusible.batches:
            return model, [], 0
        return *_apply_together(model, fusible, engine, run), len(fusible.batches)
    except Halted:
        raise
    except Exception:  # noqa: BLE001  (a batch that also fails by itself gets its own refusal)
        return model, [], len(batches)


def _fusible(model: Model, batches: Sequence[Batch], engine: FusedEngine) -> _Fusible:
    """Return the first batches, up to one that needs special care; the rows of all of them have weights, or of none."""
    frame, half_life, state = model.frame, model.config.half_life, model.state
    max_rows, dtype, n_features = engine.max_rows(frame), frame.dtype, state.n_features
    needs_time = half_life is not None and half_life.unit == "seconds"
    untimed = decay = Decay(0.0, 1.0, state.latest_event)
    left = _call_rows(*frame.centroids.shape)
    found = batches_found, points_found, decays, weights = _Fusible([], [], [], [])
    for batch in batches:
        points, weight, time = batch.points, batch.sample_weight, batch.event_time
        rows, columns = points.shape
        if (
            batch.refusal is not None
            or points.dtype != dtype
            or columns != n_features
            or not 0 < rows <= max_rows
            or (rows > left and batches_found)
            or not points.flags.c_contiguous
            or (time is None and needs_time)
            or (weight is not None and len(weight) != rows)
        ):
            break
        usual = True
        if weight is not None and not _are_usual(weight):
            if not are_weights(weight):
                break
            usual = False
        if half_life is not None or time is not None:
            decay = decay_of(half_life, rows, time, decay.latest_event)
        elif decay.late:
            decay = untimed._replace(latest_event=decay.latest_event)
        if not usual or decay.batch != 1:
            weight = decay.weights(weight, rows)
        if batches_found and (weight is None) == bool(weights):
            break
        left -= rows
        batches_found.append(batch)
        points_found.append(points)
        decays.append(decay)
        if weight is not None:
            weights.append(weight)
    return found


@lru_cache(maxsize=1024)
def _call_rows(k: int, d: int) -> int:
    """Return how many rows one call may have, which can't be stopped."""
    return piece_rows(k, d)


def _are_usual(weight: Float64Array) -> bool:
    """Return whether weights are few, valid and none of them tiny: of few, Python finds that out before NumPy does."""
    return len(weight) <= _FEW and all([MIN_WEIGHT <= each <= MAX_WEIGHT for each in weight.tolist()])  # noqa: C419


def _apply_together(
    model: Model, fusible: _Fusible, engine: FusedEngine, run: RunTasks
) -> tuple[Model, list[BatchResult]]:
    """Apply batches in one call, up to the first that turns out to have an invalid value."""
    batches, points, decays, weights = fusible
    before = newest(model)
    fused = engine.apply_batches(
        FusedBatches(
            points,
            None if model.config.half_life is None else np.array([decay.before for decay in decays]),
            before.centroids,
            model.frame,
            any([batch.return_labels for batch in batches]),  # noqa: C419  (a generator costs more)
            weights or None,
        ),
        run,
    )
    results = _results(before.version, fusible, fused)
    if not results:
        return model, results
    accepted = model.state.points_accepted + sum([each.accepted for each in results])
    last, latest_event = results[-1], decays[len(results) - 1].latest_event
    model = next_version(model, len(results), fused.moved, last.inertia, last.accepted, accepted, latest_event)
    return model, results


def _results(version: int, fusible: _Fusible, fused: FusedResult) -> list[BatchResult]:
    batches, _, decays, weights = fusible
    results: list[BatchResult] = []
    begin = 0
    for index, inertia in enumerate(fused.inertias.tolist()):
        batch = batches[index]
        rows = len(batch.points)
        labels = None
        if batch.return_labels:
            # A copy, unless they are all there are: a view would keep the others, too.
            labels = fused.labels if rows == len(fused.labels) else fused.labels[begin : begin + rows].copy()
        version += 1
        late = decays[index].late
        if late or weights:
            weight = _sum(weights[index]) if weights else None
            result = BatchResult(version, rows, 0, inertia, labels, None, batch.sequence, late=late, weight=weight)
        else:
            result = BatchResult(version, rows, 0, inertia, labels, None, batch.sequence)
        results.append(result)
        begin += rows
    return results


def _sum(weights: Float64Array) -> float:
    return float(weights.item() if len(weights) == 1 else weights.sum())


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
