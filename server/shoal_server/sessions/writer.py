"""The one writer of a session: it applies what is queued in its order, commits it, and publishes it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence

from shoal_server.clustering.events import Event
from shoal_server.clustering.state import BatchResult, Model
from shoal_server.errors import DomainError, Refusal
from shoal_server.sessions.deps import Commit, SessionDeps, positions_after
from shoal_server.sessions.event_log import EventLog
from shoal_server.sessions.jobs import BatchJob, ChangeJob, Computing, Job, apply_jobs
from shoal_server.sessions.port import Changes, EndReason
from shoal_server.sessions.queue import ByteQueue
from shoal_server.sessions.recent import RecentPoints
from shoal_server.sessions.refusals import session_gone
from shoal_server.sessions.responder import Responder
from shoal_server.sessions.sent_versions import SentVersions
from shoal_server.sessions.session_memory import SessionMemory
from shoal_server.sessions.watch_turns import WatchQueue
from shoal_server.sessions.work import MAX_DISPATCH_WORK, SessionCompute, checked_change

LAST_BATCH = 2.0  # seconds for a call that can't be stopped when the time for a stop is over
ANSWERED_AT_ONCE = 1024  # batches, before the event loop serves others: 10 ms


class Writer:
    """Applies the jobs of a session, one after another: apply, commit, publish.

    Parameters
    ----------
    name, uid
        Of the session.
    model
        The first one.
    deps
        What the server hands to each session.
    memory
        Counts what the session keeps.
    adopt
        Puts a change of the configuration in force once it has been applied.
    on_end
        Called when the last job is answered, before the watches end.
    """

    def __init__(
        self,
        name: str,
        uid: str,
        model: Model,
        deps: SessionDeps,
        memory: SessionMemory,
        adopt: Callable[[Changes], None],
        on_end: Callable[[], None],
    ) -> None:
        self.model = model  # the newest
        self.compute = SessionCompute(uid, deps.compute, lambda: memory.learning_bytes)
        self.queue: ByteQueue[Job] = ByteQueue(deps.limits.queue_bytes, memory.queued)
        self.responder = Responder(name)
        self.recent = RecentPoints()
        self.watch_queue = WatchQueue(deps.watch_scheduler, SentVersions(deps.budget))
        self.refusal: Refusal = session_gone(name)  # of what is not taken any more, or not begun
        self.closing = False  # takes nothing more
        self.queued = 0  # batches and changes
        self.applied_at = -math.inf  # in the seconds of the loop's clock
        self.ended: EndReason | None = None  # why, once the writer has ended
        self._ending: EndReason | None = None
        self._in_hand: Sequence[Job] = ()  # taken from the queue, and not answered
        self._uid = uid
        self._deps = deps
        self._memory = memory
        self._adopt = adopt
        self._on_end = on_end
        told = model.state.events_told - len(model.events)
        self.event_log = EventLog(deps.limits.max_events, deps.now, told)
        self._adopt_model(model.with_events(()), model.events)
        self._announce()
        self._task = asyncio.create_task(self._run(), name=f"writer of {name}")

    def put(self, job: Job, size: int, work: int) -> None:
        """Queue a job whose bytes are reserved, and that makes so much work."""
        self.queue.put(job, size, work)
        self.queued += job.size

    def refuse(self, job: BatchJob, size: int) -> None:
        """Answer a job of which no batch can be applied, and give its bytes back."""
        self.responder.publish(job, (), self.refusal)
        self.queue.release(size)

    async def end(self, reason: EndReason, refusal: Refusal) -> None:
        """Refuse what is queued, and end once what is being computed has stopped, whoever waits for it."""
        self._ending = reason
        self._close(refusal)
        await self._halt()
        await asyncio.shield(self._task)

    async def stop(self, deadline: float, refusal: Refusal) -> int:
        """Finish what is queued, and end; refuse what has not begun by the deadline. See Session.stop."""
        before = self.responder.not_applied
        self._close(refusal)
        await asyncio.wait([self._task], timeout=deadline - asyncio.get_running_loop().time())
        await self._halt()
        await asyncio.wait([self._task], timeout=LAST_BATCH)
        if not self._task.done():
            self._task.cancel()
            self.responder.refuse(self._in_hand, self.refusal)
        return self.responder.not_applied - before

    async def _run(self) -> None:
        try:
            while await self._write_what_is_queued():
                pass
        except Exception as bug:  # noqa: BLE001  (nobody may wait for ever for a writer that is no more)
            await self._fail(bug)
        finally:
            self._on_end()
            self.ended = self._ending
            self.watch_queue.wake_all()

    async def _fail(self, bug: Exception) -> None:
        """End a session whose writer has a bug: what it has taken and what comes is refused, and its watches end."""
        self._ending = self._ending or "failed"
        self._close(self.responder.on_bug(bug))
        self.responder.refuse(self._in_hand, self.refusal)
        await self._halt()

    async def _write_what_is_queued(self) -> bool:
        """Wait for jobs and apply them; False: there will be no more.

        A dispatch has a call of its own, so that nothing of the last one is held while waiting for the next.
        """
        jobs, size, work = await self.queue.take(MAX_DISPATCH_WORK)
        if not jobs:
            return False
        self._in_hand = jobs
        self.queued -= _count(jobs)
        try:
            results = await self._apply_and_commit(jobs, work)
            self.applied_at = asyncio.get_running_loop().time()
            answered = 0
            for job, result in zip(jobs, results, strict=False):
                self._publish(job, result)
                answered = await _let_others_go_first(answered + job.size)
            await self._refuse_all(jobs[len(results) :])
            self._announce()
        finally:
            self.queue.release(size)
        self._in_hand = ()
        self.recent.note(jobs, results, self.model)
        self._memory.count(self.model, self.recent.bytes + self.event_log.bytes)
        return True

    async def _apply_and_commit(self, jobs: Sequence[Job], work: int) -> Sequence[Sequence[BatchResult]]:
        """Return the results of jobs, which may be published; where the commit fails nothing has changed."""
        compute = self.compute
        deps = self._deps
        computing = Computing(deps.engines, compute.run_tasks, compute.is_halted, self.responder.on_bug, deps.fitter)
        if self.model.snapshot is None:
            work = MAX_DISPATCH_WORK  # it may end the warm-up, with all points that were collected
        elif work > MAX_DISPATCH_WORK and isinstance(jobs[0], ChangeJob):
            work = 0  # of an engine: centroids are fitted to a summary without it
        engines = [self.model.config.engine, *(job.changes.engine for job in jobs if isinstance(job, ChangeJob))]
        try:
            self._check_changes(jobs)
        except DomainError as error:
            return [job.refused(error.refusal) for job in jobs]
        try:
            results: Sequence[Sequence[BatchResult]]
            model, results = await compute.call(engines, work, apply_jobs, self.model, jobs, computing)
            await self._deps.commit_log.commit(Commit(self._uid, model, positions_after(jobs, results)))
        except Exception as bug:  # noqa: BLE001  (nothing has been applied, and the session lives on)
            refusal = self.responder.on_bug(bug)
            return [job.refused(refusal) for job in jobs]
        self._adopt_model(model.committed(), model.events)
        return results

    def _check_changes(self, jobs: Sequence[Job]) -> None:
        """Raise what is wrong with changes for the model that they meet, or for the memory that they take with it.

        They were checked when they were asked for, but batches before them may have settled more since. One of sizes
        has its dispatch for itself: so the newest model is the one that it meets.
        """
        for job in jobs:
            if isinstance(job, ChangeJob):
                config = checked_change(self.model, self.model.config, job.changes, self._deps.limits)
                self._memory.promise_change(self.model, config)

    def _adopt_model(self, model: Model, events: Sequence[Event]) -> None:
        """Let everybody read a model, and the events that made it of the one before."""
        self.model = model
        self.event_log.publish(events)

    def _announce(self) -> None:
        self.watch_queue.announce(self.model.snapshot, self.event_log.newest)

    def _publish(self, job: Job, results: Sequence[BatchResult]) -> None:
        """Answer a job that has been applied or refused."""
        if isinstance(job, BatchJob):
            self.responder.publish(job, results, self.refusal)
        elif isinstance(job, ChangeJob):
            refusal = results[0].refusal if results else self._adopt_or_refuse(job.changes)
            self.responder.publish_change(job, refusal)

    def _adopt_or_refuse(self, changes: Changes) -> Refusal | None:
        try:
            self._adopt(changes)
        except Exception as bug:  # noqa: BLE001  (it is the answer to the change)
            return self.responder.on_bug(bug)
        return None

    def _close(self, refusal: Refusal) -> None:
        self.refusal = refusal
        self.closing = True
        self.queue.close()

    async def _halt(self) -> None:
        self.compute.halt()
        jobs = self.queue.take_all()
        self.queued -= _count(jobs)
        await self._refuse_all(jobs)

    async def _refuse_all(self, jobs: Iterable[Job]) -> None:
        answered = 0
        for job in jobs:
            self.responder.refuse([job], self.refusal)
            answered = await _let_others_go_first(answered + job.size)


async def _let_others_go_first(answered: int) -> int:
    """Let the event loop serve others once so many batches are answered that it has been a while; return the rest."""
    if answered < ANSWERED_AT_ONCE:
        return answered
    await asyncio.sleep(0)
    return 0


def _count(jobs: Iterable[Job]) -> int:
    return sum(job.size for job in jobs)
