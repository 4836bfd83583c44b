"""The initial centroids: computed from the first points, which then all count in version 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from shoal_server.clustering.admission import Admitted
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.grounds import origin_among
from shoal_server.clustering.state import Grounds, Model
from shoal_server.clustering.update import advance, first_snapshot, frame_at
from shoal_server.clustering.warming import together
from shoal_server.engines.contract import Engine, Float64Array, LabelArray, RunTasks


def start(model: Model, rows: Admitted, engine: Engine, run: RunTasks) -> tuple[Model, float, LabelArray]:
    """End the warming: compute the initial centroids, and make version 1 of all points collected.

    Returns
    -------
    model
        At version 1.
    inertia, labels
        Of the rows of the batch that ended the warming.
    """
    if model.collected is None or model.grounds is None:
        raise AssertionError("a model starts once, after points have come")
    points, weight = together(model.collected)
    precision = model.grounds.precision
    grounds = Grounds(precision, origin_among(points, precision, model.config.metric))
    model = replace(model, collected=None, grounds=grounds)
    no_weights = np.zeros(model.config.n_clusters)
    nowhere = frame_at(model, np.zeros((len(no_weights), points.shape[1])), no_weights)
    centroids = initial_centroids(nowhere.enter(points), weight, model.config) + grounds.origin
    frame = frame_at(model, centroids, no_weights)
    contribution = engine.contribute(points, weight, frame, run)
    own = engine.assign(rows.points, frame, run)
    inertia = float(np.dot(own.distances, _ones_or(rows.sample_weight, len(own.distances))))
    return advance(model, first_snapshot(centroids), frame, contribution), inertia, own.labels


def initial_centroids(inside: NDArray[np.floating[Any]], weight: Float64Array, config: ModelConfig) -> Float64Array:
    """Return initial centroids (k, d) for points (n, d) of weights (n,), n at least init_size.

    k-means++ is scikit-learn's (Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007). Of
    more than init_size points, init_size are drawn first: one huge first batch costs no more.
    """
    random = np.random.RandomState(config.random_state)
    if len(inside) > config.points_needed:
        drawn = np.sort(random.choice(len(inside), config.points_needed, replace=False))
        inside, weight = inside[drawn], weight[drawn]
    wide = inside.astype(np.float64)
    if config.init == "random":
        return wide[random.choice(len(wide), config.n_clusters, replace=False)]
    centroids, _ = kmeans_plusplus(wide, config.n_clusters, sample_weight=weight, random_state=random)
    return np.asarray(centroids, dtype=np.float64)


def _ones_or(weight: Float64Array | None, rows: int) -> Float64Array:
    return np.ones(rows) if weight is None else weight
