"""What waits in a session's queue, and how a compute thread works it off."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shoal_server.clustering.config import EngineName
from shoal_server.clustering.model import apply, reconfigure
from shoal_server.clustering.state import Model, Outcome, PointBatch
from shoal_server.engines.contract import Engine, RunTasks
from shoal_server.errors import DomainError
from shoal_server.sessions.config import Changes

Engines = Mapping[EngineName, Engine]


@dataclass(frozen=True)
class QueuedBatch:
    """A batch on its way to the writer."""

    batch: PointBatch
    outcome: asyncio.Future[Outcome]


@dataclass(frozen=True)
class QueuedChange:
    """A change of the configuration, in its place among the batches."""

    changes: Changes
    outcome: asyncio.Future[None]


Job = QueuedBatch | QueuedChange


@dataclass(frozen=True)
class Step:
    """What became of one job: its outcome, or why it was refused; not a DomainError is a bug."""

    outcome: Outcome | None = None
    failure: Exception | None = None


@dataclass(frozen=True)
class Submitted:
    """A batch that has been taken, or had been before."""

    outcome: asyncio.Future[Outcome]
    duplicate: bool
    forgotten: bool = False  # its outcome is no longer known; the one here is empty

    async def result(self) -> Outcome:
        """Wait until the batch is applied. Giving up the wait changes nothing for the batch."""
        if not self.outcome.done():
            await asyncio.wait([self.outcome])
        refusal = self.outcome.exception()
        if isinstance(refusal, DomainError):
            raise refusal.again()  # the outcome itself may be kept for long
        return self.outcome.result()


def apply_jobs(
    model: Model, jobs: Sequence[Job], engines: Engines, run: RunTasks, halted: Callable[[], bool]
) -> tuple[Model, list[Step]]:
    """Apply jobs in their order, and return the model after the last. A job that is refused leaves it as it was.

    Asks before each job whether to stop there: the jobs that are left then have no step.
    """
    steps: list[Step] = []
    for job in jobs:
        if halted():
            break
        model, step = _apply_job(model, job, engines, run)
        steps.append(step)
    return model, steps


def answer(job: Job, step: Step) -> None:
    """Hand the outcome to whoever waits for it."""
    if step.failure:
        job.outcome.set_exception(step.failure)
    elif isinstance(job, QueuedChange):
        job.outcome.set_result(None)
    elif step.outcome:
        job.outcome.set_result(step.outcome)


def _apply_job(model: Model, job: Job, engines: Engines, run: RunTasks) -> tuple[Model, Step]:
    try:
        if isinstance(job, QueuedChange):
            return reconfigure(model, dataclasses.replace(model.config, **job.changes.model)), Step()
        model, outcome = apply(model, job.batch, engines[model.config.engine], run)
        return model, Step(outcome)
    except DomainError as refusal:
        return model, Step(failure=refusal.again())
    except Exception as bug:  # noqa: BLE001  (whatever it is, it is this job's answer, and the session lives on)
        return model, Step(failure=bug)
