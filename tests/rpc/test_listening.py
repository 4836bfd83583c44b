"""If the server can't listen, it names one of four reasons, and what would be right."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

import pytest

from shoal_server.app import _parts
from shoal_server.engines.numba import NumbaEngine
from shoal_server.errors import StartError
from shoal_server.rpc.server import _explained
from shoal_server.settings import Settings

NO_SETTINGS: dict[str, Any] = {}


def refusal(host: str, port: int) -> str:
    """Return why a server doesn't start."""

    async def start() -> None:
        async with _parts(Settings(**NO_SETTINGS), {}, NumbaEngine()) as parts:
            try:
                await parts.server.start(host, port)
            finally:
                await parts.server.stop()

    with pytest.raises(StartError) as caught:
        asyncio.run(start())
    return str(caught.value)


def test_a_port_that_is_taken_is_said_to_be_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        assert refusal("127.0.0.1", port) == (
            f"can't listen on 127.0.0.1:{port}: the port is in use; stop what listens there, or choose another port, "
            f"or 0 for a free one"
        )


@pytest.mark.parametrize("host", ["nonsense.invalid", "999.1.1.1", "two words", "a" * 70])
def test_a_host_without_an_address_is_said_not_to_resolve(host: str) -> None:
    assert f"the host name '{host}' can't be resolved; use an address of this machine" in refusal(host, 0)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])  # for documentation: no machine has them
def test_an_address_of_another_machine_is_said_not_to_be_this_ones(host: str) -> None:
    assert "the address isn't one of this machine; use one that is, or 0.0.0.0 for all of them" in refusal(host, 0)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_a_port_that_the_user_may_not_have_is_said_to_need_another(code: int) -> None:
    said = _explained(OSError(code, os.strerror(code)), 80)

    assert said == "this user may not listen on port 80; choose a port from 1024 up"


def test_any_other_error_is_reported_with_the_message_of_the_system() -> None:
    assert _explained(OSError(errno.ENETDOWN, "no matter"), 80) == os.strerror(errno.ENETDOWN)
