"""The sessions of this process, as rpc/ asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shoal_server.clustering.state import Batch, BatchResult
from shoal_server.engines.contract import PointArray
from shoal_server.errors import DomainError, Refusal
from shoal_server.sessions.config import Changes, SessionConfig
from shoal_server.sessions.ingest import IngestStream, open_ingest
from shoal_server.sessions.port import (
    Description,
    Producer,
    RecentPoints,
    SessionPage,
    SessionSnapshot,
    VersionedAssignment,
)
from shoal_server.sessions.refusals import session_gone
from shoal_server.sessions.registry import Sessions
from shoal_server.sessions.watching import Watch, WatchOptions
from shoal_server.shared_results import SMALL


class LocalSessions:
    """Answers a SessionPort's methods from a registry of sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def create(self, name: str, config: SessionConfig, request_id: str) -> Description:
        """Make a session, or return the one that the same request made."""
        if config.init_bytes < SMALL:
            return self._sessions.create(name, config, request_id).describe()
        return (await self._sessions.create_on_thread(name, config, request_id)).describe()

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
        (receipt,) = await self._sessions.get(name).submit([batch], producer)
        if isinstance(receipt, Refusal):
            raise DomainError(receipt)
        return await receipt.result()

    @asynccontextmanager
    async def ingest(self, name: str, producer: Producer | None) -> AsyncIterator[IngestStream]:
        """Open a producer's stream while the context is open."""
        with open_ingest(self._sessions.get(name), producer) as stream:
            yield stream

    async def assign(self, name: str, points: PointArray, *, return_distances: bool) -> VersionedAssignment:
        """Assign points (n, d) to the newest centroids; this changes nothing."""
        version, assignment = await self._sessions.get(name).assign(points, return_distances=return_distances)
        return VersionedAssignment(version, assignment)

    async def snapshot(self, name: str) -> SessionSnapshot:
        """Return the newest version, whole."""
        session = self._sessions.get(name)
        return SessionSnapshot(session.uid, session.read_snapshot())

    async def recent_points(self, name: str, max_points: int) -> RecentPoints:
        """Return a sample of the points that were applied lately."""
        return RecentPoints(*self._sessions.get(name).recent_points(max_points))

    @asynccontextmanager
    async def watch(self, name: str, uid: str, options: WatchOptions) -> AsyncIterator[Watch]:
        """Watch a session while the context is open."""
        session = self._sessions.get(name)
        if uid and uid != session.uid:
            raise DomainError(session_gone(name))
        with session.watch(options) as watch:
            yield watch
