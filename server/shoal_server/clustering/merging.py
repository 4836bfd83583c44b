"""Several models become one: its summary is made of theirs, and its centroids are fitted to that.

The rows of all of them weigh in it what they would if the models had seen them side by side: as long ago as each model
says. With half-lives in seconds "now" is the newest event of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.events import first_clusters, tell
from shoal_server.clustering.fitted import Fitter
from shoal_server.clustering.learning import Learning
from shoal_server.clustering.refinement import expected_fit_work, fit
from shoal_server.clustering.refinement_schedule import RefinementSchedule
from shoal_server.clustering.state import ColumnMeans, Model, ModelState, read_only_snapshot
from shoal_server.clustering.summarised import SummarisedModel, max_points
from shoal_server.clustering.summary import (
    Summary,
    empty_summary,
    merge,
    relabelled,
    weighted_points,
)
from shoal_server.engines.chunks import row_work
from shoal_server.engines.contract import Float64Array, RunTasks
from shoal_server.errors import DomainError, Reason, Refusal, invalid

# Starts of the fit: as many as a session's deep refinements make from scratch; of more values of the centroids than
# that, of which each start takes seconds, one.
N_STARTS, MANY_VALUES = 2, 1 << 14


def max_merged_points(sources: Sequence[SummarisedModel], config: ModelConfig) -> int:
    """Return how many points the summary of several models has at most that the new centroids are fitted to."""
    points = sum(max_points(source.model) for source in sources)
    return min(points, _merged_size(sources, config))


def merge_work(sources: Sequence[SummarisedModel], config: ModelConfig) -> int:
    """Return the most multiplications for a model of several: to add up their summaries, and to fit centroids."""
    d, k = len(sources[0].coordinates.origin), config.n_clusters
    points = sum(max_points(source.model) for source in sources)
    # Points that go are as many as those that they are replaced by, each compared with the first model's centroids.
    adding = 2 * points * row_work(sources[0].model.config.n_clusters, d)
    return adding + expected_fit_work(max_merged_points(sources, config), k, d, _n_starts(k, d))


def merged_model(sources: Sequence[SummarisedModel], config: ModelConfig, fitter: Fitter, run: RunTasks) -> Model:
    """Return a model of version 1 with what all others have seen, and centroids fitted to it.

    Parameters
    ----------
    sources
        One or more, of the same number of columns, metric and precision.
    config
        Of the new model. Its `init` and `init_weights` in the model will be the centroids that are found, and their
        weights: it begins with them.
    fitter, run
        Compute.

    Raises
    ------
    DomainError
        SUMMARY_EMPTY: all rows have weight 0, or have decayed to it. N_CLUSTERS_INVALID: there are fewer points in the
        summary than clusters.
    """
    coordinates = sources[0].coordinates
    d = len(coordinates.origin)
    seed, kernels = config.random_state or 0, fitter.summary_kernels(coordinates.precision)
    summary = _merged_summary(sources, config, fitter, run)
    points, weights, scatter = weighted_points(summary, 0.0, kernels, run)
    check_points(len(weights), config.n_clusters)
    found = fit(
        points,
        weights,
        config.n_clusters,
        seed=(seed, 0, 2),
        cosine=config.metric == "cosine",
        kernels=fitter.search,
        run=run,
        n_starts=_n_starts(config.n_clusters, d),
    )
    total = float(weights.sum())
    expected = (found.inertia + float(scatter.sum())) / total
    accepted = sum(source.model.state.points_accepted for source in sources)
    centroids, nothing = found.centroids + coordinates.origin, np.zeros(config.n_clusters)
    snapshot = read_only_snapshot(
        1, centroids, found.weights, 0.0, nothing, accepted, 0, refined=True, estimated_inertia_per_point=expected
    )
    learning = None
    if config.summary_points(d):
        summary = relabelled(summary, found.centroids, found.weights, expected, 0.0, seed, kernels, run)
        learning = Learning(summary, _schedule(sources, config, len(weights), total, expected))
    state = ModelState(
        n_features=d,
        coordinates=coordinates,
        snapshot=snapshot,
        latest_event=_latest_event(sources),
        column_means=_column_means(sources) if config.on_invalid == "impute" else None,
        points_accepted=accepted,
        points_dropped=sum(source.model.state.points_dropped for source in sources),
        learning=learning,
        ids_given=config.n_clusters,
    )
    model = Model(replace(config, init=centroids, init_weights=found.weights), state)
    return tell(model, [first_clusters(config.n_clusters)])


def _merged_summary(sources: Sequence[SummarisedModel], config: ModelConfig, fitter: Fitter, run: RunTasks) -> Summary:
    """Return the summary of all rows, as of age 0 and in the coordinates of the first source."""
    precision, origin = sources[0].coordinates.precision, sources[0].coordinates.origin.astype(np.float64)
    latest = _latest_event(sources)
    merged = empty_summary(_merged_size(sources, config), len(origin), precision)
    for source in sources:
        merged = merge(
            merged,
            source.summary,
            0.0,
            _age(source, latest),
            source.coordinates.origin - origin,
            config.random_state or 0,
            fitter.summary_kernels(precision),
            run,
        )
    return merged


def _merged_size(sources: Sequence[SummarisedModel], config: ModelConfig) -> int:
    d = len(sources[0].coordinates.origin)
    return config.summary_points(d) or max(source.summary.size for source in sources)


def _n_starts(n_clusters: int, n_features: int) -> int:
    return N_STARTS if n_clusters * n_features <= MANY_VALUES else 1


def _age(source: SummarisedModel, latest: float | None) -> float:
    """Return how many half-lives have passed for a source when the newest event of all is now."""
    half_life, own_latest = source.model.config.half_life, source.model.state.latest_event
    age = source.schedule.age
    if half_life is None or half_life.unit != "seconds" or own_latest is None or latest is None:
        return age
    return age + (latest - own_latest) / half_life.value


def _schedule(
    sources: Sequence[SummarisedModel], config: ModelConfig, points: int, weight: float, expected: float
) -> RefinementSchedule:
    """Return the schedule after the fit, which was not paid for out of its budget: that is as of a new model."""
    rows = sum(source.schedule.rows for source in sources)
    work = rows * row_work(config.n_clusters, len(sources[0].coordinates.origin))
    schedule = RefinementSchedule(rows=rows, weight=weight, deep_refinements=1, work=work)
    return schedule.refined(expected, config.n_clusters / points, 0)


def _latest_event(sources: Sequence[SummarisedModel]) -> float | None:
    events = [source.model.state.latest_event for source in sources]
    return max((event for event in events if event is not None), default=None)


def _column_means(sources: Sequence[SummarisedModel]) -> ColumnMeans | None:
    """Return the means of the columns over the rows of all sources that have them."""
    known = [means for source in sources if (means := source.model.state.column_means) is not None]
    if not known:
        return None
    rows: Float64Array = np.sum([means.rows for means in known], axis=0)
    sums: Any = np.sum([means.rows * means.means for means in known], axis=0)
    return ColumnMeans(rows, np.divide(sums, rows, out=np.zeros_like(rows), where=rows > 0))


def check_points(count: int, n_clusters: int) -> None:
    """Raise SUMMARY_EMPTY or N_CLUSTERS_INVALID if so many points of all summaries are none, or fewer than clusters."""
    if not count:
        raise DomainError(
            Refusal(
                Reason.SUMMARY_EMPTY,
                "all points of the sessions have weight 0, or have decayed to it; push points that weigh something",
            )
        )
    if count < n_clusters:
        raise invalid(
            Reason.N_CLUSTERS_INVALID,
            "config.n_clusters",
            f"n_clusters is {n_clusters:,}, and the sessions' summaries have {count:,} points together; use at most so "
            f"many, or push more points first",
        )
