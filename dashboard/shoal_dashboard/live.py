"""One session as it changes: one watch for all who look, however many they are."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import shoal
import shoal.aio
from shoal_dashboard.pictures import Pictures
from shoal_dashboard.shared import Shared

_MIN_INTERVAL = 0.1  # seconds between two updates: no eye needs more
_PAUSE = 1.0  # seconds between two looks at what changes slowly, and two attempts when the server is away
_LOOKS_A_SAMPLE = 2  # of the recent points: to ask for them, draw and send them costs more than the rest of a look
_MOST_POINTS = 400  # that are shown
_NONE = -1  # before version 0
_MOST_MOMENTS = 240
_MOST_EVENTS = 100


@dataclass(frozen=True)
class Moment:
    """How the session was doing at a time."""

    when: float  # seconds on a clock of its own
    rows_per_second: float
    inertia_per_point: float


@dataclass(frozen=True)
class Event:
    """Something that happened, for the list."""

    when: datetime  # UTC
    text: str


class Live:
    """The newest state of one session.

    Parameters
    ----------
    client
        Of the server.
    name
        Of the session.
    """

    def __init__(self, client: shoal.aio.Client, name: str) -> None:
        self._session = client.session(name)
        self.name = name
        self.shared = Shared(self._follow, f"session {name}")
        self.update: shoal.CentroidUpdate | None = None
        self.description: shoal.SessionDescription | None = None
        self.pictures = Pictures()
        self.moments: deque[Moment] = deque(maxlen=_MOST_MOMENTS)
        self.events: deque[Event] = deque(maxlen=_MOST_EVENTS)
        self.trouble = ""
        self._looked = 0.0  # when, in seconds on the clock of the moments
        self._sampled_version = _NONE  # of the recent points that are drawn
        self._next_sample = 0  # the look from which they may be asked for again
        self.frames = 0  # counts what the plot of the centroids can show,
        self.looks = 0  # and what is looked at once a second

    async def refresh(self) -> None:
        """Look at what changes slowly, or isn't read ten times a second: description, figures, recent points."""
        description = await self._session.describe()
        self._note_changes(description)
        self._note_moment(description)
        self.description = description
        if self.update is not None:
            self.pictures.draw_bars(self.update)
        await self._sample()
        self.looks += 1

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again_and_again(self._watch))
            tasks.create_task(self._again_and_again(self._look))

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it anew whenever the server was away; say so meanwhile."""
        while True:
            try:
                await work()
            except shoal.ShoalError as error:
                self._lost(error)
            await asyncio.sleep(_PAUSE)

    async def _watch(self) -> None:
        async for update in self._session.watch(min_interval=_MIN_INTERVAL):
            self.update = update
            self.pictures.draw_update(update)
            self.frames += 1

    async def _look(self) -> None:
        while True:
            await self.refresh()
            if self.trouble:
                self._say("the server is back")
                self.trouble = ""
            await asyncio.sleep(_PAUSE)

    def _lost(self, error: shoal.ShoalError) -> None:
        if not self.trouble:
            self._say(str(error))
        self.trouble = str(error)
        self.looks += 1

    async def _sample(self) -> None:
        """Draw recent points, if there may be others than those that are drawn."""
        update = self.update
        if update is None or update.version <= self._sampled_version or self.looks < self._next_sample:
            return
        recent = await self._session.recent_points(_MOST_POINTS)
        plane = await asyncio.to_thread(self.pictures.plane_for, update)  # of wide centroids that takes a while
        if recent.points.shape[1] == update.centroids.shape[1]:  # or another session has the name by now
            self.pictures.draw_recent(update, recent, plane)
        self._sampled_version = recent.version
        self._next_sample = self.looks + _LOOKS_A_SAMPLE

    def _note_moment(self, now: shoal.SessionDescription) -> None:
        when = time.monotonic()
        if self.description is not None and now.uid == self.description.uid:
            rows = now.points_accepted - self.description.points_accepted
            self.moments.append(Moment(when, rows / max(when - self._looked, 1e-3), now.inertia_per_point))
        self._looked = when
        self.pictures.draw_lines(
            [moment.rows_per_second for moment in self.moments], [moment.inertia_per_point for moment in self.moments]
        )

    def _note_changes(self, now: shoal.SessionDescription) -> None:
        before = self.description
        if before is None:
            self._say(f"looking at version {now.version}")
        elif now.uid != before.uid:
            self._say("another session has the name now")
            self.update, self.pictures = None, Pictures()
            self._sampled_version = _NONE
            self.moments.clear()
        elif before.warming and not now.warming:
            self._say("the session has its first centroids")
        elif now.config.engine != before.config.engine:
            self._say(f"the engine is {now.config.engine} now")
        elif now.config.half_life != before.config.half_life:
            self._say(f"the half-life is {now.config.half_life or 'none'} now")

    def _say(self, text: str) -> None:
        self.events.appendleft(Event(datetime.now(UTC), text))


class Lives:
    """The sessions that somebody looks at, by name."""

    def __init__(self, client: shoal.aio.Client) -> None:
        self._client = client
        self._lives: dict[str, Live] = {}

    def of(self, name: str) -> Live:
        """Return the session of a name."""
        if name not in self._lives:
            self._lives[name] = Live(self._client, name)
        return self._lives[name]
