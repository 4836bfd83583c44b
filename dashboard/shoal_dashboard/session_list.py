"""All sessions of the server, refreshed for all viewers once a second, or more seldom if there are very many."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import shoal
import shoal.aio
from shoal_dashboard.error_banner import lost_text
from shoal_dashboard.shared import Shared

_PAUSE = 1.0  # seconds between two lists
_REST = 4.0  # the pause is so many times as long as the list took, if that is longer


@dataclass(frozen=True)
class ListedSession:
    """A session as the list shows it."""

    session: shoal.SessionDescription
    rows_per_second: float | None  # None: not known yet


class SessionList:
    """The sessions of a server.

    Parameters
    ----------
    client
        Of the server.
    """

    def __init__(self, client: shoal.aio.Client) -> None:
        self._client = client
        self._before: dict[str, tuple[float, int]] = {}  # by uid: when, and how many points
        self.shared = Shared(self._follow, "sessions of the server")
        self.sessions: tuple[ListedSession, ...] | None = None  # None: not asked yet
        self.error = ""
        self.revision = 0  # counts what has been said

    async def refresh(self) -> None:
        """Fetch the list from the server."""
        try:
            sessions = [session async for session in self._client.list_sessions()]
        except shoal.ShoalError as error:
            self.error = lost_text(error)
        else:
            now = time.monotonic()
            self.error = ""
            self.sessions = tuple(ListedSession(session, self._rate(session, now)) for session in sessions)
            self._before = {session.uid: (now, session.points_accepted) for session in sessions}
        self.revision += 1

    async def _follow(self) -> None:
        while True:
            begin = time.monotonic()
            await self.refresh()
            await asyncio.sleep(max(_PAUSE, _REST * (time.monotonic() - begin)))

    def _rate(self, session: shoal.SessionDescription, now: float) -> float | None:
        if session.uid not in self._before:
            return None
        when, points = self._before[session.uid]
        return (session.points_accepted - points) / max(now - when, 1e-3)
