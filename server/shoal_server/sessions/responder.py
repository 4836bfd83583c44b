"""How the jobs of a session are answered: each of them, once, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from shoal_server.clustering.state import BatchResult
from shoal_server.errors import DomainError, Refusal, internal
from shoal_server.sessions.jobs import BatchJob, ChangeJob, Job
from shoal_server.sessions.refusals import out_of_memory

log = structlog.get_logger()


class Responder:
    """Answers the jobs of one session. A bug on the way is answered too: nobody may wait for ever."""

    def __init__(self, session: str) -> None:
        self._session = session
        self.not_applied = 0  # batches that were taken and then refused

    def on_bug(self, bug: Exception) -> Refusal:
        """Log a bug, and return what is said of it; to have no memory left is none."""
        if isinstance(bug, MemoryError):
            return out_of_memory().for_session(self._session)
        with suppress(Exception):  # a log that can't be written keeps no answer back
            log.error("bug", session=self._session, exc_info=bug)
        return internal().for_session(self._session)

    def publish(self, job: BatchJob, results: Sequence[BatchResult], refusal: Refusal) -> None:
        """Answer the batches of a message.

        Parameters
        ----------
        job
            The batches.
        results
            Of the first of them or of all.
        refusal
            Of those that have no result, unless they could not be read.
        """
        if job.completion.done():
            return
        try:
            answers = self._answers(job, results, refusal)
        except Exception as bug:  # noqa: BLE001
            answer = self.on_bug(bug)
            answers = [BatchResult(sequence=batch.sequence, refusal=answer) for batch in job.batches]
        self._complete(lambda: job.completion.set_result(answers))

    def publish_change(self, job: ChangeJob, refusal: Refusal | None) -> None:
        """Answer that a change is in force, or why it isn't."""
        if job.completion.done():
            return
        if refusal is None:
            self._complete(lambda: job.completion.set_result(None))
        else:
            error = DomainError(refusal.for_session(self._session))
            self._complete(lambda: job.completion.set_exception(error))

    def refuse(self, jobs: Iterable[Job], refusal: Refusal) -> None:
        """Refuse all of some jobs."""
        for job in jobs:
            if isinstance(job, ChangeJob):
                self.publish_change(job, refusal)
            elif isinstance(job, BatchJob):
                self.publish(job, (), refusal)

    def _answers(self, job: BatchJob, results: Sequence[BatchResult], refusal: Refusal) -> list[BatchResult]:
        answers = [result if result.refusal is None else self._with_session(result) for result in results]
        for batch in job.batches[len(answers) :]:
            self.not_applied += batch.refusal is None
            answers.append(self._with_session(BatchResult(sequence=batch.sequence, refusal=batch.refusal or refusal)))
        return answers

    def _with_session(self, result: BatchResult) -> BatchResult:
        return result._replace(refusal=result.refusal and result.refusal.for_session(self._session))

    def _complete(self, complete: Callable[[], None]) -> None:
        """Complete an answer. A callback that fails is logged, and the session lives on."""
        try:
            complete()
        except Exception as bug:  # noqa: BLE001
            self.on_bug(bug)
