"""The scores of a batch's rows, of rows that are only assigned, and of what a refinement leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.buckets import Reals, SummaryKernels, WeightedPoints, nearest_centroids
from shoal_server.clustering.forgetting import Decay
from shoal_server.clustering.outliers import CHUNK_ROWS, Outliers, no_scores, rebased, scored, scores_of
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

# Rows that are assigned and scored at a time: what that takes besides the answer, 30 bytes a row, is bounded by it.
PART_ROWS = 16 * CHUNK_ROWS


class ScoredRows(NamedTuple):
    """The rows of a batch, and which of them are outliers."""

    labels: LabelArray  # (n,)
    scores: Float64Array | None  # (n,); None unless asked for
    usual: BoolArray | None  # (n,) which aren't outliers; None: all
    inertia: float  # of all of them


def score_rows(
    model: Model, threshold: float, rows: ValidRows, decay: Decay, engine: Engine, run: RunTasks, *, return_scores: bool
) -> tuple[Model, ScoredRows]:
    """Return the rows of a batch with their scores, and the model that has them in what scores are computed from.

    Raises
    ------
    UnusablePoints
        A row is invalid.
    """
    points, weight, n = rows.points, rows.sample_weight, len(rows.points)
    labels, usual = np.empty(n, np.int32), np.empty(n, np.bool_)
    scores = np.empty(n) if return_scores else None
    outliers, kept, inertia = _outliers_of(model), decay.before, 0.0
    for part in _parts(n, PART_ROWS):
        assigned = engine.assign(points[part], model.frame, run, return_distances=True)
        squares, weights = _distances(assigned), None if weight is None else weight[part]
        counting = None if weights is None else weights > 0
        found = scored(outliers, assigned.labels, squares, counting, kept, threshold, run)
        wide = squares.astype(np.float64)
        inertia += float(wide.sum() if weights is None else np.dot(wide, weights))
        labels[part], usual[part] = assigned.labels, ~found.outliers
        if scores is not None:
            scores[part] = found.scores
        outliers, kept = found.after, 1.0
    if n:
        model = model.with_state(model.state._replace(outliers=outliers))
    return model, ScoredRows(labels, scores, None if usual.all() else usual, inertia)


def without_outliers(
    rows: ValidRows, labels: LabelArray, usual: BoolArray | None, run: RunTasks
) -> tuple[ValidRows, LabelArray]:
    """Return the rows that update a model, and their labels."""
    if usual is None:
        return rows, labels
    n, points, weight = np.count_nonzero(usual), rows.points, rows.sample_weight
    arrays = [points, labels] if weight is None else [points, labels, weight]
    left = [np.empty((n, *array.shape[1:]), array.dtype) for array in arrays]

    def copy(_: int) -> Iterator[None]:
        begin = 0
        for part in _parts(len(usual), CHUNK_ROWS):
            end = begin + int(np.count_nonzero(usual[part]))
            for array, copied in zip(arrays, left, strict=True):
                copied[begin:end] = array[part][usual[part]]
            begin = end
            yield

    run(copy, 1)
    return replace(rows, points=left[0], sample_weight=None if weight is None else left[2]), left[1]


def assign_with_scores(
    model: Model, points: PointArray, engine: Engine, run: RunTasks, *, return_distances: bool
) -> Assignment:
    """Assign points (n, d) that can be, and score them as if each were the next row."""
    n, outliers = len(points), _outliers_of(model)
    labels, scores = np.empty(n, np.int32), np.empty(n)
    distances = np.empty(n, model.frame.dtype) if return_distances else None
    for part in _parts(n, PART_ROWS):
        assigned = engine.assign(points[part], model.frame, run, return_distances=True)
        labels[part], squares = assigned.labels, _distances(assigned)
        scores[part] = scores_of(outliers, assigned.labels, squares, run)
        if distances is not None:
            distances[part] = squares
    return Assignment(labels, distances, scores)


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


def _parts(n: int, rows: int) -> Iterator[slice]:
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))
