"""The scores of a batch's rows, of rows that are only assigned, and of what a refinement leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import Reals, SummaryKernels, WeightedPoints, nearest_centroids
from shoal_server.clustering.forgetting import Decay
from shoal_server.clustering.outliers import Outliers, no_scores, rebased, scored, scores_of
from shoal_server.clustering.state import Model
from shoal_server.clustering.validation import ValidRows
from shoal_server.engines.contract import (
    Assignment,
    BoolArray,
    Engine,
    Float64Array,
    Frame,
    LabelArray,
    PointArray,
    RunTasks,
)


class ScoredRows(NamedTuple):
    """The rows of a batch, and which of them are outliers."""

    labels: LabelArray  # (n,)
    scores: Float64Array  # (n,)
    usual: BoolArray | None  # (n,) which aren't outliers; None: all
    inertia: float  # of all of them


def score_rows(
    model: Model, threshold: float, rows: ValidRows, decay: Decay, engine: Engine, run: RunTasks
) -> tuple[Model, ScoredRows]:
    """Return the rows of a batch with their scores, and the model that has them in what scores are computed from.

    Raises
    ------
    UnusablePoints
        A row is invalid.
    """
    points, weight = rows.points, rows.sample_weight
    if not len(points):
        return model, ScoredRows(np.empty(0, np.int32), np.empty(0), None, 0.0)
    assigned = engine.assign(points, model.frame, run, return_distances=True)
    squares = _distances(assigned)
    counting = None if weight is None else weight > 0
    found = scored(_outliers_of(model), assigned.labels, squares, counting, decay.before, threshold, run)
    wide = squares.astype(np.float64)
    inertia = float(wide.sum() if weight is None else np.dot(wide, weight))
    usual = ~found.outliers if found.outliers.any() else None
    model = model.with_state(model.state._replace(outliers=found.after))
    return model, ScoredRows(assigned.labels, found.scores, usual, inertia)


def without_outliers(rows: ValidRows, labels: LabelArray, usual: BoolArray | None) -> tuple[ValidRows, LabelArray]:
    """Return the rows that update a model, and their labels."""
    if usual is None:
        return rows, labels
    weight = None if rows.sample_weight is None else rows.sample_weight[usual]
    return replace(rows, points=rows.points[usual], sample_weight=weight), labels[usual]


def assign_with_scores(
    model: Model, points: PointArray, engine: Engine, run: RunTasks, *, return_distances: bool
) -> Assignment:
    """Assign points (n, d) that can be, and score them as if each were the next row."""
    assigned = engine.assign(points, model.frame, run, return_distances=True)
    squares = _distances(assigned)
    scores = scores_of(_outliers_of(model), assigned.labels, squares)
    return Assignment(assigned.labels, squares if return_distances else None, scores)


def rebased_outliers(
    outliers: Outliers, summary: WeightedPoints, frame: Frame, kernels: SummaryKernels, run: RunTasks
) -> Outliers:
    """Return what scores are computed from after a refinement whose centroids the frame has."""
    labels, squares = nearest_centroids(summary.points, frame.centroids, kernels, run)
    return rebased(outliers, len(frame.centroids), labels, summary.weights, summary.weights * squares + summary.scatter)


def _outliers_of(model: Model) -> Outliers:
    outliers, k = model.state.outliers, len(model.frame.centroids)
    if outliers is None:
        return no_scores(k)
    return outliers if len(outliers.counts) == k else no_scores(k, outliers.found)


def _distances(assigned: Assignment) -> Reals:
    if assigned.distances is None:
        raise AssertionError("distances were asked for")
    return assigned.distances
