"""The command, run in this process or in one of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial

import pytest

import shoal
from shoal.testing import LocalServer
from tests.cli.cli_runner import InProcess, run_here


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Iterator[shoal.Client]:
    with shoal.connect(server.target) as connected:
        yield connected


@pytest.fixture
def name(client: shoal.Client) -> Iterator[str]:
    """A name for a session, which is deleted at the end if the test hasn't."""
    session = client.session(f"cli-{uuid.uuid4().hex}")
    yield session.name
    try:
        session.delete()
    except shoal.SessionNotFoundError:
        return


@pytest.fixture
def command(server: LocalServer) -> InProcess:
    """`shoal` with the server's address; in this process, for it starts sooner."""
    return partial(run_here, env={"SHOAL_SERVER": server.target})
