"""The update rule: how what a batch adds up to moves the centroids.

    N ← a·N + n_j        μ ← μ + (s_j − n_j·μ) / N

With a = 1 this is scikit-learn's MiniBatchKMeans.partial_fit without reassignment (Sculley, "Web-scale k-means
clustering", 2010); with a = 0 it is one iteration of Lloyd's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import Metric
from shoal_server.clustering.forgetting import Decay
from shoal_server.clustering.movement import movement
from shoal_server.clustering.state import Model, Snapshot, frozen
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


def update(
    model: Model, rows: ValidRows, fading: Decay, engine: Engine, run: RunTasks, *, return_labels: bool
) -> tuple[Model, float, LabelArray]:
    """Make the next version of the rows of one batch; return it with their inertia, and their labels if wanted.

    Raises
    ------
    UnusablePoints
        A row is invalid.
    DomainError
        VALUE_TOO_LARGE: the batch adds up to more than can be computed with.
    """
    frame = model.frame
    frame = replace(frame, weights=frame.weights * fading.before)
    if not len(rows.points):
        contribution = empty_contribution(frame)
    else:
        contribution = engine.contribute(rows.points, rows.sample_weight, frame, run, return_labels=return_labels)
    advanced = advance(model, frame, contribution, engine, inertia=contribution.inertia, batch_points=len(rows.points))
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
    version = newest(model).version + 1
    return at_version(
        model,
        version,
        moved,
        inertia=inertia,
        batch_points=batch_points,
        points_accepted=model.points_accepted,
        latest_event=model.latest_event,
    )


def at_version(
    model: Model,
    version: int,
    moved: NewCentroids,
    *,
    inertia: float,
    batch_points: int,
    points_accepted: int,
    latest_event: float | None,
) -> Model:
    """Return the model with newer centroids."""
    snapshot = Snapshot(
        version=version,
        centroids=frozen(moved.centroids),
        weights=frozen(moved.weights),
        inertia=inertia,
        movement=frozen(moved.movement),
        points_accepted=points_accepted,
        batch_points=batch_points,
    )
    return replace(
        model,
        snapshot=snapshot,
        last_frame=(snapshot, moved.frame),
        points_accepted=points_accepted,
        latest_event=latest_event,
    )


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


def given_centroids(centroids: NDArray[Any], metric: Metric) -> Snapshot:
    """Return version 0 of centroids (k, d) that the configuration gives."""
    wide = centroids.astype(np.float64)
    return first_snapshot(to_sphere(wide) if metric == "cosine" else wide)


def first_snapshot(centroids: Float64Array) -> Snapshot:
    """Return version 0: initial centroids (k, d) that no point has moved yet."""
    nothing = frozen(np.zeros(len(centroids)))
    return Snapshot(0, frozen(centroids), nothing, 0.0, nothing, 0, 0)


def newest(model: Model) -> Snapshot:
    """Return the newest version of a model that is past its warming."""
    if model.snapshot is None:
        raise AssertionError("a model that is past its warming has centroids")
    return model.snapshot


def _move_finitely(centroids: Float64Array, frame: Frame, contribution: Contribution) -> NewCentroids | None:
    with np.errstate(over="ignore", invalid="ignore"):
        after, weights = move(centroids, frame.weights, contribution, frame.origin, cosine=frame.cosine)
    if not (np.isfinite(contribution.inertia) and np.isfinite(after).all() and np.isfinite(weights).all()):
        return None
    inside = (after - frame.origin).astype(frame.dtype)
    return NewCentroids(after, weights, movement(centroids, after), frame.at(inside, weights))


def _back_to_sphere(centroids: Float64Array, before: Float64Array) -> Float64Array:
    length = np.linalg.norm(centroids, axis=1, keepdims=True)
    # Directions that cancel out leave none: such a centroid keeps its place.
    clear = length > np.finfo(np.float64).eps
    return np.where(clear, centroids / np.where(clear, length, 1.0), before)
