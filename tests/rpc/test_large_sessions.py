"""Sessions with large given centroids, and long lists, don't delay other calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from shoal import wire as codec
from shoal.v1 import sessions_pb2
from shoal_server.rpc import sessions as rpc_sessions
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.local import LocalSessions
from shoal_server.shared_results import SMALL as SMALL_BYTES
from shoal_server.shared_results import SharedResults
from tests.rpc.inprocess import InProcessServer
from tests.rpc.refusals import refused_call
from tests.rpc.wire import Wire, duration, plain, tensor

LARGE = np.arange(2.0 * SMALL_BYTES / 8).reshape(2, -1)
SMALL = np.ones((2, 3))


@pytest.fixture
def server(begun: list[object]) -> Iterator[InProcessServer]:  # noqa: ARG001  (noted from the start)
    with InProcessServer() as server:
        yield server


@pytest.fixture
def wire(server: InProcessServer) -> Iterator[Wire]:
    with Wire(server.target) as wire:
        yield wire


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The calls given to a compute thread."""
    begun: list[object] = []
    begin = ComputePool.begin

    def note(pool: ComputePool, make: Callable[[], object], owner: object = None) -> object:
        begun.append(make)
        return begin(pool, make, owner)

    monkeypatch.setattr(ComputePool, "begin", note)
    return begun


@pytest.mark.parametrize(("init", "on_threads"), [(SMALL, [0, 0]), (LARGE, [2, 3])])
def test_large_given_centroids_are_checked_and_encoded_on_a_thread(
    wire: Wire, begun: list[object], init: Any, on_threads: list[int]
) -> None:
    created = wire.create("given", plain(2, init=init))
    after_creation = len(begun)
    described = wire.describe("given")

    assert created.config.init.centroids == described.config.init.centroids == tensor(init)
    assert [after_creation, len(begun)] == on_threads


def test_a_large_session_can_be_updated_and_described(wire: Wire) -> None:
    wire.create("given", plain(2, init=LARGE))

    changed = wire.update("given", plain(idle_ttl=duration(100)), ["idle_ttl"])

    assert changed.config.init.centroids == tensor(LARGE)
    assert changed.config.idle_ttl == duration(100)


def test_invalid_large_given_centroids_are_refused_and_make_no_session(wire: Wire) -> None:
    wrong = LARGE.copy()
    wrong[1, 7] = np.nan

    refused = refused_call(lambda: wire.create("given", plain(2, init=wrong)))

    assert "init row 1" in refused.message
    assert not wire.sessions.ListSessions(sessions_pb2.ListSessionsRequest()).sessions


def test_one_of_two_large_sessions_created_at_once_with_one_name_is_refused(
    server: InProcessServer, wire: Wire
) -> None:
    request = sessions_pb2.CreateSessionRequest(name="given", config=plain(2, init=LARGE))
    calls = [wire.sessions.CreateSession.future(request) for _ in range(4)]

    failures = [call.exception() for call in calls]

    assert sum(failure is None for failure in failures) == 1
    assert wire.describe("given").config.init.centroids == tensor(LARGE)
    assert len(server._parts.sessions.list(10, "")[0]) == 1


def test_a_list_does_not_copy_given_centroids(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    wire.create("given", plain(2, init=LARGE))
    copied: list[Any] = []

    tensor_message = codec.tensor_message

    def note(array: Any) -> Any:
        copied.append(array)
        return tensor_message(array)

    monkeypatch.setattr(codec, "tensor_message", note)
    wire.sessions.ListSessions(sessions_pb2.ListSessionsRequest())

    assert not copied


def test_other_calls_are_served_while_a_long_list_is_encoded(server: InProcessServer, wire: Wire) -> None:
    count = 10 * rpc_sessions.LISTED_AT_ONCE
    for number in range(count):
        wire.create(f"listed-{number}", plain(2))
    sessions = LocalSessions(server._parts.sessions)
    shared = SharedResults(server._parts.compute.begin)
    service = rpc_sessions.SessionService(sessions, server._settings.limits(), shared)
    request: Any = sessions_pb2.ListSessionsRequest(page_size=count)

    async def turns_meanwhile() -> int:
        listing = asyncio.ensure_future(service.ListSessions(request, None))  # type: ignore[arg-type]
        turns = 0
        while not listing.done():
            await asyncio.sleep(0)
            turns += 1
        assert len((await listing).sessions) == count
        return turns

    assert server.run(turns_meanwhile()) >= count // rpc_sessions.LISTED_AT_ONCE
