"""A server whose rpc/ and sessions/ share no object: all that passes between them is pickled, as between processes.

`python -m tests.rpc.pickling_server` takes the flags of `shoal-server`.
"""

from __future__ import annotations

import pickle
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from shoal_server import app
from shoal_server.clustering.state import Batch, BatchResult
from shoal_server.engines.contract import PointArray
from shoal_server.errors import DomainError
from shoal_server.program import main
from shoal_server.sessions.local import LocalSessions
from shoal_server.sessions.port import (
    Changes,
    ClusterReport,
    Description,
    EventPage,
    IngestOpened,
    IngestPort,
    Producer,
    RecentPoints,
    ReclusterEvent,
    ReclusterRequest,
    SessionConfig,
    SessionPage,
    SessionSnapshot,
    VersionedAssignment,
    WatchEvent,
    WatchOptions,
    WatchPort,
)
from shoal_server.sessions.registry import Sessions

T = TypeVar("T")


def passed(value: T) -> T:
    """Return what the other side gets."""
    copy: T = pickle.loads(pickle.dumps(value))  # noqa: S301  (its own)
    return copy


async def call(method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
    """Call a method of the other side."""
    try:
        return passed(await method(*passed(args), **passed(kwargs)))
    except DomainError as error:
        raise passed(error) from None


class PicklingIngest:
    """A producer's stream of the other side."""

    def __init__(self, stream: IngestPort) -> None:
        self._stream = stream

    @property
    def opened(self) -> IngestOpened:
        return passed(self._stream.opened)

    async def submit(self, batches: Sequence[Batch], acknowledged: int = 0) -> None:
        await call(self._stream.submit, batches, acknowledged)

    def finish(self) -> None:
        self._stream.finish()

    async def results(self) -> AsyncIterator[list[BatchResult]]:
        async for results in self._stream.results():
            yield passed(results)


class PicklingWatch:
    """A watch of the other side."""

    def __init__(self, watch: WatchPort) -> None:
        self._watch = watch

    @property
    def session_uid(self) -> str:
        return self._watch.session_uid

    def begin_write(self) -> None:
        self._watch.begin_write()

    async def events(self) -> AsyncIterator[WatchEvent]:
        async for event in self._watch.events():
            yield passed(event)


class PicklingSessions:
    """Sessions of the other side."""

    def __init__(self, sessions: Sessions) -> None:
        self._inner = LocalSessions(sessions)

    async def create(self, name: str, config: SessionConfig, request_id: str) -> Description:
        return await call(self._inner.create, name, config, request_id)

    async def merge(self, names: Sequence[str], into: str, changes: Changes, request_id: str) -> Description:
        return await call(self._inner.merge, names, into, changes, request_id)

    async def describe(self, name: str) -> Description:
        return await call(self._inner.describe, name)

    async def list(self, page_size: int, after: str) -> SessionPage:
        return await call(self._inner.list, page_size, after)

    async def update(self, name: str, changes: Changes, etag: str) -> Description:
        return await call(self._inner.update, name, changes, etag)

    async def delete(self, name: str, etag: str) -> int:
        return await call(self._inner.delete, name, etag)

    async def push(self, name: str, batch: Batch, producer: Producer | None) -> BatchResult:
        return await call(self._inner.push, name, batch, producer)

    @asynccontextmanager
    async def ingest(self, name: str, producer: Producer | None) -> AsyncIterator[PicklingIngest]:
        async with self._inner.ingest(name, passed(producer)) as stream:
            yield PicklingIngest(stream)

    async def assign(
        self, name: str, points: PointArray, *, return_distances: bool, return_scores: bool = False
    ) -> VersionedAssignment:
        return await call(
            self._inner.assign, name, points, return_distances=return_distances, return_scores=return_scores
        )

    async def snapshot(self, name: str) -> SessionSnapshot:
        return await call(self._inner.snapshot, name)

    async def recent_points(self, name: str, max_points: int) -> RecentPoints:
        return await call(self._inner.recent_points, name, max_points)

    async def events(self, name: str, after: int, most: int) -> EventPage:
        return await call(self._inner.events, name, after, most)

    async def recluster(self, name: str, request: ReclusterRequest) -> AsyncGenerator[ReclusterEvent, None]:
        async with aclosing(self._inner.recluster(name, passed(request))) as events:
            async for event in events:
                yield passed(event)

    async def describe_clusters(self, name: str, n_typical: int) -> ClusterReport:
        return await call(self._inner.describe_clusters, name, n_typical)

    @asynccontextmanager
    async def watch(self, name: str, uid: str, options: WatchOptions) -> AsyncIterator[PicklingWatch]:
        async with self._inner.watch(name, uid, passed(options)) as watch:
            yield PicklingWatch(watch)


if __name__ == "__main__":
    vars(app)["LocalSessions"] = PicklingSessions
    main()
