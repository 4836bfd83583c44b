"""Another number of clusters for a running model, made of those that it has.

For more of them, points of the summary are chosen as new centroids where the inertia is largest: greedy k-means++ goes
on from the centroids that there are. For fewer, those go whose loss costs least. Either way a light refinement follows,
and clusters that live on keep their ids and, where it is left, their places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from shoal_server.clustering.buckets import nearest_centroids
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.drift import DriftWatch
from shoal_server.clustering.events import Event
from shoal_server.clustering.fitted import Fitter, per_weight, with_fitted
from shoal_server.clustering.refinement import refine
from shoal_server.clustering.search import Pieces, Points, Search, SearchKernels
from shoal_server.clustering.state import Model
from shoal_server.clustering.summarised import check_summarised, summarised_rows, too_few_points
from shoal_server.engines.contract import BoolArray, Float64Array, LabelArray, RunTasks, holding_memory

_SEED = 2  # told from the seeds of refinements, which have 1 or 3 here, or nothing
_ROUND_SHARE = 2  # of the clusters that are too many, at most one in so many goes before the others are looked at anew


def resized(model: Model, config: ModelConfig, events: Sequence[Event], fitter: Fitter | None, run: RunTasks) -> Model:
    """Return the model with another number of clusters, in the next version.

    Parameters
    ----------
    model
        With centroids.
    config
        The configuration after it.
    events
        That come before those of the clusters.
    fitter, run
        Compute.

    Raises
    ------
    DomainError
        SUMMARY_MISSING or SUMMARY_EMPTY: there is nothing to fit the clusters to. N_CLUSTERS_INVALID: the summary has
        fewer points.
    """
    check_summarised(model)
    run = holding_memory(run)
    if fitter is None:
        raise AssertionError("a model whose rows are summarised has something that fits to them")
    rows = summarised_rows(model, fitter, run)
    if config.n_clusters > len(rows.points.weights):
        raise too_few_points(config.n_clusters, len(rows.points.weights), "config.n_clusters")
    learning, snapshot = model.state.learning, model.snapshot
    if learning is None or snapshot is None:
        raise AssertionError("a model whose rows are summarised keeps a summary")
    frame, stands_for, schedule = rows.frame, rows.points, learning.schedule
    seed = (rows.seed, schedule.refinements, _SEED)
    kernels = fitter.summary_kernels(frame.dtype)
    before, _ = nearest_centroids(stands_for.points, frame.centroids, kernels, run)
    start = other_number(
        stands_for.points, stands_for.weights, snapshot.centroids - frame.origin, config.n_clusters,
        seed=seed, cosine=frame.cosine, kernels=fitter.search, run=run,
    )  # fmt: skip
    fitted = refine(
        stands_for.points, stands_for.weights, start,
        depth="light", fresh=False, seed=seed, cosine=frame.cosine, kernels=fitter.search, run=run,
    )  # fmt: skip
    expected = per_weight(fitted.inertia, stands_for)
    schedule = learning.without_pending().schedule.resized()
    schedule = schedule.refined(expected, len(start) / len(stands_for.weights), fitted.work)
    state = model.state._replace(drift=DriftWatch())  # the inertia of so many clusters is to be learnt anew
    renewed = Model(config, state, events=model.events)  # what engines have learnt is of other clusters
    return with_fitted(renewed, stands_for, fitted, before, schedule, None, events, fitter, run)


def other_number(
    points: Points,
    weights: Float64Array,
    centroids: Float64Array,
    n_clusters: int,
    *,
    seed: Sequence[int],
    cosine: bool,
    kernels: SearchKernels,
    run: RunTasks,
) -> Float64Array:
    """Return centroids (n_clusters, d) made of others (k, d): more of them, or fewer.

    Parameters
    ----------
    points, weights
        (m, d) and (m,), some above 0.
    centroids
        (k, d) in the same coordinates.
    n_clusters
        Their number afterwards.
    seed, cosine, kernels, run
        As for `refinement.refine`.
    """
    found: list[Float64Array] = []

    def search_for(count: int) -> Search:
        return Search(points, weights, count, cosine=cosine, kernels=kernels)

    def work(_: int) -> Iterator[None]:
        if n_clusters > len(centroids):
            search = search_for(n_clusters)
            yield from search.pack()
            yield from search.grow(centroids, np.random.default_rng(seed))
            found.append((yield from search.settle(0)).centroids)
            return
        left = centroids
        while len(left) > n_clusters:
            left = yield from _with_fewer(search_for(len(left)), left, len(left) - n_clusters)
        found.append(left)

    run(work, 1)
    return found[0]


def _with_fewer(search: Search, centroids: Float64Array, too_many: int) -> Pieces[Float64Array]:
    """Return some of the centroids (k, d): without those whose loss costs least, at most `too_many` of them."""
    yield from search.pack()
    yield from search.place(centroids)
    lost, heirs = search.losses()
    goes = _least(lost, heirs, max(too_many // _ROUND_SHARE, 1))
    return centroids[~goes]


def _least(lost: Float64Array, heirs: LabelArray, count: int) -> BoolArray:
    """Return which of the clusters (k,) go: those that lose least, and of which none gets the points of another."""
    goes, stays = np.zeros(len(lost), np.bool_), np.zeros(len(lost), np.bool_)
    for label in np.argsort(lost, kind="stable").tolist():
        if not stays[label] and not goes[heirs[label]]:
            goes[label], stays[heirs[label]] = True, heirs[label] != label
            count -= 1
        if not count:
            break
    return goes
