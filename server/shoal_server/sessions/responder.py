"""What is told of the jobs of a session: every job is answered, once, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog

from shoal_server.clustering.state import Outcome
from shoal_server.errors import DomainError, Refusal, internal
from shoal_server.sessions.jobs import Answer, Job, QueuedBatches, QueuedChange, Result

log = structlog.get_logger()


class Responder:
    """Answers the jobs of one session, by name. A bug in the telling is told too: nobody may wait for ever."""

    def __init__(self, session: str) -> None:
        self._session = session
        self.not_applied = 0  # batches that were taken and then refused

    def publish(self, job: QueuedBatches, results: Result, refusal: Refusal) -> None:
        """Tell what became of each batch.

        Parameters
        ----------
        job
            The batches.
        results
            A list, of the first of them or of all.
        refusal
            Of those that have no result, unless they could not be read.
        """
        try:
            answers = self._answers(job, results, refusal)
        except Exception as bug:  # noqa: BLE001
            answers = [self._told(bug)] * len(job.batches)
        self._tell(lambda: job.completion.set_result(answers))

    def publish_change(self, job: QueuedChange, failure: Refusal | Exception | None) -> None:
        """Tell that a change is in force, or why it isn't."""
        if failure is None:
            self._tell(lambda: job.completion.set_result(None))
        else:
            told = self._told(failure)
            self._tell(lambda: job.completion.set_exception(DomainError(told)))

    def refuse(self, jobs: Iterable[Job], refusal: Refusal) -> None:
        """Refuse all of some jobs."""
        for job in jobs:
            if isinstance(job, QueuedChange):
                self.publish_change(job, refusal)
            else:
                self.publish(job, [], refusal)

    def _answers(self, job: QueuedBatches, results: Result, refusal: Refusal) -> list[Answer]:
        if not isinstance(results, list):
            raise TypeError(f"batches have a list of results, not {results!r}")
        answers = [result if isinstance(result, Outcome) else self._told(result) for result in results]
        for batch in job.batches[len(answers) :]:
            own = batch if isinstance(batch, Refusal) else refusal
            self.not_applied += own is refusal
            answers.append(own.for_session(self._session))
        return answers

    def _told(self, failure: Refusal | Exception) -> Refusal:
        """Return what is told of a failure, and kept for whoever asks again: a bug itself would keep the points too."""
        if isinstance(failure, Exception):
            self._log(failure)
            failure = internal()
        return failure.for_session(self._session)

    def _tell(self, tell: Callable[[], None]) -> None:
        """Put an answer there; who is told of it may fail, and the session lives on."""
        try:
            tell()
        except Exception as bug:  # noqa: BLE001
            self._log(bug)

    def _log(self, bug: Exception) -> None:
        with suppress(Exception):  # a log that can't be written keeps no answer back
            log.error("bug", session=self._session, exc_info=bug)
