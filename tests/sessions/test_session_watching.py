"""Watches of a running session."""

from __future__ import annotations

import asyncio

import pytest

from shoal_server.clustering.state import Warming
from shoal_server.errors import DomainError
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import Progress, Update, WatchOptions
from shoal_server.sessions.session import Session
from tests.sessions.clock import jumping_loop, until_quiet
from tests.sessions.session_builders import (
    kept_for,
    push,
    started,
    warming,
)
from tests.sessions.watched import short_text

DELTA = WatchOptions(delta=True)


async def test_a_watch_of_a_warming_session_begins_with_version_1(deps: SessionDeps) -> None:
    async with started(deps, kept_for(None, warming())) as session:
        with session.watch(WatchOptions()) as watch:
            events = watch.events()
            waiting = await anext(events)
            await push(session, 1.0)
            await push(session, 2.0, 3.0)
            first = await anext(events)

    assert waiting == Progress(0, Warming(0, 3))
    assert isinstance(first, Update)
    assert (first.snapshot, first.base) == (session.snapshot, None)
    assert session.warming is None


async def test_a_waiting_watch_gets_a_new_version_at_once(session: Session) -> None:
    with session.watch(WatchOptions(after_version=0)) as watch:
        waiting = asyncio.ensure_future(anext(watch.events()))
        await until_quiet()

        await push(session, 1.0)

        assert short_text(await waiting) == "1"
        assert jumping_loop().time() < 1


async def test_every_watch_gets_the_newest_version(session: Session) -> None:
    with session.watch(DELTA) as quick, session.watch(DELTA) as slow:
        quick_events, slow_events = quick.events(), slow.events()
        seen = [short_text(await anext(quick_events)), short_text(await anext(slow_events))]
        for value in (1.0, 2.0, 3.0):
            await push(session, value)
            seen.append(short_text(await anext(quick_events)))

        seen.append(short_text(await anext(slow_events)))

    assert seen == ["0", "0", "1 after 0", "2 after 1", "3 after 2", "3 after 0"]


async def test_a_session_counts_its_watches_while_they_are_open(session: Session) -> None:
    with session.watch(WatchOptions()), session.watch(WatchOptions()):
        two = session.describe().watchers
    with pytest.raises(DomainError), session.watch(WatchOptions(after_version=9)):
        pass

    assert (two, session.describe().watchers) == (2, 0)
