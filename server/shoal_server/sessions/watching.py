"""Watches: each sees the newest version as soon as it can, and holds nobody up.

A watcher's mailbox has one slot, and the slot is the session's own snapshot: what is kept for a watcher is an event
that says "there is a newer one". So a watcher that never reads costs the same as one that does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from shoal_server.clustering.movement import largest_shift
from shoal_server.clustering.state import Snapshot, Warming
from shoal_server.errors import Reason, invalid

EndReason = Literal["deleted", "expired"]


@dataclass(frozen=True)
class WatchOptions:
    """What a watcher wants to see. Times in seconds. The end and the version before it wait for no interval."""

    after_version: int | None = None
    min_interval: float = 0.0
    min_shift: float = 0.0
    progress_interval: float = 15.0


@dataclass(frozen=True)
class Update:
    """A newer version; `base` is what this watcher was sent before it."""

    snapshot: Snapshot
    base: Snapshot | None


@dataclass(frozen=True)
class Progress:
    """A sign of life on a quiet watch."""

    version: int
    warming: Warming | None


@dataclass(frozen=True)
class End:
    """There will be no newer version."""

    reason: EndReason
    version: int


class Watched(Protocol):
    """What a watch needs of a session."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest version, or None while there are no centroids."""
        ...

    @property
    def version(self) -> int:
        """The newest version's number."""
        ...

    @property
    def warming(self) -> Warming | None:
        """How far the warming is."""
        ...

    @property
    def ended(self) -> EndReason | None:
        """Why the session is no more."""
        ...


class Watch:
    """One watcher's view of a session.

    Raises
    ------
    DomainError
        VERSION_IN_FUTURE: after_version is newer than the session's version.
    """

    def __init__(self, session: Watched, options: WatchOptions) -> None:
        if options.after_version is not None:
            _refuse_future(options.after_version, session.version)
        self._session = session
        self._options = options
        self._seen = -1 if options.after_version is None else options.after_version
        self._sent: Snapshot | None = None
        self._news = asyncio.Event()
        self._resting = False  # within the interval after an update

    def wake(self) -> None:
        """Say that the session has changed. Within the interval it costs nothing: only the end is news then."""
        if not self._resting or self._session.ended:
            self._news.set()

    async def events(self) -> AsyncIterator[Update | Progress | End]:
        """Yield each newer version as it comes, signs of life between, and the end."""
        now = asyncio.get_running_loop().time
        not_before = now()
        quiet_since = now()
        while True:
            self._news.clear()
            if (now() >= not_before or self._session.ended) and (update := self._next_update()):
                yield update
                del update  # it holds an older version
                not_before = now() + self._options.min_interval
                quiet_since = now()
            elif self._session.ended and not self._has_newer():
                yield End(self._session.ended, self._session.version)
                return
            elif now() >= quiet_since + self._options.progress_interval:
                yield Progress(self._session.version, self._session.warming)
                quiet_since = now()
            else:
                due = quiet_since + self._options.progress_interval
                self._resting = now() < not_before
                await self._wait_for_news(min(due, not_before) if self._resting else due)
                self._resting = False

    def _has_newer(self) -> bool:
        snapshot = self._session.snapshot
        return snapshot is not None and snapshot.version > self._seen

    def _next_update(self) -> Update | None:
        snapshot = self._session.snapshot
        if snapshot is None or snapshot.version <= self._seen:
            return None
        self._seen = snapshot.version
        if (
            self._sent is not None
            and self._options.min_shift
            and _shift(self._sent, snapshot) < self._options.min_shift
        ):
            return None
        update = Update(snapshot, self._sent)
        self._sent = snapshot
        return update

    async def _wait_for_news(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            return


def _shift(before: Snapshot, after: Snapshot) -> float:
    """Return how far the centroid that moved most has moved; computed once for all watchers."""
    key = ("shift", before.version)
    if key not in after.made:
        after.made[key] = largest_shift(before, after)
    shift: float = after.made[key]
    return shift


def _refuse_future(after_version: int, version: int) -> None:
    if after_version < 0:
        raise invalid(
            Reason.VERSION_NEGATIVE, "after_version", f"after_version is {after_version}; versions count from 0"
        )
    if after_version > version:
        raise invalid(
            Reason.VERSION_IN_FUTURE,
            "after_version",
            f"after_version is {after_version} and the session is at version {version}; leave it out to begin with "
            f"the current one",
        )
