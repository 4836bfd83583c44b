"""Features of the asyncio client: cancellation, async sources, the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest

import shoal
import shoal.aio
from shoal.testing import LocalServer
from tests.client.drivers import PATIENCE
from tests.versions import follow_one_another

CENTROIDS = [[0.0, 0.0], [10.0, 10.0]]
POINTS = [[0.0, 1.0], [10.0, 9.0]]


@pytest.fixture
async def client(server: LocalServer) -> AsyncIterator[shoal.aio.Client]:
    async with shoal.aio.connect(server.target) as client:
        yield client


@pytest.fixture
async def session(client: shoal.aio.Client, name: str) -> shoal.aio.Session:
    return await client.create_session(name, 2, init=CENTROIDS)


async def end_of_other_tasks(before: set[asyncio.Task[Any]]) -> None:
    others = asyncio.all_tasks() - before
    if others:
        _, left = await asyncio.wait(others, timeout=PATIENCE)
        assert not left


async def test_a_cancelled_task_ends_its_streams(session: shoal.aio.Session) -> None:
    before = asyncio.all_tasks()
    begun = asyncio.Event()

    async def ingest_for_ever() -> None:
        async for _ in session.ingest(POINTS for _ in count()):
            begun.set()

    task = asyncio.create_task(ingest_for_ever())
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await end_of_other_tasks(before)


async def test_a_timeout_around_a_quiet_watch_raises_timeout_error(session: shoal.aio.Session) -> None:
    before = asyncio.all_tasks()

    async def watch_for_ever() -> None:
        async for _ in session.watch():
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch_for_ever(), 0.2)

    await end_of_other_tasks(before)


async def test_a_stream_left_by_break_ends(session: shoal.aio.Session) -> None:
    before = asyncio.all_tasks()

    async for _ in session.ingest(POINTS for _ in count()):
        break
    await asyncio.sleep(0)  # the loop learns of what was dropped

    await end_of_other_tasks(before)


async def test_an_async_source_that_waits_is_cancelled_with_its_stream(session: shoal.aio.Session) -> None:
    cancelled = asyncio.Event()

    async def feed() -> AsyncIterator[Any]:
        yield POINTS
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    results = session.ingest(feed())
    assert (await anext(results)).version == 1
    await results.aclose()

    assert cancelled.is_set()


async def test_exception_of_an_async_source_is_raised(session: shoal.aio.Session) -> None:
    async def feed() -> AsyncIterator[Any]:
        yield POINTS
        raise KeyError("torn tape")

    results = session.ingest(feed())

    assert (await anext(results)).version == 1
    with pytest.raises(KeyError, match="torn tape"):
        await anext(results)


async def test_plain_source_yields_the_loop_to_other_tasks(session: shoal.aio.Session) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(take_turns())
    async for _ in session.ingest(POINTS for _ in range(100)):
        pass
    task.cancel()

    assert turns > 100


async def test_many_calls_at_once_share_a_client(session: shoal.aio.Session) -> None:
    results = await asyncio.gather(*(session.push(POINTS) for _ in range(50)))

    in_order = sorted(results, key=lambda result: result.version)
    assert in_order[0].version == 1
    assert follow_one_another(in_order)


def test_an_aio_client_can_be_created_before_the_event_loop(server: LocalServer, name: str) -> None:
    client = shoal.aio.connect(server.target)

    async def use() -> int:
        async with client:
            session = await client.create_session(name, 2, init=CENTROIDS)
            return (await session.push(POINTS)).version

    assert asyncio.run(use()) == 1


async def test_a_client_closed_meanwhile_ends_its_streams_as_closed(server: LocalServer, name: str) -> None:
    client = shoal.aio.connect(server.target)
    session = await client.create_session(name, 2, init=CENTROIDS)
    updates = session.watch()
    await anext(updates)
    waiting = asyncio.create_task(anext(updates))
    await asyncio.sleep(0)

    await client.close()

    with pytest.raises(shoal.ClientClosedError):
        await waiting
