"""A session: one writer, one order of batches, one newest snapshot."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import structlog

from shoal_server.clustering.config import check_half_life, check_width
from shoal_server.clustering.model import assign, new_model, still_warming
from shoal_server.clustering.state import Model, Outcome, PointBatch, Snapshot, Warming
from shoal_server.engines.contract import Assignment, PointArray
from shoal_server.errors import DomainError, Kind, internal, quoted
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.config import Changes, Limits, SessionConfig, changed
from shoal_server.sessions.jobs import Engines, Job, QueuedBatch, QueuedChange, Result, Submitted, apply_jobs
from shoal_server.sessions.producers import Position, Producer, ProducerLedger, Stamp
from shoal_server.sessions.queue import ByteQueue
from shoal_server.sessions.tickets import Ticket
from shoal_server.sessions.watching import EndReason, Watch, WatchOptions

# What the writer takes at most in one hop to a compute thread: enough to share the cost of the hop among many small
# batches, little enough that other sessions and assignments get their turn.
HOP_BYTES = 4 * 1024 * 1024
# What a batch counts for at least: as much as a queued one takes besides its points (970 bytes, measured). Otherwise a
# queue of tiny batches would have no bound.
LEAST_BATCH_BYTES = 1024
LONGEST_NAME = 128

log = structlog.get_logger()


@dataclass(frozen=True)
class Surroundings:
    """What the server hands to each session."""

    engines: Engines
    compute: ComputePool
    limits: Limits
    now: Callable[[], datetime]
    draw_random_state: Callable[[], int]


@dataclass(frozen=True)
class Description:
    """A session as its owner sees it."""

    name: str
    uid: str
    config: SessionConfig
    n_features: int | None
    etag: str
    warming: Warming | None
    version: int
    points_accepted: int
    points_dropped: int
    queued_batches: int
    queued_bytes: int
    watchers: int
    create_time: datetime
    update_time: datetime


class Session:
    """A named model that one writer updates and everybody may read.

    Parameters
    ----------
    name
        Its name.
    config
        What it is asked to be.
    request_id
        Of the request that made it.
    around
        What the server hands to each session.
    on_change
        Called when a new configuration is in force.
    """

    def __init__(
        self,
        name: str,
        config: SessionConfig,
        request_id: str,
        around: Surroundings,
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.uid = uuid.uuid4().hex
        self.request_id = request_id
        self.used_at = asyncio.get_running_loop().time()
        self._config = config
        self._around = around
        self._on_change = on_change
        self._model = new_model(config.model)
        self._revision = 1  # of the configuration in force
        self._asked_revision = 1  # with the changes that wait in the queue
        self._created = self._updated = around.now()
        self._queue: ByteQueue[Job] = ByteQueue(around.limits.queue_bytes)
        self._ledger = ProducerLedger(around.limits.max_producers, around.limits.replay_bytes)
        self._watches: set[Watch] = set()
        self._closing = False  # takes nothing more
        self._halted = False  # begins nothing more of what it has taken
        self._refusal = session_gone(name)  # of what is not taken then, or not begun
        self._not_applied = 0  # batches that were taken and then refused
        self._ending: EndReason | None = None
        self._ended: EndReason | None = None
        self._writer = asyncio.create_task(self._write(), name=f"writer of {name}")

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest version, or None while there are no centroids."""
        return self._model.snapshot

    @property
    def version(self) -> int:
        """How many updates have been applied."""
        return self._model.version

    @property
    def warming(self) -> Warming | None:
        """How far the collecting of the first points is; None when it is over."""
        return self._model.warming

    @property
    def ended(self) -> EndReason | None:
        """Why the session is no more; None while it lives."""
        return self._ended

    @property
    def idle_ttl(self) -> float | None:
        """Seconds without use after which the session is deleted."""
        return self._config.idle_ttl

    @property
    def etag(self) -> str:
        """Changes with every change of the configuration."""
        return self._etag_of(self._revision)

    def describe(self) -> Description:
        """Say what the session is and how it stands."""
        model = self._model
        return Description(
            name=self.name,
            uid=self.uid,
            config=self._config,
            n_features=model.n_features,
            etag=self.etag,
            warming=model.warming,
            version=model.version,
            points_accepted=model.points_accepted,
            points_dropped=model.points_dropped,
            queued_batches=len(self._queue),
            queued_bytes=self._queue.bytes,
            watchers=len(self._watches),
            create_time=self._created,
            update_time=self._updated,
        )

    def open_producer(self, producer: Producer) -> Position:
        """Begin or go on pushing under a name, until `leave_producer`; see ProducerLedger.open."""
        self._touch()
        return self._ledger.open(producer)

    def leave_producer(self, producer: Producer) -> None:
        """Say that what `open_producer` began has ended."""
        self._ledger.leave(producer)

    def acknowledge(self, producer: Producer, sequence: int) -> None:
        """Say that a producer has the answers up to a sequence."""
        self._ledger.acknowledge(producer, sequence)

    async def submit(self, batch: PointBatch, size: int, stamp: Stamp | None) -> Submitted:
        """Wait for room in the queue and take the batch; its outcome comes later.

        A wait that is cancelled has taken nothing; what has been taken is applied and gets its outcome.

        Parameters
        ----------
        batch
            The points.
        size
            Bytes of its points and weights.
        stamp
            What tells the batch from every other one, if its producer has a name.

        Raises
        ------
        DomainError
            SESSION_NOT_FOUND if the session has ended; see ProducerLedger.seen for the rest.
        """
        self._touch()
        try:
            self._refuse_too_wide(batch.points.shape[1])
        except DomainError as refusal:
            return self.refuse(refusal, stamp)
        size = max(size, LEAST_BATCH_BYTES)
        await self._queue.reserve(size)
        try:
            self._refuse_if_closing()
            known = self._ledger.seen(stamp) if stamp else None
        except DomainError:
            self._queue.release(size)
            raise
        if known is not None:
            self._queue.release(size)
            return known
        job = QueuedBatch(batch, Ticket())
        self._queue.put(job, size)
        if stamp:
            self._ledger.record(stamp, job.outcome)
        return Submitted(job.outcome, duplicate=False)

    def refuse(self, refusal: DomainError, stamp: Stamp | None) -> Submitted:
        """Take a batch that can't be applied: its outcome is the refusal, and its sequence is used up.

        Raises
        ------
        DomainError
            As submit does.
        """
        self._touch()
        self._refuse_if_closing()
        known = self._ledger.seen(stamp) if stamp else None
        if known is not None:
            return known
        outcome: Ticket[Outcome] = Ticket()
        outcome.set_exception(self._named(refusal.again()))
        if stamp:
            self._ledger.record(stamp, outcome)
        return Submitted(outcome, duplicate=False)

    async def change(self, changes: Changes, etag: str) -> Description:
        """Change the configuration after the batches that are queued now and before those to come.

        Raises
        ------
        DomainError
            ETAG_MISMATCH: the configuration has changed since the caller read it; HALF_LIFE_INVALID.
        """
        self._touch()
        self._refuse_if_closing()
        self.check_etag(etag)
        check_half_life(changes.model.get("half_life"))
        self._asked_revision += 1
        job = QueuedChange(changes, Ticket())
        self._queue.put(job, 0)
        await job.outcome.wait()
        job.outcome.result()
        return self.describe()

    async def assign(self, points: PointArray, *, return_distances: bool = False) -> tuple[int, Assignment]:
        """Assign points (n, d) to the centroids of the newest version, and say which version that is."""
        self._touch()
        model = self._model
        try:
            return model.version, await self._around.compute.call(self._assign, model, points, return_distances)
        except DomainError as error:
            raise self._named(error) from None

    def read_snapshot(self) -> Snapshot:
        """Return the newest version, whole.

        Raises
        ------
        DomainError
            SESSION_WARMING: there are no centroids yet.
        """
        self._touch()
        if self._model.snapshot is None:
            raise self._named(still_warming(self._model))
        return self._model.snapshot

    @contextmanager
    def watch(self, options: WatchOptions) -> Iterator[Watch]:
        """Watch the session while the context is open."""
        self._touch()
        watch = Watch(self, options)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def check_etag(self, etag: str) -> None:
        """Raise ETAG_MISMATCH unless the etag is empty or the session's own."""
        newest = self._etag_of(self._asked_revision)
        if etag and etag != newest:
            raise DomainError(
                Kind.ABORTED,
                "ETAG_MISMATCH",
                f"etag {quoted(etag)} is stale, session {self.name!r} has {newest!r}: read the session and try again",
                session=self.name,
            )

    async def end(self, reason: EndReason) -> None:
        """Refuse what is queued, and tell the watchers once what is being computed is done, whoever waits for it."""
        self._ending = reason
        self._close(session_gone(self.name))
        self._halt()
        await asyncio.shield(self._writer)

    async def stop(self, deadline: float) -> int:
        """Let the writer finish what is queued, and end it; what it hasn't begun by the deadline is refused.

        Parameters
        ----------
        deadline
            In the seconds of the loop's clock. The batch that is being computed then is waited for.

        Returns
        -------
        int
            How many batches had been taken and were then refused.
        """
        before = self._not_applied
        self._close(shutting_down())
        await asyncio.wait([self._writer], timeout=deadline - asyncio.get_running_loop().time())
        self._halt()
        await asyncio.shield(self._writer)
        return self._not_applied - before

    def _close(self, refusal: DomainError) -> None:
        self._refusal = refusal
        self._closing = True
        self._queue.close()

    def _halt(self) -> None:
        self._halted = True
        self._refuse_all(self._queue.take_all())

    def _refuse_all(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            job.outcome.set_exception(self._named(self._refusal.again()))
            self._not_applied += isinstance(job, QueuedBatch)

    def _assign(self, model: Model, points: PointArray, return_distances: bool) -> Assignment:
        # On a compute thread, and perhaps long after it was asked for.
        if self._halted:
            raise self._refusal.again()
        engine = self._around.engines[model.config.engine]
        return assign(model, points, engine, self._around.compute.run_tasks, return_distances=return_distances)

    async def _write(self) -> None:
        while await self._write_what_is_queued():
            pass
        self._ledger.close()
        self._ended = self._ending
        self._wake_watches()

    async def _write_what_is_queued(self) -> bool:
        """Wait for jobs and apply them; False: there will be no more.

        A hop has a call of its own, so that nothing of the last one is held while waiting for the next.
        """
        jobs, size = await self._queue.take(HOP_BYTES)
        if not jobs:
            return False
        compute = self._around.compute
        model, results = await compute.call(
            apply_jobs, self._model, jobs, self._around.engines, compute.run_tasks, lambda: self._halted
        )
        self._publish(model, jobs[: len(results)], results)
        self._refuse_all(jobs[len(results) :])
        self._queue.release(size)
        return True

    def _publish(self, model: Model, jobs: Sequence[Job], results: Sequence[Result]) -> None:
        self._model = model
        self._touch()
        for job, result in zip(jobs, results, strict=True):
            if isinstance(job, QueuedChange):
                self._publish_change(job, result)
            elif isinstance(result, Exception):
                job.outcome.set_exception(self._told(result))
            elif result is not None:
                job.outcome.set_result(result)
        self._wake_watches()

    def _publish_change(self, job: QueuedChange, result: Result) -> None:
        self._revision += 1
        if isinstance(result, Exception):
            job.outcome.set_exception(self._told(result))
            return
        self._config = changed(self._config, job.changes)
        self._updated = self._around.now()
        self._on_change()
        job.outcome.set_result(None)

    def _told(self, failure: Exception) -> DomainError:
        """Return what is told of a failure, and kept for whoever asks again: a bug itself would keep the points too."""
        if isinstance(failure, DomainError):
            return self._named(failure)
        log.error("bug", session=self.name, exc_info=failure)
        return self._named(internal())

    def _etag_of(self, revision: int) -> str:
        return f"{self.uid[:12]}-{revision}"

    def _named(self, error: DomainError) -> DomainError:
        error.session = self.name
        return error

    def _wake_watches(self) -> None:
        for watch in self._watches:
            watch.wake()

    def _touch(self) -> None:
        self.used_at = asyncio.get_running_loop().time()

    def _refuse_too_wide(self, columns: int) -> None:
        # Points that don't fit the columns that are settled are told so when their turn comes.
        limits = self._around.limits
        if self._model.n_features is None:
            check_width(self._config.model, columns, limits.max_centroid_values, limits.max_init_values)

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise self._named(self._refusal.again())


def session_gone(name: str) -> DomainError:
    """Say that there is no such session, or no longer."""
    return DomainError(
        Kind.NOT_FOUND,
        "SESSION_NOT_FOUND",
        f"there is no session {quoted(name)}; create it first, or list the sessions to see their names",
        session=name[:LONGEST_NAME],
    )


def shutting_down() -> DomainError:
    """Say that the server had no time left for something."""
    return DomainError(
        Kind.UNAVAILABLE,
        "SERVER_DRAINING",
        "the server is shutting down and has not applied this; send it again when the server is back",
        retry_after=1.0,
    )
