"""What waits in a session's queue, and how a compute thread works it off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from shoal_server.clustering.config import EngineName
from shoal_server.clustering.courses import apply_all
from shoal_server.clustering.model import reconfigure
from shoal_server.clustering.state import Model, Outcome, PointBatch
from shoal_server.engines.contract import Engine, RunTasks
from shoal_server.errors import DomainError
from shoal_server.sessions.config import Changes
from shoal_server.sessions.tickets import Ticket

Engines = Mapping[EngineName, Engine]


@dataclass(frozen=True)
class QueuedBatch:
    """A batch on its way to the writer."""

    batch: PointBatch
    outcome: Ticket[Outcome]


@dataclass(frozen=True)
class QueuedChange:
    """A change of the configuration, in its place among the batches."""

    changes: Changes
    outcome: Ticket[None]


Job = QueuedBatch | QueuedChange


Result = Outcome | Exception | None
"""What became of a job: a batch's outcome, nothing for a change, or why it was refused: not a DomainError is a bug."""


@dataclass(frozen=True)
class Submitted:
    """A batch that has been taken, or had been before."""

    outcome: Ticket[Outcome]
    duplicate: bool
    forgotten: bool = False  # its outcome is no longer known; the one here is empty

    async def result(self) -> Outcome:
        """Wait until the batch is applied. Giving up the wait changes nothing for the batch."""
        await self.outcome.wait()
        refusal = self.outcome.exception()
        if isinstance(refusal, DomainError):
            raise refusal.again()  # the outcome itself may be kept for long
        return self.outcome.result()


def apply_jobs(
    model: Model, jobs: Sequence[Job], engines: Engines, run: RunTasks, halted: Callable[[], bool]
) -> tuple[Model, list[Result]]:
    """Apply jobs in their order, and return the model after the last. A job that is refused leaves it as it was.

    Asks before each job whether to stop there: the jobs that are left then have no result. Plain batches that come one
    after the other may be as one to that question.
    """
    results: list[Result] = []
    for changes, group in groupby(jobs, key=lambda job: isinstance(job, QueuedChange)):
        if changes:
            for job in group:
                if halted():
                    return model, results
                model, result = _change(model, job)
                results.append(result)
        else:
            batches = [job.batch for job in group if isinstance(job, QueuedBatch)]
            model, outcomes = apply_all(model, batches, engines[model.config.engine], run, halted)
            results.extend(outcomes)
            if len(outcomes) < len(batches):
                return model, results
    return model, results


def _change(model: Model, job: Job) -> tuple[Model, Result]:
    try:
        fields = job.changes.model if isinstance(job, QueuedChange) else {}
        return reconfigure(model, dataclasses.replace(model.config, **fields)), None
    except Exception as bug:  # noqa: BLE001  (whatever it is, it is this job's answer, and the session lives on)
        return model, bug
