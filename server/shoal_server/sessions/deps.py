"""What the server hands to each session, its commit log among it.

A writer commits all that a dispatch has changed before it publishes any of it. The log of this process keeps nothing;
one on disk would write it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shoal_server.budget import MemoryBudget
from shoal_server.clustering.fitted import Fitter
from shoal_server.clustering.state import BatchResult, Model
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.jobs import BatchJob, Engines, Job
from shoal_server.sessions.port import Limits, Position, Producer
from shoal_server.sessions.watch_turns import WatchScheduler
from shoal_server.shared_results import SharedResults


@dataclass(frozen=True)
class Commit:
    """What has become of a session in one dispatch."""

    session_uid: str
    model: Model  # after it; its events are those of the dispatch
    positions: Mapping[Producer, Position]  # how far the producers have come whose batches were applied or refused


class CommitLog(Protocol):
    """Keeps commits."""

    async def commit(self, commit: Commit) -> None:
        """Return once the commit will survive; raise if it won't, and nothing of it is published."""
        ...


class NoCommitLog:
    """Keeps nothing: for sessions that live in memory."""

    async def commit(self, commit: Commit) -> None:
        """Return at once."""


@dataclass(frozen=True)
class SessionDeps:
    """What the server hands to each session."""

    engines: Engines
    compute: ComputePool
    budget: MemoryBudget
    limits: Limits
    now: Callable[[], datetime]
    draw_random_state: Callable[[], int]
    shared: SharedResults
    fitter: Fitter | None = None  # of summaries and refinements
    commit_log: CommitLog = field(default_factory=NoCommitLog)
    watch_scheduler: WatchScheduler = field(default_factory=WatchScheduler)


def positions_after(jobs: Sequence[Job], results: Sequence[Sequence[BatchResult]]) -> dict[Producer, Position]:
    """Return how far the producers have come whose batches have results."""
    return {
        job.producer: Position(job.producer.epoch, done[-1].sequence)
        for job, done in zip(jobs, results, strict=False)
        if isinstance(job, BatchJob) and job.producer is not None and done
    }
