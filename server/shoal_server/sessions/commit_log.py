"""What a session's writer hands over between applying and publishing: what must last is written before anybody is told.

A commit holds all that a dispatch has changed. The log of this process keeps nothing; one on disk writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shoal_server.clustering.state import BatchResult, Model
from shoal_server.sessions.jobs import BatchJob, Job
from shoal_server.sessions.port import Position, Producer


@dataclass(frozen=True)
class Commit:
    """What has become of a session in one dispatch."""

    session_uid: str
    model: Model  # after it
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


def positions_after(jobs: Sequence[Job], results: Sequence[Sequence[BatchResult]]) -> dict[Producer, Position]:
    """Return how far the producers have come whose batches have results."""
    return {
        job.producer: Position(job.producer.epoch, done[-1].sequence)
        for job, done in zip(jobs, results, strict=False)
        if isinstance(job, BatchJob) and job.producer is not None and done
    }
