"""A session: one writer, one order of batches, one newest snapshot."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.state import Batch, BatchResult, Model, Snapshot, Warming
from shoal_server.clustering.validation import still_warming
from shoal_server.engines.contract import Assignment, Halted, PointArray
from shoal_server.errors import DomainError, Refusal
from shoal_server.sessions import work
from shoal_server.sessions.analysis import Analysis
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.event_log import EventLog
from shoal_server.sessions.jobs import BatchJob, ChangeJob, Receipt, release_when_done
from shoal_server.sessions.merging import Source
from shoal_server.sessions.port import (
    Changes,
    Description,
    EndReason,
    EventPage,
    Position,
    Producer,
    SessionConfig,
    WatchOptions,
    changed,
)
from shoal_server.sessions.producers import ProducerLedger, comes_next
from shoal_server.sessions.refusals import (
    errors_of_session,
    etag_mismatch,
    future_refused,
    session_gone,
    shutting_down,
    too_many_changes,
)
from shoal_server.sessions.session_memory import SessionMemory
from shoal_server.sessions.watching import Watch
from shoal_server.sessions.writer import Writer

MAX_QUEUED_CHANGES = 64


class Session:
    """A named model that one writer updates and everybody may read.

    Parameters
    ----------
    name, config, request_id
        As the request says that made it.
    deps
        What the server hands to each session.
    model
        That the configuration begins with.
    on_change
        Called when a new configuration is in force, and when the last stream that was open ends: the session may then
        end earlier than before.
    """

    def __init__(
        self,
        name: str,
        config: SessionConfig,
        request_id: str,
        deps: SessionDeps,
        model: Model,
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.uid = uuid.uuid4().hex
        self.request_id = request_id
        self._used_at = asyncio.get_running_loop().time()
        self._open_streams = self._watches = 0
        self._config = config
        self._deps = deps
        self._on_change = on_change
        self._revision = 1  # of the configuration in force
        self._asked_revision = 1  # with the changes that wait in the queue
        self._asked_sizes: dict[str, Any] = {}  # that these make, see Changes.sizes
        self._created = self._updated = deps.now()
        self._ledger = ProducerLedger(deps.limits.max_producers, deps.limits.replay_bytes)
        self.memory = SessionMemory(name, deps.budget, deps.compute.threads, self._ledger.answers)
        self.memory.admit_model(config.model, model.n_features)
        self._writer = Writer(name, self.uid, model, deps, self.memory, self._adopt, self._finish)
        self.analysis = Analysis(name, self.uid, self._writer, deps)

    @property
    def _model(self) -> Model:
        return self._writer.model

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
        return self._writer.ended

    @property
    def event_log(self) -> EventLog:
        """What has happened to the session and its clusters."""
        return self._writer.event_log

    @property
    def expires_at(self) -> float:
        """When it ends unless somebody uses it; infinity: it has no `idle_ttl`, or a stream is open."""
        if self._config.idle_ttl is None or self._open_streams:
            return math.inf
        return max(self._used_at, self._writer.applied_at) + self._config.idle_ttl

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
            points_accepted=model.state.points_accepted,
            points_dropped=model.points_dropped,
            queued_batches=self._writer.queued,
            queued_bytes=self._writer.queue.bytes,
            watchers=self._watches,
            create_time=self._created,
            update_time=self._updated,
            inertia_per_point=model.snapshot.inertia_per_point if model.snapshot else None,
            outliers=model.state.outliers.found if model.state.outliers else 0,
        )

    def as_source(self) -> Source:
        """Return the session as it stands, to be merged."""
        self._touch()
        return Source(self.name, self._config, self._model)

    def open_producer(self, producer: Producer) -> Position:
        """Begin or go on pushing under a name, until `leave_producer`; see ProducerLedger.open."""
        self._touch()
        with errors_of_session(self.name):
            return self._ledger.open(producer)

    def leave_producer(self, producer: Producer) -> None:
        """Say that what `open_producer` began has ended."""
        self._ledger.leave(producer)

    def acknowledge(self, producer: Producer, sequence: int) -> None:
        """Say that a producer has the answers up to a sequence."""
        self._ledger.acknowledge(producer, sequence)

    async def submit(self, message: Sequence[Batch], producer: Producer | None) -> list[Receipt | Refusal]:
        """Wait for room in the queue and take the batches of a message; their outcomes come later.

        A wait that is cancelled has taken nothing; what has been taken is applied and gets its outcome. A batch that
        could not be read is answered with the reason, and uses its sequence up.

        Parameters
        ----------
        message
            The batches, in their order.
        producer
            Who pushes them, if it has a name: then each batch counts once.

        Returns
        -------
        list
            In the order of the batches: of each that has no place among its producer's why that is, and the others
            together as far as they belong together.

        Raises
        ------
        DomainError
            SESSION_NOT_FOUND or SERVER_DRAINING: the session takes nothing more; MEMORY_LIMIT_REACHED.
        """
        self._touch()
        limits = self._deps.limits
        message = future_refused(message, self._deps.now, limits.max_event_time_ahead)
        message, room = work.large_refused(message, self._asked_model_config, self._model.n_features, limits)
        receipts: list[Receipt | Refusal] = []
        rows = self.memory.open()
        try:
            with errors_of_session(self.name):
                if not self._writer.closing and self.memory.asks_for_batches(self._model):
                    self.memory.admit_batches(self._model, self._asked_model_config, message)
                if room:
                    await self._writer.queue.reserve(room, self.memory.admission(rows, self._model, message, room))
            if self._writer.closing:
                self._writer.queue.release(room)
                raise DomainError(self._writer.refusal.for_session(self.name))
            if producer is None or comes_next(self._ledger, producer, message):
                receipts = [self._take(message, producer)]
            else:
                receipts = [self._take_or_know(batch, producer) for batch in message]
            return receipts
        finally:
            release_when_done(rows, receipts)
            self.memory.drop_promises(self._model)

    async def change(self, changes: Changes, etag: str) -> Description:
        """Change the configuration after the batches that are queued now and before those to come.

        Raises
        ------
        DomainError
            ETAG_MISMATCH: it has changed since the caller read it; TOO_MANY_CHANGES; or as `work.checked_change`.
        """
        self._touch()
        if self._writer.closing:
            raise DomainError(self._writer.refusal.for_session(self.name))
        self.check_etag(etag)
        if self._asked_revision - self._revision >= MAX_QUEUED_CHANGES:
            raise DomainError(too_many_changes(self.name, MAX_QUEUED_CHANGES))
        with errors_of_session(self.name):
            config = work.checked_change(self._model, self._asked_model_config, changes, self._deps.limits)
            self.memory.admit_change(self._model, config)
        self._asked_revision += 1
        self._asked_sizes = {**self._asked_sizes, **changes.sizes}
        job = ChangeJob(changes, Completion())
        job.completion.add_done_callback(self._note_change)
        self._writer.put(job, 0, work.change_work(changes))
        await job.completion.wait()
        job.completion.result()
        return self.describe()

    async def assign(self, points: PointArray, **wanted: bool) -> tuple[int, Assignment]:
        """Assign points (n, d) to the newest version's centroids, and say which that is; see SessionCompute.assign."""
        self._touch()
        model = self._model
        refusal = work.work_refusal(self._config.model, len(points), points.shape[1], self._deps.limits.max_batch_work)
        if refusal is not None:
            raise DomainError(refusal.for_session(self.name))
        cost = points.size * model.config.n_clusters  # in multiplications
        with errors_of_session(self.name), self.memory.computing(model, points):
            engine = model.config.engine
            if cost <= work.QUICK_WORK and engine == "numba" and not wanted.get("return_scores"):
                return model.version, self._assign(model, points, **wanted)
            return model.version, await self._writer.compute.call([engine], cost, self._assign, model, points, **wanted)

    def read_snapshot(self) -> Snapshot:
        """Return the newest version, whole.

        Raises
        ------
        DomainError
            SESSION_WARMING: there are no centroids yet.
        """
        self._touch()
        if self._model.snapshot is None:
            raise DomainError(still_warming(self._model).for_session(self.name))
        return self._model.snapshot

    def recent_points(self, most: int) -> tuple[int, PointArray]:
        """Return the newest version's number, and a sample of the points (m, d) that were applied lately, oldest first.

        There are at most `most`; 0: all that are kept.
        """
        self._touch()
        return self._model.version, self._writer.recent.newest(most, self._model.n_features or 0)

    def read_events(self, after: int, most: int) -> EventPage:
        """Return the oldest events that are newer than a number, at most so many; raises as EventLog.check does."""
        self._touch()
        return self.event_log.page(self.uid, after, most)

    @contextmanager
    def watch(self, options: WatchOptions) -> Iterator[Watch]:
        """Watch the session while the context is open."""
        with self.stream():
            watch = Watch(self, options, self._writer.watch_queue, self._deps.shared)
            self._watches += 1
            try:
                yield watch
            finally:
                watch.close()
                self._watches -= 1

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Use the session as long as the context is open: it doesn't expire."""
        self._open_streams += 1
        try:
            yield
        finally:
            self._open_streams -= 1
            self._touch()
            if not self._open_streams:
                self._on_change()

    def check_etag(self, etag: str) -> None:
        """Raise ETAG_MISMATCH unless the etag is empty or the session's own."""
        newest = self._etag_of(self._asked_revision)
        if etag and etag != newest:
            raise DomainError(etag_mismatch(self.name, etag, newest))

    async def end(self, reason: EndReason) -> None:
        """Refuse what is queued, and tell the watchers once what is being computed is done, whoever waits for it."""
        await self._writer.end(reason, session_gone(self.name))

    async def stop(self, deadline: float) -> int:
        """Let the writer finish what is queued, and end it; what it hasn't begun by the deadline is refused.

        Parameters
        ----------
        deadline
            In the seconds of the loop's clock. The batch that is being computed then ends after its next piece; what
            can't be stopped has LAST_BATCH seconds more.

        Returns
        -------
        int
            How many batches had been taken and were then refused.
        """
        return await self._writer.stop(deadline, shutting_down())

    def _take(self, batches: Sequence[Batch], producer: Producer | None) -> Receipt:
        """Take batches that are new, and have room."""
        completion: Completion[list[BatchResult]] = Completion()
        if producer:
            self._ledger.record(producer, batches[0].sequence, [each.fingerprint for each in batches], completion)
        job = BatchJob(batches, completion, producer)
        room = work.queue_bytes(batches)
        if any(batch.refusal is None for batch in batches):
            values = sum([batch.points.size for batch in batches])
            self._writer.put(job, room, work.dispatch_work(self._config.model.n_clusters, values, len(batches)))
        else:
            self._writer.refuse(job, room)
        return Receipt(completion, 0, len(batches))

    def _take_or_know(self, batch: Batch, producer: Producer) -> Receipt | Refusal:
        """Take one batch that has room, unless its producer has pushed it before, or can't push it now."""
        known: Receipt | Refusal | None
        try:
            known = self._ledger.seen(producer, batch.sequence, batch.fingerprint)
        except DomainError as error:
            known = error.refusal.for_session(self.name)
        if known is None:
            return self._take([batch], producer)
        self._writer.queue.release(work.queue_bytes([batch]))
        return known.asked_again(batch) if isinstance(known, Receipt) else known

    def _assign(self, model: Model, points: PointArray, **wanted: bool) -> Assignment:
        engine = self._deps.engines[model.config.engine]
        try:
            return self._writer.compute.assign(model, points, engine, **wanted)
        except Halted:
            raise DomainError(self._writer.refusal) from None

    def _adopt(self, changes: Changes) -> None:
        """Put changes that have been applied in force for all to see."""
        self._config = changed(self._config, changes)
        self._updated = self._deps.now()
        self._on_change()

    def _note_change(self) -> None:
        self.memory.change_ended()
        self._revision += 1
        if self._revision == self._asked_revision:
            self._asked_sizes = {}

    def _finish(self) -> None:
        self._ledger.close()
        self.memory.release()

    def _etag_of(self, revision: int) -> str:
        return f"{self.uid[:12]}-{revision}"

    def _touch(self) -> None:
        self._used_at = asyncio.get_running_loop().time()

    @property
    def _asked_model_config(self) -> ModelConfig:
        """The configuration that batches to come will meet, as far as their work depends on it."""
        config = self._config.model
        return replace(config, **self._asked_sizes) if self._asked_sizes else config
