"""The rows of a stream as its summary has them: for other numbers of clusters, descriptions and merged models."""

from __future__ import annotations

from typing import NamedTuple

from shoal_server.clustering.absorbing import schedule_of
from shoal_server.clustering.buckets import WeightedPoints
from shoal_server.clustering.fitted import Fitter, seed_of
from shoal_server.clustering.refinement_schedule import RefinementSchedule
from shoal_server.clustering.state import CoordinateSystem, Model
from shoal_server.clustering.summary import Summary, max_weighted_points, points_and_row_weights
from shoal_server.clustering.validation import still_warming
from shoal_server.engines.contract import Float64Array, Frame, RunTasks
from shoal_server.errors import DomainError, Reason, Refusal, invalid


class SummarisedRows(NamedTuple):
    """Weighted points that stand for all rows."""

    points: WeightedPoints
    row_weights: Float64Array  # (m,) of the rows that each point stands for, on average
    frame: Frame  # whose coordinates they are in
    seed: int  # of what is drawn for the model


class SummarisedModel(NamedTuple):
    """A model that has centroids and a summary with rows, and what is merged of it."""

    summary: Summary
    schedule: RefinementSchedule
    coordinates: CoordinateSystem
    model: Model


def check_summarised(model: Model) -> None:
    """Raise SUMMARY_MISSING, SESSION_WARMING or SUMMARY_EMPTY if a model has no summary, centroids or rows."""
    if model.config.summary_points(model.n_features) == 0:
        raise DomainError(
            Refusal(
                Reason.SUMMARY_MISSING,
                "the session keeps no summary of its stream, and this needs one: create it with update_rule='refined', "
                "or with a summary_size above 0",
            )
        )
    if model.snapshot is None:
        raise DomainError(still_warming(model))
    if not max_points(model):
        raise DomainError(_empty())


def summarised_model(model: Model) -> SummarisedModel:
    """Return what is merged of a model; raise what `check_summarised` does if there is nothing."""
    check_summarised(model)
    learning, coordinates = model.state.learning, model.state.coordinates
    if learning is None or coordinates is None or learning.summary.reference is None:
        raise AssertionError("a summary with rows has coordinates, and a place for each cluster")
    return SummarisedModel(learning.summary, learning.schedule, coordinates, model)


def max_points(model: Model) -> int:
    """Return how many points `summarised_rows` has at most."""
    learning = model.state.learning
    return 0 if learning is None else max_weighted_points(learning.summary)


def summarised_rows(model: Model, fitter: Fitter, run: RunTasks) -> SummarisedRows:
    """Return the rows of a model that `check_summarised` has let pass.

    Raises
    ------
    DomainError
        SUMMARY_EMPTY: no rows have come, or all have decayed to nothing.
    """
    learning, age = model.state.learning, schedule_of(model).age
    if learning is None:
        raise DomainError(_empty())
    points, row_weights = points_and_row_weights(learning.summary, age, fitter.summary_kernels(model.frame.dtype), run)
    if not len(points.weights):
        raise DomainError(_empty())
    return SummarisedRows(points, row_weights, model.frame, seed_of(model))


def too_few_points(n_clusters: int, n_points: int, field: str = "n_clusters") -> DomainError:
    """Return the error for more clusters than a summary has points."""
    return invalid(
        Reason.N_CLUSTERS_INVALID,
        field,
        f"n_clusters is {n_clusters:,}, and the summary of the session has {n_points:,} "
        f"point{'' if n_points == 1 else 's'}: use that many at most",
    )


def _empty() -> Refusal:
    return Refusal(
        Reason.SUMMARY_EMPTY,
        "the summary of the session has no rows: none have come since its centroids were given (which count in it from "
        "the first push on, if they have weights), or all of them weigh nothing; push more",
    )
