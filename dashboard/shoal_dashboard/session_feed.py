"""The newest state of one session, from one watch that all its viewers share."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable

import shoal
import shoal.aio
from shoal_dashboard.error_banner import lost_text
from shoal_dashboard.event_list import EventList
from shoal_dashboard.pictures import Pictures, Sample
from shoal_dashboard.shared import Shared

_MIN_INTERVAL = 0.1  # seconds between two updates: people see no more
_PAUSE = 1.0  # seconds between two refreshes, and between two attempts when the server is away
_LOOKS_A_SAMPLE = 2  # refreshes for each sample of recent points, which costs more than the rest of a refresh
_MAX_POINTS = 400  # that are shown
_NONE = -1  # before version 0
_MAX_SAMPLES = 240


class SessionFeed:
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
        self.samples: deque[Sample] = deque(maxlen=_MAX_SAMPLES)
        self.events = EventList()
        self._events_uid = ""  # of the session whose events these are
        self._new_events: Counter[str] = Counter()  # of each kind since the last sample
        self._errors: dict[str, str] = {}  # by what doesn't work: watching, listening, looking
        self._looked = 0.0  # when, in seconds on the clock of the samples
        self._sampled_version = _NONE  # of the recent points that are drawn
        self._next_sample = 0  # the look from which they may be asked for again
        self.frames = 0  # counts what the plot of the centroids can show,
        self.looks = 0  # and what is looked at once a second

    @property
    def error(self) -> str:
        """The current error in a sentence; empty if there is none."""
        return next(iter(self._errors.values()), "")

    async def refresh(self) -> None:
        """Refresh what needs no ten updates a second: description, figures, recent points."""
        description = await self._session.describe()
        self._note_changes(description)
        self._add_sample(description)
        self.description = description
        if self.update is not None:
            self.pictures.draw_bars(self.update)
        await self._sample()
        self.looks += 1

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again_and_again("watching", self._watch))
            tasks.create_task(self._again_and_again("listening", self._listen))
            tasks.create_task(self._again_and_again("looking", self._look))

    async def _again_and_again(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Repeat the work whenever the server or the session was away, and show an error meanwhile."""
        while True:
            try:
                await work()
            except shoal.ShoalError as error:
                self._lost(what, error)
            await asyncio.sleep(_PAUSE)

    async def _watch(self) -> None:
        async for update in self._session.watch(min_interval=_MIN_INTERVAL):
            self._found("watching")
            if self.update is not None and update.session_uid != self.update.session_uid:
                self._begin_anew()
            self.update = update
            self.pictures.draw_update(update)
            self.frames += 1

    async def _listen(self) -> None:
        """Add the events that the session keeps, those of a session that is known already only if they are new."""
        uid = (await self._session.describe()).uid
        is_known = uid == self._events_uid
        if not is_known:
            self._events_uid = uid
            self._new_events.clear()
            self.events.forget_events()
        for event in await self._session.events(after=self.events.newest):
            self._add_event(event, is_marked=is_known)
        self._found("listening")
        async for event in self._session.watch_events(after=self.events.newest):
            self._add_event(event)

    def _add_event(self, event: shoal.Event, *, is_marked: bool = True) -> None:
        self.events.add(event)
        if is_marked:  # others happened before the charts began
            self._new_events[event.kind] += 1

    async def _look(self) -> None:
        while True:
            await self.refresh()
            self._found("looking")
            await asyncio.sleep(_PAUSE)

    def _lost(self, what: str, error: shoal.ShoalError) -> None:
        told = lost_text(error)
        if told not in self._errors.values():
            self.events.note(told)
        self._errors[what] = told
        self.looks += 1

    def _found(self, what: str) -> None:
        if self._errors.pop(what, "") and not self._errors:
            self.events.note("it is there again")

    async def _sample(self) -> None:
        """Draw recent points, if they may have changed since they were drawn."""
        update, description = self.update, self.description
        if update is None or update.version <= self._sampled_version or self.looks < self._next_sample:
            return
        recent = await self._session.recent_points(_MAX_POINTS)
        plane = await asyncio.to_thread(self.pictures.plane_for, update)  # of wide centroids that takes a while
        if recent.points.shape[1] == update.centroids.shape[1]:  # or another session has the name by now
            is_cosine = description is not None and description.config.metric == "cosine"
            self.pictures.draw_recent(update, recent.points, plane, of_length_one=is_cosine)
        self._sampled_version = recent.version
        self._next_sample = self.looks + _LOOKS_A_SAMPLE

    def _begin_anew(self) -> None:
        """Forget the state of an earlier session of the same name."""
        self.update, self.pictures, self._sampled_version = None, Pictures(), _NONE
        self.samples.clear()

    def _add_sample(self, now: shoal.SessionDescription) -> None:
        when = time.monotonic()
        if self.description is not None and now.uid == self.description.uid:
            rows = now.points_accepted - self.description.points_accepted
            estimated = None if self.update is None else self.update.estimated_inertia_per_point
            events, self._new_events = self._new_events, Counter()
            rate = rows / max(when - self._looked, 1e-3)
            self.samples.append(Sample(rate, now.inertia_per_point, estimated, events))
        self._looked = when
        self.pictures.draw_lines(self.samples)

    def _note_changes(self, now: shoal.SessionDescription) -> None:
        before = self.description
        if before is None:
            self.events.note(f"looking at version {now.version:,}")
            return
        if now.uid != before.uid:
            self.events.note("another session has the name now")
            if self.update is not None and self.update.session_uid != now.uid:
                self._begin_anew()
            return


class SessionFeeds:
    """The sessions that have viewers, by name."""

    def __init__(self, client: shoal.aio.Client) -> None:
        self._client = client
        self._feeds: dict[str, SessionFeed] = {}

    def enter(self, name: str) -> tuple[SessionFeed, Callable[[], None]]:
        """Add a viewer of a session; return its feed, and a function that removes the viewer (once)."""
        feed = self._feeds.setdefault(name, SessionFeed(self._client, name))
        leave = feed.shared.enter()

        def leave_and_forget() -> None:
            leave()
            if not feed.shared.is_used and self._feeds.get(name) is feed:
                del self._feeds[name]

        return feed, leave_and_forget
