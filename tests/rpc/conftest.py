from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from shoal._process import ManagedProcess
from shoal.testing import LocalServer
from tests.rpc.wire import Wire

SMALL = {
    "max_sessions": 8,
    "max_batch_bytes": 16 * 1024,
    "max_message_bytes": 64 * 1024,
    "max_centroid_values": 1000,
    "max_init_values": 2000,
    "replay_bytes": 4096,
    "max_producers": 3,
}


@pytest.fixture(scope="session")
def pickling_server() -> Iterator[LocalServer]:
    """A server whose rpc/ and sessions/ share no object."""
    server = LocalServer()
    server._process = ManagedProcess("tests.rpc.pickling_server", "server")
    with server:
        yield server


@pytest.fixture(scope="session", params=["server", "pickling_server"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A client of a server, and of one that could have its sessions in another process."""
    server: LocalServer = request.getfixturevalue(request.param)
    with Wire(server.target) as wire:
        yield wire


@pytest.fixture(scope="session")
def small_server() -> Iterator[LocalServer]:
    """A server that allows little, and that no other suite uses."""
    with LocalServer(**SMALL) as server:
        yield server


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"
