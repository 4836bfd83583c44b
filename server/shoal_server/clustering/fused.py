"""Batch after batch: those that need no special care in one call of an engine that can, the others one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from shoal_server.clustering.absorbing import (
    LabelledRows,
    begin_learning,
    is_summarised,
    learned,
    learned_batches,
    schedule_of,
)
from shoal_server.clustering.adapting import after_drift, watch_results
from shoal_server.clustering.batch_sampling import Sampling, is_sampled_whole
from shoal_server.clustering.due_refinements import due_refinements
from shoal_server.clustering.fitted import Fitter
from shoal_server.clustering.forgetting import MIN_WEIGHT, Decay
from shoal_server.clustering.forgetting import decay as decay_of
from shoal_server.clustering.model import apply, can_skip_validation
from shoal_server.clustering.refined import batches_until_done, refined_if_due, without_refinement
from shoal_server.clustering.refinement_schedule import RefinementSchedule
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
    LabelArray,
    PointArray,
    RunTasks,
    is_fused,
)
from shoal_server.errors import DomainError, Refusal

_FEW = 16  # weights
_SAMPLE_WORK = 64  # of each row: as much as so many multiplications, measured


def apply_batches(
    model: Model,
    batches: Sequence[Batch],
    engine: Engine,
    run: RunTasks,
    halted: Callable[[], bool],
    on_bug: Callable[[Exception], Refusal],
    fitter: Fitter | None = None,
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
    fitter
        As for `apply`.

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
            model, outcomes, tried = _apply_fused(model, ahead, engine, run, fitter)
        except Halted:
            break
        results.extend(outcomes)
        if tried and len(outcomes) == tried:
            # What was looked at beyond the last one, as after a refinement, is looked at once more.
            reach = min(2 * (tried if tried < len(ahead) else reach), len(batches))
            continue
        if tried:
            # Not much more is looked at in vain than was applied before: else many bad batches would cost the square.
            reach = max(len(outcomes), 1)
        try:
            model, result = _apply_one(model, ahead[len(outcomes)], engine, run, on_bug, fitter)
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

    def first(self, count: int) -> _Fusible:
        """Return so many of them."""
        batches, points, decays, weights = self
        return _Fusible(batches[:count], points[:count], decays[:count], weights[:count])


def _apply_fused(
    model: Model, batches: Sequence[Batch], engine: Engine, run: RunTasks, fitter: Fitter | None
) -> tuple[Model, list[BatchResult], int]:
    """Apply the first batches in one call, up to one that needs special care; return of how many that was tried, too.

    Where there are fewer outcomes, the next batch turned out to have an invalid value, or something failed, with none
    of them applied. By itself each batch then shows whether it was the one.
    """
    if not is_fused(engine) or not can_skip_validation(model) or model.config.outlier_threshold is not None:
        return model, [], 0  # outliers are found before the centroids move
    try:
        fusible = _fusible(model, batches, engine, samples=fitter is not None and is_summarised(model))
        if not fusible.batches:
            return model, [], 0
        return _apply_together(model, fusible, engine, run, fitter)
    except Halted:
        raise
    except Exception:  # noqa: BLE001  (a batch that also fails by itself gets its own refusal)
        return model, [], len(batches)


def _fusible(model: Model, batches: Sequence[Batch], engine: FusedEngine, *, samples: bool) -> _Fusible:
    """Return the first batches, up to one that needs special care; the rows of all of them have weights, or of none."""
    frame, half_life, state = model.frame, model.config.half_life, model.state
    max_rows, dtype, n_features = engine.max_rows(frame), frame.dtype, state.n_features
    needs_time = half_life is not None and half_life.unit == "seconds"
    untimed = decay = Decay(0.0, 1.0, state.latest_event)
    left = _call_rows(*frame.centroids.shape, samples=samples)
    samples = samples and not frame.cosine
    found = batches_found, points_found, decays, weights = _Fusible([], [], [], [])
    for batch in batches:
        points, weight, time = batch.points, batch.sample_weight, batch.event_time
        rows, columns = points.shape
        if (
            batch.refusal is not None
            or batch.return_scores  # there are none
            or points.dtype != dtype
            or columns != n_features
            or not 0 < rows <= max_rows
            or (rows > left and batches_found)
            or not points.flags.c_contiguous
            or (time is None and needs_time)
            or (weight is not None and len(weight) != rows)
            # All of them go into a summary as a whole, or none does.
            or (
                points_found
                and samples
                and is_sampled_whole(len(points_found[0]), frame) != is_sampled_whole(rows, frame)
            )
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
def _call_rows(k: int, d: int, *, samples: bool) -> int:
    """Return how many rows one call may have, which can't be stopped."""
    return piece_rows(k, d, extra_work=_SAMPLE_WORK if samples else 0)


def _are_usual(weight: Float64Array) -> bool:
    """Return whether weights are few, valid and none of them tiny: of few, Python finds that out before NumPy does."""
    return len(weight) <= _FEW and all([MIN_WEIGHT <= each <= MAX_WEIGHT for each in weight.tolist()])  # noqa: C419


def _apply_together(
    model: Model,
    fusible: _Fusible,
    engine: FusedEngine,
    run: RunTasks,
    fitter: Fitter | None,
    *,
    all_room: bool = False,
) -> tuple[Model, list[BatchResult], int]:
    """Apply batches in one call, up to one with an invalid value, or one after which there is a refinement or a drift.

    Return also of how many that was tried.
    """
    sampling: Sampling | None = None
    if fitter is not None and is_summarised(model):
        done = batches_until_done(model, len(fusible.batches), fitter, run)
        fusible = fusible.first(done) if done else fusible
        if not model.frame.cosine and is_sampled_whole(len(fusible.points[0]), model.frame):
            sampling = _begin_sampling(model, fusible, fitter, run, all_room=all_room)
            fusible = fusible.first(sampling.batches if sampling else 1)
    labelled = sampling is None and fitter is not None and is_summarised(model)
    fused = _fused(model, fusible, engine, run, sampling, labelled=labelled)
    if sampling is not None and len(fused.inertias) < len(fusible.batches):
        return _apply_cut_short(model, fusible, fused, sampling, engine, run, fitter)
    return _accept(model, fusible, fused, sampling, engine, run, fitter)


def _apply_cut_short(
    model: Model,
    fusible: _Fusible,
    fused: FusedResult,
    sampling: Sampling,
    engine: FusedEngine,
    run: RunTasks,
    fitter: Fitter | None,
) -> tuple[Model, list[BatchResult], int]:
    """Do what `_apply_together` does, after a call that hasn't applied all of the batches and has drawn a sample."""
    applied = len(fused.inertias)
    if sampling.sample.found[1] and not sampling.has_all_room:
        return _apply_together(model, fusible, engine, run, fitter, all_room=True)
    if sampling.sample.found[1]:  # the sample didn't take the next batch
        if applied:
            return _accept(model, fusible.first(applied), fused, sampling, engine, run, fitter)
        first = fusible.first(1)
        return _accept(model, first, _fused(model, first, engine, run, None, labelled=True), None, engine, run, fitter)
    if not applied:
        return model, [], len(fusible.batches)
    # The next batch is invalid, and may be in the sample.
    model, results, tried = _apply_together(model, fusible.first(applied), engine, run, fitter)
    return model, results, tried if len(results) < applied else len(fusible.batches)


def _begin_sampling(
    model: Model, fusible: _Fusible, fitter: Fitter, run: RunTasks, *, all_room: bool
) -> Sampling | None:
    """Return what takes the first batches into the summary as a whole; None: not the first one."""
    _, points, decays, weights = fusible
    sums = map(_sum, weights) if weights else map(float, map(len, points))
    half_lives = [decay.half_lives for decay in decays]
    return begin_learning(model, points, sums, half_lives, fitter, run, all_room=all_room)


def _fused(
    model: Model, fusible: _Fusible, engine: FusedEngine, run: RunTasks, sampling: Sampling | None, *, labelled: bool
) -> FusedResult:
    batches, points, decays, weights = fusible
    return engine.apply_batches(
        FusedBatches(
            points,
            None if model.config.half_life is None else np.array([decay.before for decay in decays]),
            newest(model).centroids,
            model.frame,
            labelled or any([batch.return_labels for batch in batches]),  # noqa: C419  (a generator costs more)
            weights or None,
            None if sampling is None else sampling.sample,
        ),
        run,
    )


def _accept(
    model: Model,
    fusible: _Fusible,
    fused: FusedResult,
    sampling: Sampling | None,
    engine: FusedEngine,
    run: RunTasks,
    fitter: Fitter | None,
) -> tuple[Model, list[BatchResult], int]:
    """Return the model after batches, their results, and of how many that was tried.

    Where a refinement or a drift comes before the last of them, those up to it are applied again, by themselves.
    """
    batches, _, decays, _ = fusible
    results = _results(newest(model).version, fusible, fused)
    if not results:
        return model, results, len(batches)
    frame, due, schedule = model.frame, len(results), None
    if fitter is not None and is_summarised(model):
        due, schedule = _until_refinement(model, results, decays)
    watch, due, drift = watch_results(model, results, due)
    if due < len(results):
        return _apply_together(model, fusible.first(due), engine, run, fitter)
    accepted = model.state.points_accepted + sum([each.accepted for each in results])
    last, latest_event = results[-1], decays[len(results) - 1].latest_event
    model = next_version(model, len(results), fused.moved, last.inertia, last.accepted, accepted, latest_event, watch)
    if fitter is None or schedule is None:
        return after_drift(model, drift), results, len(batches)
    if sampling is None:
        rows = _labelled(model, fusible.first(len(results)), fused.labels)
        model = learned(model, frame, rows, schedule, fitter, run)
    else:
        model = learned_batches(model, sampling, sum(map(len, fusible.points[: len(results)])), schedule)
    model, refined = refined_if_due(after_drift(model, drift), len(results), last.accepted, fitter, run)
    results[-1] = last._replace(refined=refined)
    return model, results, len(batches)


def _until_refinement(model: Model, results: list[BatchResult], decays: list[Decay]) -> tuple[int, RefinementSchedule]:
    """Return how many results there are up to that after which a refinement is due, and the schedule after them."""
    schedule, due = schedule_of(model), due_refinements(model)
    for count, (result, decay) in enumerate(zip(results, decays, strict=False), 1):
        weight = float(result.accepted) if result.weight is None else result.weight
        schedule = schedule.after(decay.half_lives, result.accepted, weight, result.inertia)
        if due.depth(schedule):
            return count, schedule
    return len(results), schedule


def _labelled(model: Model, applied: _Fusible, labels: LabelArray) -> LabelledRows:
    """Return the rows of batches that have been applied, with their labels."""
    _, points, decays, weights = applied
    age = schedule_of(model).age
    ages: Float64Array | float = age
    if model.config.half_life is not None:
        passed = np.cumsum([age, *(decay.half_lives for decay in decays)])[1:]
        ages = float(passed[0]) if len(points) == 1 else np.repeat(passed, [len(each) for each in points])
    return LabelledRows(
        _together(points), _together(weights) if weights else None, labels, ages, is_batch=len(points) == 1
    )


def _together(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


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
    model: Model,
    batch: Batch,
    engine: Engine,
    run: RunTasks,
    on_bug: Callable[[Exception], Refusal],
    fitter: Fitter | None,
) -> tuple[Model, BatchResult]:
    try:
        if batch.refusal is None:
            return apply(model, batch, engine, run, fitter)
        refusal = batch.refusal
    except Halted:
        raise
    except DomainError as error:
        refusal = error.refusal
    except Exception as bug:  # noqa: BLE001  (whatever it is, it is this batch's answer, and the session lives on)
        refusal = on_bug(bug)
        if fitter is not None and is_summarised(model):
            # Perhaps the bug is in the summary or a refinement, which the batch itself doesn't need.
            after, result = _apply_one(without_refinement(model), batch, engine, run, on_bug, None)
            return (after if result.refusal is None else model), result
    return model, BatchResult(sequence=batch.sequence, refusal=refusal)
