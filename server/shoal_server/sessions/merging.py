"""How sessions become one: what of them fits together, and the work, on the compute threads."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.fitted import Fitter
from shoal_server.clustering.merging import check_points, max_merged_points, merge_work, merged_model
from shoal_server.clustering.state import Model
from shoal_server.clustering.summarised import SummarisedModel, summarised_model
from shoal_server.engines.contract import RunTasks
from shoal_server.errors import DomainError, Reason, Refusal, invalid, quoted
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import MAX_MERGED, Limits, SessionConfig
from shoal_server.sessions.refusals import errors_of_far_points, shutting_down
from shoal_server.sessions.session_memory import FLOAT64, model_bytes
from shoal_server.sessions.stoppable_call import StoppableCall
from shoal_server.sessions.summary_memory import learning_bytes, summary_bytes, swap_bytes
from shoal_server.sessions.work import check_fitted_values, max_call_work, too_much_work

# Copies of the largest summary while it is added to the others: closed, moved, and joined with its neighbours.
_ADDED_COPIES = 2


class Source(NamedTuple):
    """A session as it stands when it is merged."""

    name: str
    config: SessionConfig
    model: Model


def check_names(names: Sequence[str]) -> None:
    """Raise NAMES_INVALID unless there are names, not too many, each once."""
    if len(names) > MAX_MERGED:
        raise invalid(
            Reason.NAMES_INVALID,
            "names",
            f"names has more than {MAX_MERGED:,} sessions; merge so many at a time, and then the merged ones",
        )
    if not names:
        raise invalid(Reason.NAMES_INVALID, "names", "names is empty; name one session or more to merge")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise invalid(Reason.NAMES_INVALID, "names", f"names has {quoted(name)} twice; name each session once")
        seen.add(name)


def mergeable(sources: Sequence[Source]) -> list[SummarisedModel]:
    """Return what of the sessions is merged.

    Raises
    ------
    DomainError
        SESSION_WARMING, SUMMARY_MISSING or SUMMARY_EMPTY of one of them; N_FEATURES_MISMATCH, METRIC_MISMATCH or
        DTYPE_MISMATCH of one and the first.
    """
    found = [_part(source) for source in sources]
    for source, part in zip(sources[1:], found[1:], strict=True):
        _check_alike(sources[0], found[0], source, part)
    return found


def check_limits(parts: Sequence[SummarisedModel], config: ModelConfig, limits: Limits) -> None:
    """Raise TOO_MANY_VALUES, N_CLUSTERS_INVALID or WORK_TOO_LARGE if the fit to all summaries would be too large.

    It is limited alike where the new session keeps no summary: the fit is the same.
    """
    d = len(parts[0].coordinates.origin)
    check_fitted_values(config.n_clusters, d, limits, "config.n_clusters")
    points = max_merged_points(parts, config)
    check_points(points, config.n_clusters)
    work = merge_work(parts, config)
    if work > max_call_work(limits):
        what = f"to merge {len(parts):,} sessions and fit {config.n_clusters:,} clusters to up to {points:,} points"
        raise too_much_work(work, what, _lighter(parts, config, limits), limits, "config.n_clusters")


def _lighter(parts: Sequence[SummarisedModel], config: ModelConfig, limits: Limits) -> str:
    """Return what would not be too much work."""
    numbers = range(1, config.n_clusters)
    most = bisect_right(numbers, max_call_work(limits), key=lambda k: merge_work(parts, replace(config, n_clusters=k)))
    if not most:
        return "merge fewer sessions, or sessions with smaller summaries"
    return f"use n_clusters {most:,} or less, or a smaller summary_size"


def given_later(config: ModelConfig, n_features: int) -> ModelConfig:
    """Return a configuration as it is checked before its centroids are known, which are given then."""
    placeholder = np.broadcast_to(np.ones(1), (max(config.n_clusters, 0), n_features))
    return replace(config, n_features=n_features, init=placeholder, init_size=None, init_weights=None)


class Merging:
    """Merges models on the compute threads; those that run can be stopped together.

    Parameters
    ----------
    deps
        What the server hands to each session.
    """

    def __init__(self, deps: SessionDeps) -> None:
        self._deps = deps
        self._is_halted = False

    def halt(self) -> None:
        """Stop what is being computed at its next piece, and begin nothing more: the calls are refused."""
        self._is_halted = True

    async def merge(self, parts: Sequence[SummarisedModel], config: ModelConfig, into: str) -> Model:
        """Return the model of a new session.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED, SERVER_DRAINING, VALUE_TOO_LARGE, and what `merged_model` raises.
        """
        fitter = self._deps.fitter
        if fitter is None:
            raise AssertionError("where sessions have summaries there is what computes them")
        if self._is_halted:
            raise DomainError(shutting_down())
        memory = self._deps.budget.reserve(needed_bytes(parts, config), f"merging into session {into!r}")
        call = StoppableCall(uuid.uuid4().hex, self._deps.compute, lambda: self._is_halted, shutting_down)
        try:
            return await call.compute(partial(_merged, parts, config, fitter, call.run))
        finally:
            call.stop(memory.release)


def _merged(parts: Sequence[SummarisedModel], config: ModelConfig, fitter: Fitter, run: RunTasks) -> Model:
    advice = "merge sessions whose points are of one scale, or create them with dtype='float64'"
    with errors_of_far_points("the sessions'", advice):
        return merged_model(parts, config, fitter, run)


def _part(source: Source) -> SummarisedModel:
    try:
        return summarised_model(source.model)
    except DomainError as error:
        refusal, name = error.refusal, source.name
        raise DomainError(replace(refusal, message=f"session {name!r}: {refusal.message}", session=name)) from None


def _check_alike(first: Source, first_part: SummarisedModel, other: Source, part: SummarisedModel) -> None:
    """Raise what is different between a session and the first."""
    ours, theirs = first.model, other.model
    differences = (
        (Reason.N_FEATURES_MISMATCH, "n_features", ours.n_features, theirs.n_features),
        (Reason.METRIC_MISMATCH, "metric", ours.config.metric, theirs.config.metric),
        (
            Reason.DTYPE_MISMATCH,
            "dtype",
            first_part.coordinates.precision.name,
            part.coordinates.precision.name,
        ),
    )
    for reason, field, own, others in differences:
        if own != others:
            raise DomainError(
                Refusal(
                    reason,
                    f"session {other.name!r} has {field}={others!r}, and session {first.name!r} has {own!r}; merge "
                    f"sessions of one {field}",
                    "names",
                    other.name,
                )
            )


def needed_bytes(parts: Sequence[SummarisedModel], config: ModelConfig) -> int:
    """Return what merging takes until the new session counts its own."""
    d = len(parts[0].coordinates.origin)
    size = max(config.summary_points(d), *(part.summary.size for part in parts))
    fitted = replace(config, update_rule="refined", summary_size=size)
    added = summary_bytes(replace(fitted, update_rule="incremental"), d, FLOAT64)
    learning = learning_bytes(fitted, d) + swap_bytes(fitted, d)
    return model_bytes(fitted, d) + learning + _ADDED_COPIES * added
