"""What happens to a model: it takes batches, assigns points, is reconfigured."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace
from functools import partial

import numpy as np

from shoal_server.clustering.absorbing import LabelledRows, is_summarised, learned, schedule_of
from shoal_server.clustering.adapting import after_drift, watch_results
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.drift import Drift
from shoal_server.clustering.events import Event, first_clusters, tell
from shoal_server.clustering.fitted import Fitter
from shoal_server.clustering.forgetting import Decay
from shoal_server.clustering.forgetting import decay as decay_of
from shoal_server.clustering.initialisation import FirstRows, collect, start
from shoal_server.clustering.origin import fit_coordinates
from shoal_server.clustering.refined import refined_if_due
from shoal_server.clustering.refinement_schedule import RefinementSchedule
from shoal_server.clustering.resizing import resized
from shoal_server.clustering.scoring import assign_with_scores, score_rows, without_outliers
from shoal_server.clustering.state import Batch, BatchResult, Model, ModelState, WarmupBuffer
from shoal_server.clustering.update import Measured, given_centroids, update
from shoal_server.clustering.validation import (
    ValidRows,
    admit,
    check_batch,
    check_columns,
    check_scores,
    still_warming,
    unchecked,
    validate_points,
)
from shoal_server.engines.contract import (
    Assignment,
    Engine,
    Float64Array,
    Frame,
    LabelArray,
    PointArray,
    RunTasks,
    UnusablePoints,
    run_in_order,
)
from shoal_server.errors import DomainError


def new_model(config: ModelConfig) -> Model:
    """Return a model that has seen nothing; with centroids if the configuration gives them."""
    if isinstance(config.init, str):
        return Model(config, ModelState(config.n_features, warmup=WarmupBuffer()))
    snapshot = given_centroids(config.init, config.init_weights, config.metric)
    k, d = config.init.shape
    return tell(Model(config, ModelState(d, snapshot=snapshot, ids_given=k)), [first_clusters(k)])


def reconfigure(
    model: Model,
    config: ModelConfig,
    *others: str,
    fitter: Fitter | None = None,
    run: RunTasks = run_in_order,
) -> Model:
    """Return the model with another configuration; what it has learnt stays.

    With another number of clusters it is in the next version. The event of it names the fields that differ, and others
    of the session's that have changed with them.

    Raises
    ------
    DomainError
        SUMMARY_MISSING or SUMMARY_EMPTY: the number of clusters can't change without a summary. N_CLUSTERS_INVALID: the
        summary has fewer points than that.
    """
    names = [field.name for field in fields(config)]
    differing = [name for name in names if not np.array_equal(getattr(config, name), getattr(model.config, name))]
    changed = (*differing, *others)
    state = model.state._replace(
        column_means=model.state.column_means if config.on_invalid == "impute" else None,
        outliers=None if config.outlier_threshold is None else model.state.outliers,
    )
    model = model.with_state(state)
    if config.n_clusters != model.config.n_clusters and model.snapshot is not None:
        return resized(model, config, [Event("reconfigured", fields=changed)], fitter, run)
    model = model.with_config(config)
    return tell(model, [Event("reconfigured", fields=changed)]) if changed else model


def apply(
    model: Model, batch: Batch, engine: Engine, run: RunTasks, fitter: Fitter | None = None
) -> tuple[Model, BatchResult]:
    """Apply one batch: the model of the next version, or, while it is warming, with more points collected.

    The fitter computes summaries and refinements: only a model that keeps no summary can do without.

    Raises
    ------
    DomainError
        What is wrong with the batch; the model stays as it was.
    """
    check_batch(model, batch)
    if can_skip_validation(model):
        # Almost always all rows are valid, and engines notice on their way if one is not.
        with suppress(UnusablePoints):
            return _apply(model, batch, unchecked(batch), engine, run, fitter)
    return _apply(model, batch, admit(model, batch), engine, run, fitter)


def assign(
    model: Model,
    points: PointArray,
    engine: Engine,
    run: RunTasks,
    *,
    return_distances: bool = True,
    return_scores: bool = False,
) -> Assignment:
    """Assign points (n, d) to the newest centroids. A row that is dropped gets label -1, and distance and score NaN.

    Raises
    ------
    DomainError
        SESSION_WARMING, SCORES_UNAVAILABLE, or what is wrong with the points.
    """
    if model.snapshot is None:
        raise DomainError(still_warming(model))
    check_columns(model, points)
    if return_scores:
        check_scores(model)
        engine_assign = partial(assign_with_scores, model, engine=engine, run=run, return_distances=return_distances)
    else:
        engine_assign = partial(engine.assign, frame=model.frame, run=run, return_distances=return_distances)
    if can_skip_validation(model):
        with suppress(UnusablePoints):
            return engine_assign(points)
    rows = validate_points(model, points)
    if not len(rows.points):
        none = np.empty(0)
        assignment = Assignment(
            np.empty(0, np.int32), none if return_distances else None, none if return_scores else None
        )
    else:
        assignment = engine_assign(rows.points)
    return _spread(assignment, rows)


def can_skip_validation(model: Model) -> bool:
    """Return whether points may go to the engine as they are: what they could change before that is settled."""
    state = model.state
    return state.coordinates is not None and state.warmup is None and model.config.on_invalid != "impute"


def _apply(
    model: Model, batch: Batch, rows: ValidRows, engine: Engine, run: RunTasks, fitter: Fitter | None
) -> tuple[Model, BatchResult]:
    decay = decay_of(model.config.half_life, len(rows.points), batch.event_time, model.state.latest_event)
    weights = decay.weights(rows.sample_weight, len(rows.points))
    if weights is not rows.sample_weight:
        rows = replace(rows, sample_weight=weights)
    model = _count(model, batch, rows, decay, run)
    warmup = model.state.warmup
    if warmup is None:
        return _update_and_learn(model, batch, rows, decay, engine, run, fitter)
    model = model.with_state(model.state._replace(warmup=collect(warmup, rows, decay)))
    if model.warming and model.warming.seen < model.warming.needed:
        return model, _outcome(model, batch, rows, decay, 0.0, None)
    model, inertia, labels, first = start(model, rows, engine, run)
    outcome = _outcome(model, batch, rows, decay, inertia, labels)
    if batch.return_scores:
        outcome = outcome._replace(scores=_spread_scores(np.ones(len(rows.points)), rows))
    if fitter is None or not is_summarised(model):
        return model, outcome
    return _learn_first(model, first, outcome, fitter, run)


def _update_and_learn(
    model: Model, batch: Batch, rows: ValidRows, decay: Decay, engine: Engine, run: RunTasks, fitter: Fitter | None
) -> tuple[Model, BatchResult]:
    """Return a model that is past its warming after one more batch."""
    learns = fitter is not None and is_summarised(model)
    before, threshold, usual = model.frame, model.config.outlier_threshold, rows
    if threshold is None:
        model, inertia, labels = update(model, rows, decay, engine, run, return_labels=batch.return_labels or learns)
        outcome = _outcome(model, batch, rows, decay, inertia, labels)
    else:
        wanted = batch.return_scores
        model, scored = score_rows(model, threshold, rows, decay, engine, run, return_scores=wanted)
        measured = Measured(scored.inertia, len(rows.points))
        usual, labels = without_outliers(rows, scored.labels, scored.usual, run)
        model, inertia, _ = update(model, usual, decay, engine, run, return_labels=False, measured=measured)
        outcome = _outcome(model, batch, rows, decay, scored.inertia, scored.labels)._replace(
            outliers=len(rows.points) - len(usual.points),
            scores=None if scored.scores is None else _spread_scores(scored.scores, rows),
        )
    watch, _, drift = watch_results(model, [outcome], 1)
    model = model.with_state(model.state._replace(drift=watch))
    if fitter is None or not learns:
        return after_drift(model, drift), outcome
    return _learn(model, before, usual, decay, labels, inertia, drift, outcome, fitter, run)


def _learn(
    model: Model,
    before: Frame,
    rows: ValidRows,
    decay: Decay,
    labels: LabelArray,
    inertia: float,
    drift: Drift | None,
    outcome: BatchResult,
    fitter: Fitter,
    run: RunTasks,
) -> tuple[Model, BatchResult]:
    """Return a model that has been updated with one more batch in its summary, refined if that is due.

    The rows, their labels and their inertia are without the outliers, which are in the outcome alone.
    """
    weight = float(len(rows.points)) if rows.sample_weight is None else float(rows.sample_weight.sum())
    schedule = schedule_of(model).after(decay.half_lives, outcome.accepted, weight, inertia)
    labelled = LabelledRows(rows.points, rows.sample_weight, labels, schedule.age, is_batch=True)
    model = after_drift(learned(model, before, labelled, schedule, fitter, run), drift)
    model, refined = refined_if_due(model, 1, len(rows.points), fitter, run)
    return model, outcome._replace(refined=refined)


def _learn_first(
    model: Model, first: FirstRows, outcome: BatchResult, fitter: Fitter, run: RunTasks
) -> tuple[Model, BatchResult]:
    """Do the same with all rows that have been collected for the initial centroids."""
    schedule = RefinementSchedule().after(first.age, len(first.points), float(first.weights.sum()), first.inertia)
    rows = LabelledRows(first.points, first.sample_weight, first.labels, first.born, is_batch=False)
    model = learned(model, first.frame, rows, schedule, fitter, run)
    model, refined = refined_if_due(model, 1, len(first.points), fitter, run)
    return model, outcome._replace(refined=refined)


def _count(model: Model, batch: Batch, rows: ValidRows, decay: Decay, run: RunTasks) -> Model:
    """Return the model with what a batch says before its points are clustered."""
    state, accepted = model.state, len(rows.points)
    return model.with_state(
        state._replace(
            n_features=batch.points.shape[1],
            coordinates=state.coordinates or (fit_coordinates(rows.points, model, run) if accepted else None),
            latest_event=decay.latest_event,
            column_means=rows.column_means,
            points_accepted=state.points_accepted + accepted,
            points_dropped=state.points_dropped + len(batch.points) - accepted,
        )
    )


def _outcome(
    model: Model, batch: Batch, rows: ValidRows, decay: Decay, inertia: float, labels: LabelArray | None
) -> BatchResult:
    accepted = len(rows.points)
    return BatchResult(
        version=model.version,
        accepted=accepted,
        dropped=len(batch.points) - accepted,
        inertia=inertia,
        labels=_spread_out(labels, rows) if labels is not None and batch.return_labels else None,
        warming=model.warming,
        sequence=batch.sequence,
        late=decay.late,
        weight=None if rows.sample_weight is None else float(rows.sample_weight.sum()),
    )


def _spread(assignment: Assignment, rows: ValidRows) -> Assignment:
    labels, scores = _spread_out(assignment.labels, rows), assignment.scores
    if scores is not None:
        scores = _spread_scores(scores, rows)
    if rows.kept is None or assignment.distances is None:
        return Assignment(labels, assignment.distances, scores)
    distances = np.full(len(rows.kept), np.nan, assignment.distances.dtype)
    distances[rows.kept] = assignment.distances
    return Assignment(labels, distances, scores)


def _spread_scores(scores: Float64Array, rows: ValidRows) -> Float64Array:
    if rows.kept is None:
        return scores
    spread = np.full(len(rows.kept), np.nan)
    spread[rows.kept] = scores
    return spread


def _spread_out(labels: LabelArray, rows: ValidRows) -> LabelArray:
    if rows.kept is None:
        return labels
    spread = np.full(len(rows.kept), -1, np.int32)
    spread[rows.kept] = labels
    return spread
