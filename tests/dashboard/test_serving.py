"""`shoal-dashboard` as a program: its URL, its end, and its errors."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from http.client import HTTPConnection
from importlib.metadata import version

import psutil
import pytest
from starlette.types import Message, Receive, Scope, Send

import shoal
from shoal.testing import LocalDashboard
from shoal_dashboard.disconnects import ignore_disconnects
from tests.dashboard.browsing import Dashboard
from tests.interrupts import interruptible
from tests.ports import spare_port

PATIENCE = 60.0  # seconds after which what is waited for won't come any more
NOBODY = "127.0.0.1:1"  # a server that isn't there

PARENT = f"""
import sys, shoal.testing
dashboard = shoal.testing.LocalDashboard({NOBODY!r}).start()
print(dashboard.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        interruptible([sys.executable, "-m", "shoal_dashboard", *arguments]),
        env={name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        try:
            yield started
        except BaseException:
            started.kill()
            raise


def answer(url: str) -> int:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
    try:
        connection.request("GET", "/sessions")
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_dashboard_answers_as_soon_as_its_url_is_printed_and_after_a_restart_at_the_same() -> None:
    with Dashboard(NOBODY, port=spare_port()) as dashboard:
        url = dashboard.url
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert answer(url) == HTTPStatus.OK
        assert f"the dashboard: {url}" in dashboard.log_path.read_text()

        dashboard.stop()
        dashboard.start()

        assert dashboard.url == url
        assert answer(url) == HTTPStatus.OK


def test_the_url_of_a_dashboard_on_all_addresses_opens_in_a_browser_until_ctrl_c() -> None:
    with program("--port", "0", "--host", "0.0.0.0") as running:  # noqa: S104  (for the length of a test)
        assert running.stdout is not None
        url = running.stdout.readline().removeprefix("the dashboard: ").strip()

        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert answer(url) == HTTPStatus.OK
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()

    assert (running.returncode, rest) == (0, "")


def test_the_dashboard_ends_with_its_standard_input() -> None:
    with program("--port", "0", "--until-eof") as running:
        assert running.stdin is not None
        running.stdin.close()

        assert running.wait(PATIENCE) == 0


def test_the_dashboard_ends_with_the_process_that_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        dashboard = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    dashboard.wait(PATIENCE)  # raises if it is still there


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (
            "--host no.such.host.invalid",
            1,
            "can't listen on no.such.host.invalid:8080: this machine has no such address",
        ),
        ("--host 203.0.113.1", 1, "can't listen on 203.0.113.1:8080: this machine has no such address"),
        ("--ready-fd 999", 2, "999 is no open file descriptor of this process"),
        ("--ready-fd -1", 2, "-1 is no open file descriptor of this process"),
        ("--server nowhere", 2, "target is 'nowhere'; use HOST:PORT, such as localhost:50051"),
    ],
)
def test_invalid_arguments_of_the_dashboard_are_reported(arguments: str, exit_code: int, says: str) -> None:
    with program(*arguments.split()) as running:
        assert running.stdout is not None
        said = running.stdout.read()

    assert running.returncode == exit_code
    assert says in re.sub(r"[\s│]+", " ", said)
    assert "Traceback" not in said


def test_a_port_in_use_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with program("--port", str(port)) as running:
            assert running.stdout is not None
            said = running.stdout.read()

        assert running.returncode == 1
        assert said == f"error: 127.0.0.1:{port} is in use: choose another port with --port, or 0 for a free one\n"
        with pytest.raises(shoal.ServerStartError, match=f"127.0.0.1:{port} is in use"):
            LocalDashboard(NOBODY, port).start()


def test_a_missing_nicegui_is_reported_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(shoal.ServerStartError, match=r"pip install '\.\[dashboard\]'"):
        LocalDashboard(NOBODY).start()


def test_a_dashboard_that_was_not_started_has_no_url() -> None:
    with pytest.raises(shoal.ServerStartError, match="start"):
        _ = LocalDashboard(NOBODY).url


@pytest.mark.parametrize("kind", ["http.disconnect", "http.request"])
async def test_an_error_is_raised_unless_the_visitor_has_left(kind: str) -> None:
    async def app(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        raise RuntimeError("No response returned.")

    async def receive() -> Message:
        return {"type": kind}

    async def send(_: Message) -> None:
        raise AssertionError("nothing is sent")

    with nullcontext() if kind == "http.disconnect" else pytest.raises(RuntimeError):
        await ignore_disconnects(app)({"type": "http"}, receive, send)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "x"], "'--port': it must be a whole number"),
        (["--port", "70000"], "'--port': it must be 65535 or less"),
    ],
)
def test_an_invalid_option_of_the_dashboard_is_reported_in_plain_words(arguments: list[str], says: str) -> None:
    with program(*arguments) as running:
        output, _ = running.communicate(timeout=PATIENCE)

    assert running.returncode == 2
    assert says in output


def test_the_dashboard_prints_its_version() -> None:
    with program("--version") as running:
        output, _ = running.communicate(timeout=PATIENCE)

    assert running.returncode == 0
    assert output == f"shoal-dashboard {version('shoal')}\n"
