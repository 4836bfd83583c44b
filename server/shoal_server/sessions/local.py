"""The sessions of this process and producers' streams into them, as rpc/ asks for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from dataclasses import replace

from shoal_server.clustering.state import Batch, BatchResult
from shoal_server.engines.contract import PointArray
from shoal_server.errors import DomainError, Reason, Refusal
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.jobs import Receipt
from shoal_server.sessions.port import (
    Changes,
    ClusterReport,
    Description,
    EventPage,
    IngestOpened,
    Producer,
    RecentPoints,
    ReclusterEvent,
    ReclusterRequest,
    SessionConfig,
    SessionPage,
    SessionSnapshot,
    VersionedAssignment,
    WatchOptions,
)
from shoal_server.sessions.refusals import session_gone
from shoal_server.sessions.registry import Sessions
from shoal_server.sessions.session import Session
from shoal_server.sessions.watching import Watch
from shoal_server.shared_results import SMALL

# Results that may wait for a producer that doesn't read them; when so many wait, its batches aren't taken either.
MAX_UNANSWERED = 1024
# Bytes of labels and scores in them; when there are more, no further batches are taken.
MAX_UNANSWERED_LABEL_BYTES = 64 * 1024 * 1024
_LABEL_BYTES, _SCORE_BYTES = 4, 8  # of a row
# After these the stream can't go on: whatever came next would be refused for the same reason.
FATAL = {Reason.PRODUCER_FENCED, Reason.SESSION_NOT_FOUND, Reason.SERVER_DRAINING}


class LocalSessions:
    """Answers a SessionPort's methods from a registry of sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def create(self, name: str, config: SessionConfig, request_id: str) -> Description:
        """Make a session, or return the one that the same request made."""
        if config.init_bytes < SMALL:
            return self._sessions.create(name, config, request_id).describe()
        return (await self._sessions.create_on_thread(name, config, request_id)).describe()

    async def merge(self, names: Sequence[str], into: str, changes: Changes, request_id: str) -> Description:
        """Make a session of what others have seen, or return the one that the same request made."""
        return (await self._sessions.merge(names, into, changes, request_id)).describe()

    async def describe(self, name: str) -> Description:
        """Return what a session is and how it stands."""
        return self._sessions.get(name).describe()

    async def list(self, page_size: int, after: str) -> SessionPage:
        """Return up to `page_size` sessions whose names come after `after`."""
        page, next_after = self._sessions.list(page_size, after)
        return SessionPage([session.describe() for session in page], next_after)

    async def update(self, name: str, changes: Changes, etag: str) -> Description:
        """Change a session's configuration, in its place among the batches."""
        return await self._sessions.get(name).change(changes, etag)

    async def delete(self, name: str, etag: str) -> int:
        """Delete a session and return its last version."""
        return await self._sessions.delete(name, etag)

    async def push(self, name: str, batch: Batch, producer: Producer | None) -> BatchResult:
        """Apply one batch; return its result, or raise why it is refused."""
        session = self._sessions.get(name)
        (receipt,) = await session.submit([batch], producer)
        if isinstance(receipt, Refusal):
            raise DomainError(receipt)
        if not receipt.duplicate:
            return await receipt.result()
        waiting = session.memory.open()
        waiting.add(batch.size)  # the call holds the batch while it waits, and no queue counts it
        try:
            return await receipt.result()
        finally:
            waiting.release()

    @asynccontextmanager
    async def ingest(self, name: str, producer: Producer | None) -> AsyncIterator[IngestStream]:
        """Open a producer's stream while the context is open."""
        with open_ingest(self._sessions.get(name), producer) as stream:
            yield stream

    async def assign(
        self, name: str, points: PointArray, *, return_distances: bool, return_scores: bool = False
    ) -> VersionedAssignment:
        """Assign points (n, d) to the newest centroids; this changes nothing."""
        version, assignment = await self._sessions.get(name).assign(
            points, return_distances=return_distances, return_scores=return_scores
        )
        return VersionedAssignment(version, assignment)

    async def snapshot(self, name: str) -> SessionSnapshot:
        """Return the newest version, whole."""
        session = self._sessions.get(name)
        return SessionSnapshot(session.uid, session.read_snapshot())

    async def recent_points(self, name: str, max_points: int) -> RecentPoints:
        """Return a sample of the points that were applied lately."""
        return RecentPoints(*self._sessions.get(name).recent_points(max_points))

    async def events(self, name: str, after: int, most: int) -> EventPage:
        """Return the oldest events of a session that are newer than a number, at most so many."""
        return self._sessions.get(name).read_events(after, most)

    async def recluster(self, name: str, request: ReclusterRequest) -> AsyncGenerator[ReclusterEvent, None]:
        """Fit other numbers of clusters to a session's summary; this changes nothing."""
        session = self._sessions.get(name)
        with session.stream():
            async with aclosing(session.analysis.recluster(request)) as events:
                async for event in events:
                    yield event

    async def describe_clusters(self, name: str, n_typical: int) -> ClusterReport:
        """Return what the clusters of the newest version are like."""
        session = self._sessions.get(name)
        with session.stream():
            return await session.analysis.describe_clusters(n_typical)

    @asynccontextmanager
    async def watch(self, name: str, uid: str, options: WatchOptions) -> AsyncIterator[Watch]:
        """Watch a session while the context is open."""
        session = self._sessions.get(name)
        if uid and uid != session.uid:
            raise DomainError(session_gone(name))
        with session.watch(options) as watch:
            yield watch


class IngestStream:
    """Takes a producer's batches while few results wait to be read, and gives the results as they come.

    One task submits and one reads the results.
    """

    def __init__(self, session: Session, producer: Producer | None, opened: IngestOpened) -> None:
        self.opened = opened
        self._session = session
        self._producer = producer
        self._pending: deque[Receipt] = deque()
        self._unanswered = 0  # batches
        self._labels = session.memory.open()  # of the results that wait
        self._label_bytes: deque[int] = deque()  # of each receipt
        self._results_read = asyncio.Event()
        self._changed = asyncio.Event()
        self._finished = False

    async def submit(self, batches: Sequence[Batch], acknowledged: int = 0) -> None:
        """Take batches, once the queue and the results that wait to be read are short enough.

        Parameters
        ----------
        batches
            In their order.
        acknowledged
            The last sequence whose result the producer has.

        Raises
        ------
        DomainError
            PRODUCER_FENCED, SESSION_NOT_FOUND, SERVER_DRAINING or MEMORY_LIMIT_REACHED: the stream can't go on. Other
            refusals are results.
        """
        if self._producer and acknowledged:
            self._session.acknowledge(self._producer, acknowledged)
        if not batches:
            return
        # First the wait for the results: nothing may come between batches that have been taken and their results.
        await self._wait_until_read(len(batches))
        labels = await self._session.memory.reserve_labels(_label_bytes(batches))
        try:
            self._expect(batches, await self._session.submit(batches, self._producer))
        finally:
            labels.release()

    def finish(self) -> None:
        """No more batches come: the results end after those of what has been taken."""
        self._finished = True
        self._changed.set()

    async def results(self) -> AsyncIterator[list[BatchResult]]:
        """Yield the results as they come, all that are there at once.

        Raises
        ------
        DomainError
            SERVER_DRAINING: the stream ends before a batch that has been taken and not applied; it is to be resumed.
        """
        while await self._has_pending():
            await self._pending[0].completion.wait()
            results = list(self._ready())
            drained = next((at for at, result in enumerate(results) if _is_drained(result)), len(results))
            refusal = results[drained].refusal if drained < len(results) else None
            if drained:
                yield results[:drained]
            del results  # a stream that falls quiet must not hold its last results
            if refusal is not None:
                raise DomainError(refusal)

    def close(self) -> None:
        """Drop the results that nobody has read."""
        self._labels.release()

    def _expect(self, batches: Sequence[Batch], receipts: Sequence[Receipt | Refusal]) -> None:
        taken = 0
        for receipt in receipts:
            if isinstance(receipt, Refusal):
                if receipt.reason in FATAL:
                    raise DomainError(receipt)
                receipt = _answered(BatchResult(sequence=batches[taken].sequence, refusal=receipt))  # noqa: PLW2901
            self._pending.append(receipt)
            self._unanswered += receipt.count
            size = _label_bytes(batches[taken : taken + receipt.count])
            self._label_bytes.append(size)
            self._labels.add(size)
            taken += receipt.count
            self._changed.set()

    async def _wait_until_read(self, batches: int) -> None:
        while self._unanswered and (
            self._unanswered + batches > MAX_UNANSWERED or self._labels.bytes > MAX_UNANSWERED_LABEL_BYTES
        ):
            self._results_read.clear()
            await self._results_read.wait()

    async def _has_pending(self) -> bool:
        while not self._pending and not self._finished:
            self._changed.clear()
            await self._changed.wait()
        return bool(self._pending)

    def _ready(self) -> Iterator[BatchResult]:
        while self._pending and self._pending[0].completion.done():
            receipt = self._pending.popleft()
            self._unanswered -= receipt.count
            self._labels.add(-self._label_bytes.popleft())
            self._results_read.set()
            yield from receipt.results()


@contextmanager
def open_ingest(session: Session, producer: Producer | None) -> Iterator[IngestStream]:
    """Open a producer's stream while the context is open.

    Raises
    ------
    DomainError
        PRODUCER_FENCED or TOO_MANY_PRODUCERS.
    """
    with session.stream():
        if producer is None:
            with closing(IngestStream(session, None, IngestOpened(session.uid))) as stream:
                yield stream
            return
        position = session.open_producer(producer)
        named = replace(producer, epoch=position.epoch)
        try:
            opened = IngestOpened(session.uid, position.epoch, position.last_sequence)
            with closing(IngestStream(session, named, opened)) as stream:
                yield stream
        finally:
            session.leave_producer(named)


def _label_bytes(batches: Sequence[Batch]) -> int:
    """Return the size of the labels and scores that are asked for."""
    size = sum([len(batch.points) for batch in batches if batch.return_labels]) * _LABEL_BYTES
    return size + sum([len(batch.points) for batch in batches if batch.return_scores]) * _SCORE_BYTES


def _answered(result: BatchResult) -> Receipt:
    completion: Completion[list[BatchResult]] = Completion()
    completion.set_result([result])
    return Receipt(completion, 0, 1)


def _is_drained(result: BatchResult) -> bool:
    return result.refusal is not None and result.refusal.reason is Reason.SERVER_DRAINING
