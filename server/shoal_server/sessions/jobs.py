"""What waits in a session's queue, and how a compute thread applies it."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shoal_server.budget import Reservation
from shoal_server.clustering.config import EngineName
from shoal_server.clustering.fitted import Fitter
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import reconfigure
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.engines.contract import Engine, Halted, RunTasks
from shoal_server.errors import DomainError, Refusal
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.port import Changes, Producer
from shoal_server.sessions.refusals import errors_of_far_points

Engines = Mapping[EngineName, Engine]


@dataclass(frozen=True)
class Computing:
    """What jobs are applied with."""

    engines: Engines
    run: RunTasks
    halted: Callable[[], bool]  # asked now and then whether to stop
    on_bug: Callable[[Exception], Refusal]
    fitter: Fitter | None = None


class Job(Protocol):
    """Something that happens to a session's model, in its place in the order of what happens."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many batches or changes it is."""

    @abstractmethod
    def apply(self, model: Model, computing: Computing) -> tuple[Model, Sequence[BatchResult]]:
        """Return the model after it, and the results of its batches: fewer than there are if it was halted."""

    @abstractmethod
    def refused(self, refusal: Refusal) -> Sequence[BatchResult]:
        """Return the results of a job of which nothing is applied."""


@dataclass(frozen=True)
class BatchJob:
    """The batches of a message. Those that could not be read keep their place."""

    batches: Sequence[Batch]
    completion: Completion[list[BatchResult]]
    producer: Producer | None = None  # who pushed them, where that has a name

    @property
    def size(self) -> int:
        """How many batches it is."""
        return len(self.batches)

    def apply(self, model: Model, computing: Computing) -> tuple[Model, Sequence[BatchResult]]:
        """Apply the batches, each its own version; one that is refused leaves the model as it was."""
        engine = computing.engines[model.config.engine]
        return apply_batches(
            model, self.batches, engine, computing.run, computing.halted, computing.on_bug, computing.fitter
        )

    def refused(self, refusal: Refusal) -> Sequence[BatchResult]:
        """Return the refusals of all batches; one that could not be read keeps its own."""
        return [BatchResult(sequence=batch.sequence, refusal=batch.refusal or refusal) for batch in self.batches]


@dataclass(frozen=True)
class ChangeJob:
    """A change of the configuration, in its place among the batches."""

    changes: Changes
    completion: Completion[None]

    @property
    def size(self) -> int:
        """It is one change."""
        return 1

    def apply(self, model: Model, computing: Computing) -> tuple[Model, Sequence[BatchResult]]:
        """Return the model with the new configuration; a refusal is the one result."""
        try:
            return self._reconfigured(model, computing), ()
        except Halted:
            raise
        except DomainError as error:
            refusal = error.refusal
        except Exception as bug:  # noqa: BLE001  (whatever it is, it is this job's answer, and the session lives on)
            refusal = computing.on_bug(bug)
        return model, self.refused(refusal)

    def refused(self, refusal: Refusal) -> Sequence[BatchResult]:
        """Return the refusal of the change."""
        return (BatchResult(refusal=refusal),)

    def _reconfigured(self, model: Model, computing: Computing) -> Model:
        config = dataclasses.replace(model.config, **self.changes.model)
        with errors_of_far_points("the session's", "create it with dtype='float64' to change its n_clusters"):
            return reconfigure(model, config, *self.changes.session, fitter=computing.fitter, run=computing.run)


@dataclass(frozen=True)
class Receipt:
    """Batches of one message that have been taken, or one that had been before."""

    completion: Completion[list[BatchResult]]
    first: int  # the place of the first of them among what the completion is for
    count: int
    duplicate: bool = False
    return_labels: bool = False  # of a duplicate: whether they are asked for this time,
    return_scores: bool = False  # and the scores
    forgotten: bool = False  # its result is no longer known; the one here is empty

    def asked_again(self, batch: Batch) -> Receipt:
        """Return it for a batch that has been pushed once more."""
        return dataclasses.replace(self, return_labels=batch.return_labels, return_scores=batch.return_scores)

    def results(self) -> list[BatchResult]:
        """Return what has become of them, once the completion is done."""
        results = self.completion.result()[self.first : self.first + self.count]
        return [self._again(result) for result in results] if self.duplicate else results

    async def result(self) -> BatchResult:
        """Wait until the one batch is applied, or raise its refusal. Giving up the wait changes nothing for it."""
        await self.completion.wait()
        (result,) = self.results()
        if result.refusal is not None:
            raise DomainError(result.refusal)
        return result

    def _again(self, result: BatchResult) -> BatchResult:
        if result.refusal is not None:
            return result
        labels_lost = self.return_labels and result.labels is None
        lost = (labels_lost or (self.return_scores and result.scores is None)) and result.warming is None
        return result._replace(duplicate=True, forgotten=self.forgotten or lost)


def release_when_done(reservation: Reservation, receipts: Sequence[Receipt | Refusal]) -> None:
    """Release what is reserved for batches once the last of them has its result: at once if none was taken."""
    taken = [receipt for receipt in receipts if isinstance(receipt, Receipt) and not receipt.duplicate]
    if taken and reservation.bytes:
        taken[-1].completion.add_done_callback(reservation.release)
    else:
        reservation.release()


def apply_jobs(model: Model, jobs: Sequence[Job], computing: Computing) -> tuple[Model, list[Sequence[BatchResult]]]:
    """Apply jobs in their order; return the model after the last and the results of each.

    Stops where `computing.halted` says so: the jobs that are left then have no results.
    """
    results: list[Sequence[BatchResult]] = []
    for job in jobs:
        if computing.halted():
            break
        try:
            model, result = job.apply(model, computing)
        except Halted:  # in the middle of a change, of which nothing has been applied
            break
        results.append(result)
    return model, results
