"""The initial centroids: computed from the first points, which then all count in version 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import InitMethod, ModelConfig
from shoal_server.clustering.coordinates import origin_among
from shoal_server.clustering.state import CoordinateSystem, Model
from shoal_server.clustering.update import advance, first_snapshot
from shoal_server.clustering.validation import ValidRows
from shoal_server.clustering.warming import together
from shoal_server.engines.contract import Assignment, Engine, Float64Array, LabelArray, RunTasks
from shoal_server.libraries import library


def start(model: Model, rows: ValidRows, engine: Engine, run: RunTasks) -> tuple[Model, float, LabelArray]:
    """End the warming: compute the initial centroids, and make version 1 of all points collected.

    Returns
    -------
    model
        At version 1.
    inertia, labels
        Of the rows of the batch that ended the warming.
    """
    state = model.state
    if state.warmup is None or state.coordinates is None:
        raise AssertionError("a model starts once, after points have come")
    points, weight = together(state.warmup)
    precision = state.coordinates.precision
    coordinates = CoordinateSystem(precision, origin_among(points, precision, model.config.metric))
    nowhere = np.zeros((model.config.n_clusters, points.shape[1]))
    relative = coordinates.frame(nowhere, nowhere[:, 0], model.cache, cosine=model.config.metric == "cosine").transform(
        points
    )
    centroids = initial_centroids(relative, weight, model.config) + coordinates.origin
    model = model.with_state(state._replace(warmup=None, coordinates=coordinates, snapshot=first_snapshot(centroids)))
    contribution = engine.contribute(points, weight, model.frame, run)
    own = engine.assign(rows.points, model.frame, run, return_distances=True)
    inertia = float(np.dot(_distances(own), _ones_or(rows.sample_weight, len(own.labels))))
    # Version 1 says the inertia of the batch that made it, like every other: not that of all the points that count.
    model = advance(model, model.frame, contribution, engine, inertia=inertia, batch_points=len(rows.points))
    return model, inertia, own.labels


def initial_centroids(points: NDArray[np.floating[Any]], weight: Float64Array, config: ModelConfig) -> Float64Array:
    """Return initial centroids (k, d) for points (n, d) of weights (n,), n at least init_size."""
    wide = points.astype(np.float64)
    method: InitMethod = "random" if config.init == "random" else "k-means++"
    return wide[initial_rows(wide, weight, config.n_clusters, method, config.points_needed, config.random_state)]


def initial_rows(
    points: Float64Array,
    weight: Float64Array,
    n_clusters: int,
    method: InitMethod,
    init_size: int,
    random_state: int | None,
) -> NDArray[np.intp]:
    """Return which of points (n, d) of weights (n,) are the initial centroids, (n_clusters,).

    k-means++ is scikit-learn's (Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007). Of
    more than init_size points, init_size are drawn first: one huge first batch costs no more.
    """
    random = np.random.RandomState(random_state)
    rows: NDArray[np.intp] = np.arange(len(points))
    if len(points) > init_size:
        rows = np.sort(random.choice(len(points), init_size, replace=False))
    if method == "random":
        return rows[random.choice(len(rows), n_clusters, replace=False)]
    _, chosen = library("sklearn.cluster").kmeans_plusplus(
        points[rows], n_clusters, sample_weight=weight[rows], random_state=random
    )
    return rows[np.asarray(chosen, dtype=np.intp)]


def _distances(assignment: Assignment) -> NDArray[np.floating[Any]]:
    if assignment.distances is None:
        raise AssertionError("they were asked for")
    return assignment.distances


def _ones_or(weight: Float64Array | None, rows: int) -> Float64Array:
    return np.ones(rows) if weight is None else weight
