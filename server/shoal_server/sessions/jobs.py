"""What waits in a session's queue, and how a compute thread works it off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from shoal_server.clustering.config import EngineName
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import reconfigure
from shoal_server.clustering.state import Model, Outcome, PointBatch
from shoal_server.engines.contract import Engine, RunTasks
from shoal_server.errors import DomainError, Refusal
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.config import Changes

Engines = Mapping[EngineName, Engine]

Answer = Outcome | Refusal
"""What a producer is told of a batch: its outcome, or why it was refused."""


class PendingBatch(NamedTuple):
    """A batch of a message."""

    batch: PointBatch | Refusal  # a refusal: why it could not be read
    size: int  # bytes of its points and weights
    sequence: int = 0  # of its producer, where that has a name
    fingerprint: int = 0  # of what would be applied


class QueuedBatches(NamedTuple):
    """The batches of a message, on their way to the writer. Those that could not be read keep their place."""

    batches: list[PointBatch | Refusal]
    completion: Completion[list[Answer]]


class QueuedChange(NamedTuple):
    """A change of the configuration, in its place among the batches."""

    changes: Changes
    completion: Completion[None]


Job = QueuedBatches | QueuedChange

Result = list[Outcome | Refusal | Exception] | Refusal | Exception | None
"""What became of a job: of batches a list, which is shorter than they are if they were halted; of a change nothing, or
why it failed. An exception is a bug."""


@dataclass(frozen=True)
class Receipt:
    """Batches of one message that have been taken, or one that had been before."""

    completion: Completion[list[Answer]]
    first: int  # the place of the first of them among what the ticket is for
    count: int
    duplicate: bool = False
    forgotten: bool = False  # its outcome is no longer known; the one here is empty

    def answers(self) -> list[Answer]:
        """Return what has become of them, once the ticket is done."""
        return self.completion.result()[self.first : self.first + self.count]

    async def result(self) -> Outcome:
        """Wait until the one batch is applied, or raise its refusal. Giving up the wait changes nothing for it."""
        await self.completion.wait()
        (answer,) = self.answers()
        if isinstance(answer, Refusal):
            raise DomainError(answer)
        return answer


def apply_jobs(
    model: Model, jobs: Sequence[Job], engines: Engines, run: RunTasks, halted: Callable[[], bool]
) -> tuple[Model, list[Result]]:
    """Apply jobs in their order, and return the model after the last. A batch that is refused leaves it as it was.

    Asks before each batch or change whether to stop there: the jobs that are left then have no result. Plain batches
    that come one after the other may be as one to that question.
    """
    results: list[Result] = []
    for _, group in groupby(jobs, key=type):
        alike = list(group)
        if halted():
            break
        model, more = _apply_alike(model, alike, engines, run, halted)
        results.extend(more)
        if len(more) < len(alike):
            break
    return model, results


def failed(job: Job, bug: Exception) -> Result:
    """Return what has become of a job that a bug kept from being applied."""
    return [bug] * len(job.batches) if isinstance(job, QueuedBatches) else bug


def _apply_alike(
    model: Model, jobs: Sequence[Job], engines: Engines, run: RunTasks, halted: Callable[[], bool]
) -> tuple[Model, list[Result]]:
    """Apply jobs that are all batches, or all changes."""
    results: list[Result] = []
    messages = [job for job in jobs if isinstance(job, QueuedBatches)]
    if messages:
        batches = [batch for message in messages for batch in message.batches if not isinstance(batch, Refusal)]
        model, outcomes = apply_batches(model, batches, engines[model.config.engine], run, halted)
        results.extend(_by_message(messages, outcomes))
    for job in jobs:
        if isinstance(job, QueuedChange) and not halted():
            model, failure = _change(model, job)
            results.append(failure)
    return model, results


def _by_message(
    messages: Sequence[QueuedBatches], outcomes: Sequence[Outcome | Refusal | Exception]
) -> list[list[Outcome | Refusal | Exception]]:
    """Return the results message by message, with the refusals that were there before in their places."""
    results: list[list[Outcome | Refusal | Exception]] = []
    coming = iter(outcomes)
    for message in messages:
        own: list[Outcome | Refusal | Exception] = []
        for batch in message.batches:
            result = batch if isinstance(batch, Refusal) else next(coming, None)
            if result is None:
                return [*results, own] if own else results
            own.append(result)
        results.append(own)
    return results


def _change(model: Model, job: QueuedChange) -> tuple[Model, Refusal | Exception | None]:
    try:
        return reconfigure(model, dataclasses.replace(model.config, **job.changes.model)), None
    except DomainError as error:
        return model, error.refusal
    except Exception as bug:  # noqa: BLE001  (whatever it is, it is this job's answer, and the session lives on)
        return model, bug
