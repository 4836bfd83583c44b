"""All sessions by name: making, finding, listing, deleting, and the end of those that nobody uses."""

from __future__ import annotations

import asyncio
import bisect
import heapq
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, Protocol, Self, TypeVar
from weakref import WeakValueDictionary

import structlog

from shoal_server.clustering.config import ModelConfig, check_settings, validate
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Model
from shoal_server.errors import DomainError, Reason, invalid, quoted, refused
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.merging import Merging, check_limits, check_names, given_later, mergeable
from shoal_server.sessions.port import Changes, EndReason, SessionConfig, changed
from shoal_server.sessions.refusals import session_gone
from shoal_server.sessions.session import Session
from shoal_server.sessions.work import engine_work
from shoal_server.sessions.writer import LAST_BATCH

MAX_REQUEST_ID_LENGTH = 128
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# So many entries of sessions that are gone may stay, besides as many as there are sessions, before they are cleared.
SPARE_ENTRIES = 64

log = structlog.get_logger()


class Sessions:
    """The server's sessions. Use as an async context manager: it owns the task that ends idle sessions.

    Leaving it refuses what is queued; `stop` before that gives it time.
    """

    def __init__(self, deps: SessionDeps) -> None:
        self._deps = deps
        self._sessions: dict[str, Session] = {}
        self._names: list[str] = []  # sorted
        self._expiry: ExpiryQueue[Session] = ExpiryQueue()
        self._merging = Merging(deps)
        self._merges: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # under way, by the new name
        self._ending: set[asyncio.Task[None]] = set()  # of sessions that have lost their names
        self._ends_earlier = asyncio.Event()  # some session, than the one that was to end first
        self._reaper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reaper = asyncio.create_task(self._end_idle_sessions(), name="end idle sessions")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop(asyncio.get_running_loop().time())

    async def stop(self, deadline: float) -> None:
        """Finish what the sessions have taken until the deadline, and refuse the rest; see Session.stop."""
        self._merging.halt()
        if self._reaper:
            self._reaper.cancel()
            await asyncio.wait([self._reaper])
        stops = [session.stop(deadline) for session in self._sessions.values()]
        not_applied = 0
        for stopped in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(stopped, BaseException):  # the others are stopped all the same
                log.error("a session could not be stopped", exc_info=stopped)
            else:
                not_applied += stopped
        if self._ending:
            await asyncio.wait(self._ending, timeout=LAST_BATCH)
        if not_applied:
            log.warning("batches not applied", batches=not_applied)

    def create(self, name: str, config: SessionConfig, request_id: str = "") -> Session:
        """Make a session, or return the one that the same request made.

        Raises
        ------
        DomainError
            NAME_INVALID, REQUEST_ID_INVALID, SESSION_EXISTS, TOO_MANY_SESSIONS, MEMORY_LIMIT_REACHED or what is wrong
            with the configuration.
        """
        config = self._checked(name, config, request_id)
        return self._add(name, config, request_id, self._new_model(config.model))

    async def create_on_thread(self, name: str, config: SessionConfig, request_id: str = "") -> Session:
        """Make a session as `create` does, where its initial centroids take long: they are looked at on a thread."""
        config = self._checked(name, config, request_id)
        model = await self._deps.compute.call(self._new_model, config.model)
        return self._add(name, config, request_id, model)

    async def merge(self, names: Sequence[str], into: str, changes: Changes, request_id: str = "") -> Session:
        """Make a session of what others have seen, or return the one that the same request made.

        Its configuration is that of the first, with changes. The others stay as they are.

        Raises
        ------
        DomainError
            What `create` raises, NAMES_INVALID, SESSION_NOT_FOUND, and what `mergeable`, `check_limits` and
            `Merging.merge` raise.
        """
        _check_name(into, "into")
        _check_request_id(request_id)
        async with self._merges.setdefault(into, asyncio.Lock()):  # the same request again waits, and merges nothing
            if into in self._sessions:
                return _same_request(self._sessions[into], request_id)
            self._check_count()
            check_names(names)
            sources = [self.get(name).as_source() for name in names]
            parts = mergeable(sources)
            config = changed(sources[0].config, changes)
            given = given_later(config.model, len(parts[0].coordinates.origin))
            check_settings(given, **self._bounds(given))
            check_limits(parts, config.model, self._deps.limits)
            model = await self._merging.merge(parts, config.model, into)
            return self._add(into, replace(config, model=model.config), request_id, model)

    def get(self, name: str) -> Session:
        """Find a session.

        Raises
        ------
        DomainError
            SESSION_NOT_FOUND.
        """
        try:
            return self._sessions[name]
        except KeyError:
            raise DomainError(session_gone(name)) from None

    def list(self, page_size: int, after: str) -> tuple[list[Session], str]:
        """Return up to `page_size` sessions whose names come after `after`, and where the next page begins after."""
        start = bisect.bisect_right(self._names, after)
        page = self._names[start : start + page_size]
        more = start + page_size < len(self._names)
        return [self._sessions[name] for name in page], page[-1] if more else ""

    async def delete(self, name: str, etag: str = "", reason: EndReason = "deleted") -> int:
        """Delete a session and return its last version. Once begun it comes to its end, whoever waits for it."""
        session = self.get(name)
        session.check_etag(etag)
        del self._sessions[name]
        del self._names[bisect.bisect_left(self._names, name)]
        self._expiry.discard(session)
        ending = asyncio.create_task(_end(session, reason), name=f"end of {name}")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)
        return session.version

    def _checked(self, name: str, config: SessionConfig, request_id: str) -> SessionConfig:
        """Return the configuration with a random state; raise what is wrong with the name or the request."""
        _check_name(name)
        _check_request_id(request_id)
        return self._with_random_state(config)

    def _new_model(self, config: ModelConfig) -> Model:
        validate(config, **self._bounds(config))
        return new_model(config)

    def _bounds(self, config: ModelConfig) -> dict[str, int]:
        """Return the limits that a configuration is checked against."""
        limits = self._deps.limits
        return {
            "max_centroid_values": limits.max_centroid_values,
            "max_init_values": limits.max_init_values,
            "max_summary_values": limits.max_summary_values,
            "max_init_work": engine_work(config.engine, limits.max_batch_work),
        }

    def _check_count(self) -> None:
        if len(self._sessions) >= self._deps.limits.max_sessions:
            raise _too_many(self._deps.limits.max_sessions)

    def _add(self, name: str, config: SessionConfig, request_id: str, model: Model) -> Session:
        existing = self._sessions.get(name)
        if existing is not None:
            return _same_request(existing, request_id)
        self._check_count()
        session = Session(name, config, request_id, self._deps, model, on_change=lambda: self._schedule_end(session))
        self._sessions[name] = session
        bisect.insort(self._names, name)
        self._schedule_end(session)
        log.info("session created", session=name, engine=config.model.engine, n_clusters=config.model.n_clusters)
        return session

    def _with_random_state(self, config: SessionConfig) -> SessionConfig:
        # Drawn once and shown in the configuration: whoever likes what chance made can have it again.
        if config.model.random_state is not None:
            return config
        return replace(config, model=replace(config.model, random_state=self._deps.draw_random_state()))

    def _schedule_end(self, session: Session) -> None:
        if self._sessions.get(session.name) is session and self._expiry.schedule(session):
            self._ends_earlier.set()

    async def _end_idle_sessions(self) -> None:
        now: Callable[[], float] = asyncio.get_running_loop().time
        while True:
            self._ends_earlier.clear()
            try:
                async with asyncio.timeout_at(self._expiry.next_due()):
                    await self._ends_earlier.wait()
            except TimeoutError:
                while expired := self._expiry.pop_expired(now()):
                    await self.delete(expired.name, reason="expired")


class Expiring(Protocol):
    """What is needed of a session."""

    @property
    def uid(self) -> str:
        """The session's unique id."""
        ...

    @property
    def expires_at(self) -> float:
        """When it ends unless somebody uses it; infinity: never, as things stand."""
        ...


T = TypeVar("T", bound=Expiring)


class ExpiryQueue(Generic[T]):
    """Sessions by the time of their end.

    A use only puts an end off, and needs no call here: an entry that comes due is checked again then. What brings an
    end nearer needs a call of `schedule`.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._entries: dict[str, tuple[float, int, T]] = {}  # the newest of each session, by its uid
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def schedule(self, session: T) -> bool:
        """Note when a session ends, and return whether it is now the first that is due."""
        due = session.expires_at
        known = self._entries.get(session.uid)
        if due == math.inf or (known and known[0] <= due):
            return False
        entry = self._entries[session.uid] = (due, next(self._numbers), session)
        heapq.heappush(self._heap, entry)
        self._clear_old_entries()
        return self._heap[0] is entry

    def discard(self, session: T) -> None:
        """Forget a session."""
        self._entries.pop(session.uid, None)
        self._clear_old_entries()

    def next_due(self) -> float | None:
        """Return when to look again; None: no session has an end."""
        while self._heap and not self._is_newest(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_expired(self, now: float) -> T | None:
        """Take out a session whose end has come; None: there is none."""
        while (due := self.next_due()) is not None and due <= now:
            session = heapq.heappop(self._heap)[2]
            del self._entries[session.uid]
            if session.expires_at <= now:
                return session
            self.schedule(session)
        return None

    def _is_newest(self, entry: tuple[float, int, T]) -> bool:
        return self._entries.get(entry[2].uid) is entry

    def _clear_old_entries(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + SPARE_ENTRIES:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)


async def _end(session: Session, reason: EndReason) -> None:
    await session.end(reason)
    log.info("session ended", session=session.name, reason=reason, version=session.version)


def _check_name(name: str, field: str = "name") -> None:
    if not NAME.fullmatch(name):
        raise invalid(
            Reason.NAME_INVALID,
            field,
            f"{field} is {quoted(name)}; a session's name has 1 to 128 characters, letters, digits, '.', '_' or '-', "
            f"and begins with a letter or digit",
        )


def _check_request_id(request_id: str) -> None:
    if len(request_id) > MAX_REQUEST_ID_LENGTH:
        raise invalid(
            Reason.REQUEST_ID_INVALID,
            "request_id",
            f"request_id has {len(request_id):,} characters; use at most {MAX_REQUEST_ID_LENGTH}, such as a UUID",
        )


def _same_request(existing: Session, request_id: str) -> Session:
    if request_id and existing.request_id == request_id:
        return existing
    raise refused(
        Reason.SESSION_EXISTS,
        f"session {existing.name!r} exists already; choose another name, or go on with the one there is",
        session=existing.name,
    )


def _too_many(max_sessions: int) -> DomainError:
    return refused(
        Reason.TOO_MANY_SESSIONS,
        f"the server holds {max_sessions} sessions, which is its limit; delete one, or raise SHOAL_MAX_SESSIONS",
    )
