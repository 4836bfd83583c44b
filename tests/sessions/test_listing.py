"""Sessions, page by page, in the order of their names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.registry import Sessions
from tests.sessions.engines import StagedEngine
from tests.sessions.session_builders import given_centroids, session_deps

PLAIN = SessionConfig(given_centroids())
NAMES = ["B", "a", "a.1", "a1", "c", "d", "e"]  # in order: by code points


@pytest.fixture
async def sessions(deps: SessionDeps, engine: StagedEngine) -> AsyncIterator[Sessions]:
    async with Sessions(session_deps(deps.compute, engine, max_sessions=100)) as sessions:
        for name in reversed(NAMES):
            sessions.create(name, PLAIN)
        yield sessions


def page(sessions: Sessions, page_size: int, after: str = "") -> tuple[list[str], str]:
    """Return the names on a page, and the token of the next one."""
    listed, following = sessions.list(page_size, after)
    return [session.name for session in listed], following


def pages(sessions: Sessions, page_size: int) -> list[list[str]]:
    """Turn all pages."""
    names, following = page(sessions, page_size)
    turned = [names]
    while following:
        names, following = page(sessions, page_size, following)
        turned.append(names)
    return turned


@pytest.mark.parametrize("page_size", range(1, len(NAMES) + 2))
async def test_list_pages_hold_every_session_once_in_order(sessions: Sessions, page_size: int) -> None:
    turned = pages(sessions, page_size)

    assert [name for names in turned for name in names] == NAMES
    assert all(len(names) == page_size for names in turned[:-1])
    assert 0 < len(turned[-1]) <= page_size


async def test_a_full_last_page_has_no_next_page(sessions: Sessions) -> None:
    assert page(sessions, len(NAMES)) == (NAMES, "")


async def test_a_list_without_sessions_is_one_empty_page(deps: SessionDeps) -> None:
    async with Sessions(deps) as sessions:
        assert page(sessions, 10) == ([], "")


async def test_a_page_after_the_last_name_is_empty(sessions: Sessions) -> None:
    assert page(sessions, 10, after="zzz") == ([], "")


async def test_a_page_may_begin_after_a_session_that_is_gone(sessions: Sessions) -> None:
    _, following = page(sessions, 4)
    await sessions.delete(following)

    assert page(sessions, 10, following) == (["c", "d", "e"], "")


async def test_sessions_created_between_two_pages_move_no_other_session(sessions: Sessions) -> None:
    first, following = page(sessions, 4)

    sessions.create("A", PLAIN)
    sessions.create("b", PLAIN)

    assert first == NAMES[:4]
    assert page(sessions, 10, following) == (["b", "c", "d", "e"], "")
