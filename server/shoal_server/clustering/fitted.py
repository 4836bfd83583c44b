"""A model in the next version, with centroids that were fitted to its summary: whose clusters are which, and events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from shoal_server.clustering.buckets import IndexArray, SummaryKernels, WeightedPoints
from shoal_server.clustering.events import Event, cluster_events, tell
from shoal_server.clustering.identity import succeed, succession_work
from shoal_server.clustering.learning import Learning, PendingDeep
from shoal_server.clustering.refinement_schedule import RefinementSchedule
from shoal_server.clustering.scoring import rebased_outliers
from shoal_server.clustering.search import Refined, SearchKernels
from shoal_server.clustering.state import Model, Snapshot, read_only_snapshot, shifts
from shoal_server.clustering.summary import relabelled
from shoal_server.clustering.update import newest
from shoal_server.engines.contract import Float64Array, LabelArray, RunTasks


class Fitter(Protocol):
    """The compiled loops of summaries and refinements."""

    def summary_kernels(self, precision: np.dtype[Any]) -> SummaryKernels:
        """Return those of a summary, for a precision."""
        ...

    @property
    def search(self) -> SearchKernels:
        """Those of a refinement."""
        ...


def seed_of(model: Model) -> int:
    """Return the seed of what is drawn for a model's summary."""
    return model.config.random_state or 0


def per_weight(inertia: float, stands_for: WeightedPoints) -> float:
    """Return the inertia of a row of weight 1, from that of the points that stand for the rows."""
    return (inertia + float(stands_for.scatter.sum())) / float(stands_for.weights.sum())


def with_fitted(
    model: Model,
    stands_for: WeightedPoints,
    fitted: Refined,
    before: LabelArray,
    schedule: RefinementSchedule,
    deep: PendingDeep | None,
    events: Sequence[Event],
    fitter: Fitter,
    run: RunTasks,
    *,
    is_reduced: bool = True,
) -> Model:
    """Return the model in the next version, with centroids that were fitted to its summary, perhaps more or fewer.

    Parameters
    ----------
    model
        Before it.
    stands_for
        The points (m, d) of its summary.
    fitted
        To these.
    before
        (m,) labels of the points in the version before.
    schedule, deep
        After it: the deep refinement is one that is pending. A light one isn't, any more.
    events
        That come before those of its clusters.
    fitter, run
        Compute.
    is_reduced
        Whether to reduce its summary to its size; False: `within_size` follows with the next batch.
    """
    if model.state.learning is None:
        raise AssertionError("a model whose centroids are fitted to its summary has one")
    newest_ids, frame = newest(model).ids, model.frame
    clusters = succeed(
        newest_ids, model.state.ids_given, before, fitted.labels, stands_for.weights, len(fitted.weights), run
    )
    schedule = schedule._replace(work=schedule.work + succession_work(len(before)))
    centroids, weights = fitted.centroids[clusters.order], fitted.weights[clusters.order]
    expected = per_weight(fitted.inertia, stands_for)
    kernels = fitter.summary_kernels(frame.dtype)
    size = model.config.summary_points(centroids.shape[1])
    summary = model.state.learning.summary._replace(size=size)
    summary = relabelled(
        summary, centroids, weights, expected, schedule.age, seed_of(model), kernels, run, is_reduced=is_reduced
    )  # fmt: skip
    snapshot = _refined_snapshot(newest(model), centroids + frame.origin, weights, clusters.ids, expected)
    state = model.state._replace(
        snapshot=snapshot,
        learning=Learning(summary, schedule, deep=deep),
        ids_given=clusters.ids_given,
        drift=model.state.drift.refined(),
    )
    model = model.with_state(state)
    if state.outliers is not None:
        outliers = rebased_outliers(state.outliers, stands_for, model.frame, kernels, run)
        model = model.with_state(state._replace(outliers=outliers))
    return tell(model, [*events, *cluster_events(clusters)])


def _refined_snapshot(
    before: Snapshot,
    centroids: Float64Array,
    weights: Float64Array,
    ids: IndexArray,
    estimated_inertia_per_point: float,
) -> Snapshot:
    """Return the version after one; what it says of a batch stays as it was measured."""
    return read_only_snapshot(
        before.version + 1,
        centroids,
        weights,
        before.inertia,
        _movement(before, centroids, ids),
        before.points_accepted,
        before.batch_points,
        refined=True,
        ids=ids,
        estimated_inertia_per_point=estimated_inertia_per_point,
    )


def _movement(before: Snapshot, centroids: Float64Array, ids: IndexArray) -> Float64Array:
    """Return how far each of the centroids (k, d) is from that at its place before, (k,).

    Where their number has changed, from that of the same cluster; one that began then has not moved.
    """
    if len(centroids) == len(before.centroids):
        return shifts(before.centroids, centroids)
    order = np.argsort(before.ids)
    places = order[np.searchsorted(before.ids, ids, sorter=order).clip(max=len(order) - 1)]
    lived = before.ids[places] == ids
    return np.where(lived, shifts(before.centroids[places], centroids), 0.0)
