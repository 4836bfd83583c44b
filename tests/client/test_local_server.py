from __future__ import annotations

import importlib.util
import subprocess
import sys

import psutil
import pytest

import shoal
from shoal.testing import LocalServer
from tests.client.drivers import PATIENCE
from tests.ports import spare_port

PARENT = """
import sys, shoal.testing
server = shoal.testing.LocalServer().start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def test_local_server_restarts_on_the_same_port() -> None:
    with LocalServer(port=spare_port(), max_sessions=1) as server, shoal.connect(server.target) as client:
        client.create_session("one", 2)
        with pytest.raises(shoal.LimitExceededError):
            client.create_session("two", 2)
        before = (server.target, server.pid)

        server.stop()
        with pytest.raises(shoal.UnavailableError):
            client.session("one").describe()
        server.start()

        assert (server.target == before[0], server.pid == before[1]) == (True, False)
        assert list(client.list_sessions()) == []
        assert "serving" in server.log_path.read_text()

    assert not server.log_path.exists()
    assert not psutil.pid_exists(before[1])


def test_local_server_with_an_unknown_setting_raises_with_the_end_of_the_log() -> None:
    with pytest.raises(shoal.ServerStartError, match="no-such-setting"):
        LocalServer(no_such_setting=1).start()


def test_local_server_on_a_taken_port_raises(server: LocalServer) -> None:
    with pytest.raises(shoal.ServerStartError) as caught:
        LocalServer(port=server.port).start()

    assert str(server.port) in caught.value.message


def test_local_server_ends_with_the_process_that_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    server.wait(PATIENCE)  # raises if it is still there


def test_local_server_without_the_server_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(shoal.ServerStartError, match=r"pip install '\.\[server\]'"):
        LocalServer().start()


def test_local_server_has_no_target_before_start() -> None:
    with pytest.raises(shoal.ServerStartError, match="start"):
        _ = LocalServer().target
