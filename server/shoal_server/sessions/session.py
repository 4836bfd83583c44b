"""A session: one writer, one order of batches, one newest snapshot."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from shoal_server.clustering.config import check_half_life, check_width
from shoal_server.clustering.model import assign, new_model, still_warming
from shoal_server.clustering.state import Model, Outcome, PointBatch, Snapshot, Warming
from shoal_server.engines.contract import Assignment, PointArray
from shoal_server.errors import DomainError, Kind, quoted
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.config import Changes, Limits, SessionConfig, changed
from shoal_server.sessions.jobs import Engines, Job, QueuedBatch, QueuedChange, Step, Submitted, answer, apply_jobs
from shoal_server.sessions.producers import Position, Producer, ProducerLedger, Stamp
from shoal_server.sessions.queue import ByteQueue
from shoal_server.sessions.watching import EndReason, Watch, WatchOptions

T = TypeVar("T")

# What the writer takes at most in one hop to a compute thread: enough to share the cost of the hop among many small
# batches, little enough that other sessions and assignments get their turn.
HOP_BYTES = 4 * 1024 * 1024
# What a batch counts for at least: as much as a queued one takes besides its points (970 bytes, measured). Otherwise a
# queue of tiny batches would have no bound.
LEAST_BATCH_BYTES = 1024
LONGEST_NAME = 128


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
    """A named model that one writer updates and everybody may read."""

    def __init__(self, name: str, config: SessionConfig, request_id: str, around: Surroundings) -> None:
        self.name = name
        self.uid = uuid.uuid4().hex
        self.request_id = request_id
        self.used_at = asyncio.get_running_loop().time()
        self._config = config
        self._around = around
        self._model = new_model(config.model)
        self._revision = 1  # of the configuration in force
        self._asked_revision = 1  # with the changes that wait in the queue
        self._created = self._updated = around.now()
        self._queue: ByteQueue[Job] = ByteQueue(around.limits.queue_bytes)
        self._ledger = ProducerLedger(around.limits.max_producers, around.limits.replay_bytes)
        self._watches: set[Watch] = set()
        self._closing = False  # takes nothing more
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
        """Begin or go on pushing under a name; see ProducerLedger.open."""
        self._touch()
        return self._ledger.open(producer)

    async def submit(self, batch: PointBatch, size: int, stamp: Stamp | None, label_bytes: int) -> Submitted:
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
        label_bytes
            Bytes of the labels that its answer will carry.

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
            return Submitted(known, duplicate=True)
        job = QueuedBatch(batch, self._new_outcome())
        self._queue.put(job, size)
        if stamp:
            self._ledger.record(stamp, job.outcome, label_bytes)
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
            return Submitted(known, duplicate=True)
        outcome: asyncio.Future[Outcome] = self._new_outcome()
        outcome.set_exception(self._named(refusal.again()))
        if stamp:
            self._ledger.record(stamp, outcome, 0)
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
        job = QueuedChange(changes, self._new_outcome())
        self._queue.put(job, 0)
        await asyncio.shield(job.outcome)
        return self.describe()

    async def assign(self, points: PointArray) -> tuple[int, Assignment]:
        """Assign points (n, d) to the centroids of the newest version, and say which version that is."""
        self._touch()
        model = self._model
        engine = self._around.engines[model.config.engine]
        compute = self._around.compute
        try:
            return model.version, await compute.call(assign, model, points, engine, compute.run_tasks)
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
        for job in self._queue.take_all():
            answer(job, Step(failure=session_gone(self.name)))
        await self.stop()

    async def stop(self) -> None:
        """Let the writer finish what is queued, and end it."""
        self._closing = True
        self._queue.close()
        await asyncio.shield(self._writer)

    async def _write(self) -> None:
        while await self._write_what_is_queued():
            pass
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
        model, steps = await compute.call(apply_jobs, self._model, jobs, self._around.engines, compute.run_tasks)
        self._publish(model, jobs, steps)
        self._queue.release(size)
        return True

    def _publish(self, model: Model, jobs: Sequence[Job], steps: Sequence[Step]) -> None:
        self._model = model
        self._touch()
        for job, step in zip(jobs, steps, strict=True):
            if isinstance(step.failure, DomainError):
                self._named(step.failure)
            if isinstance(job, QueuedChange):
                self._revision += 1
            if isinstance(job, QueuedChange) and not step.failure:
                self._config = changed(self._config, job.changes)
                self._updated = self._around.now()
            answer(job, step)
        self._wake_watches()

    def _etag_of(self, revision: int) -> str:
        return f"{self.uid[:12]}-{revision}"

    def _new_outcome(self) -> asyncio.Future[T]:
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # A producer that has gone away doesn't ask how it ended, and asyncio would complain.
        outcome.add_done_callback(asyncio.Future.exception)
        return outcome

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
            raise session_gone(self.name)


def session_gone(name: str) -> DomainError:
    """Say that there is no such session, or no longer."""
    return DomainError(
        Kind.NOT_FOUND,
        "SESSION_NOT_FOUND",
        f"there is no session {quoted(name)}; create it first, or list the sessions to see their names",
        session=name[:LONGEST_NAME],
    )
