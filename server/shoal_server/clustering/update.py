"""The update rule: how what a batch adds up to moves the centroids.

    N ← a·N + n_j        μ ← μ + (s_j − n_j·μ) / N

With a = 1 this is scikit-learn's MiniBatchKMeans.partial_fit without reassignment (Sculley, "Web-scale k-means
clustering", 2010); with a = 0 it is one iteration of Lloyd's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import Metric
from shoal_server.clustering.drift import DriftWatch
from shoal_server.clustering.forgetting import Decay
from shoal_server.clustering.state import Model, ModelState, Snapshot, read_only_snapshot, shifts
from shoal_server.clustering.validation import ValidRows
from shoal_server.engines.contract import (
    Contribution,
    Engine,
    Float64Array,
    Frame,
    LabelArray,
    NewCentroids,
    RunTasks,
    empty_contribution,
    is_fused,
    to_sphere,
)
from shoal_server.errors import Reason, invalid

_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of the length of a row that has been scaled to 1


class Measured(NamedTuple):
    """What a version says of the batch that made it."""

    inertia: float
    rows: int


def update(
    model: Model,
    rows: ValidRows,
    decay: Decay,
    engine: Engine,
    run: RunTasks,
    *,
    return_labels: bool,
    measured: Measured | None = None,
) -> tuple[Model, float, LabelArray]:
    """Make the next version of the rows of one batch; return it with their inertia, and their labels if wanted.

    What the version says of the batch is measured here, unless the batch has more rows than these.

    Raises
    ------
    UnusablePoints
        A row is invalid.
    DomainError
        VALUE_TOO_LARGE: the batch adds up to more than can be computed with.
    """
    frame = model.frame
    frame = frame.with_weights(frame.weights * decay.before)
    if not len(rows.points):
        contribution = empty_contribution(frame)
    else:
        contribution = engine.contribute(rows.points, rows.sample_weight, frame, run, return_labels=return_labels)
    of_batch = measured or Measured(contribution.inertia, len(rows.points))
    advanced = advance(model, frame, contribution, engine, inertia=of_batch.inertia, batch_points=of_batch.rows)
    return advanced, contribution.inertia, contribution.labels


def advance(
    model: Model, frame: Frame, contribution: Contribution, engine: Engine, *, inertia: float, batch_points: int
) -> Model:
    """Return the model of the next version.

    Parameters
    ----------
    model
        Before it.
    frame
        The model's own, its weights forgotten as far as they are to be.
    contribution
        What moves the centroids.
    engine
        What moves them, where it can.
    inertia, batch_points
        Of the batch that makes the version; the contribution may be of more points than that.

    Raises
    ------
    DomainError
        VALUE_TOO_LARGE: the batch adds up to more than can be computed with.
    """
    centroids = newest(model).centroids
    if is_fused(engine):
        moved = engine.move(centroids, frame, contribution)
    else:
        moved = _move_finitely(centroids, frame, contribution)
    if moved is None:
        # What isn't finite once would be so in every later version.
        raise invalid(
            Reason.VALUE_TOO_LARGE,
            "points",
            "the points, or their distances from the centroids, add up to more than the session's precision holds; "
            "scale them down, or create the session with other initial centroids",
        )
    return next_version(model, 1, moved, inertia, batch_points, model.state.points_accepted, model.state.latest_event)


def next_version(
    model: Model,
    updates: int,
    moved: NewCentroids,
    inertia: float,
    batch_points: int,
    points_accepted: int,
    latest_event: float | None,
    watch: DriftWatch | None = None,
) -> Model:
    """Return the model after some updates, with the centroids that they made; and with a watch that has seen them."""
    state, before = model.state, newest(model)
    snapshot = Snapshot(
        before.version + updates,
        moved.centroids,
        moved.weights,
        inertia,
        moved.movement,
        points_accepted,
        batch_points,
        before.ids,
        estimated_inertia_per_point=before.estimated_inertia_per_point,
    )
    after = ModelState(
        state.n_features,
        state.coordinates,
        snapshot,
        state.warmup,
        latest_event,
        state.column_means,
        points_accepted,
        state.points_dropped,
        state.learning,
        state.ids_given,
        state.events_told,
        watch or state.drift,
        state.outliers,
    )
    return model.with_centroids(after, moved)


def move(
    centroids: Float64Array,
    weights: Float64Array,
    contribution: Contribution,
    origin: NDArray[np.floating[Any]],
    *,
    cosine: bool,
) -> tuple[Float64Array, Float64Array]:
    """Return the centroids (k, d) and weights (k,) after a batch.

    Parameters
    ----------
    centroids, weights
        Before it, shapes (k, d) and (k,); the weights already forgotten as far as they are to be.
    contribution
        What the batch adds up to, relative to `origin` (d,).
    origin
        Of the contribution's sums.
    cosine
        Whether centroids are kept at length 1.
    """
    total = weights + contribution.counts
    moved = contribution.counts > 0
    counts = contribution.counts[moved, None]
    shift = (contribution.sums[moved] - counts * (centroids[moved] - origin)) / total[moved, None]
    after = centroids.copy()
    after[moved] += shift
    if cosine:
        after[moved] = _back_to_sphere(after[moved], centroids[moved])
    return after, total


def given_centroids(centroids: NDArray[Any], weights: Float64Array | None, metric: Metric) -> Snapshot:
    """Return version 0 of centroids (k, d) that the configuration gives, with their weights (k,) if it gives them."""
    wide = centroids.astype(np.float64)
    wide = _on_sphere(wide) if metric == "cosine" else wide
    return first_snapshot(wide, None if weights is None else weights.copy())


def first_snapshot(centroids: Float64Array, weights: Float64Array | None = None) -> Snapshot:
    """Return version 0: initial centroids (k, d) that no point has moved yet, of weights (k,); None: of weight 0."""
    nothing = np.zeros(len(centroids))
    return read_only_snapshot(0, centroids, nothing if weights is None else weights, 0.0, nothing, 0, 0)


def _on_sphere(centroids: Float64Array) -> Float64Array:
    """Return centroids at length 1; those that an update left there stay the same bit for bit."""
    lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.where(np.abs(lengths - 1) <= _ROUNDING, centroids, to_sphere(centroids))


def newest(model: Model) -> Snapshot:
    """Return the newest version of a model that is past its warming."""
    snapshot = model.state.snapshot
    if snapshot is None:
        raise AssertionError("a model that is past its warm-up has centroids")
    return snapshot


def _move_finitely(centroids: Float64Array, frame: Frame, contribution: Contribution) -> NewCentroids | None:
    with np.errstate(over="ignore", invalid="ignore"):
        after, weights = move(centroids, frame.weights, contribution, frame.origin, cosine=frame.cosine)
    if not (np.isfinite(contribution.inertia) and np.isfinite(after).all() and np.isfinite(weights).all()):
        return None
    relative, movement = (after - frame.origin).astype(frame.dtype), shifts(centroids, after)
    for array in (after, weights, movement):
        array.setflags(write=False)
    return NewCentroids(after, weights, movement, contribution.counts > 0, frame.at(relative, weights))


def _back_to_sphere(centroids: Float64Array, before: Float64Array) -> Float64Array:
    length = np.linalg.norm(centroids, axis=1, keepdims=True)
    # Directions that cancel out leave none: such a centroid keeps its place.
    clear = length > np.finfo(np.float64).eps
    return np.where(clear, centroids / np.where(clear, length, 1.0), before)
