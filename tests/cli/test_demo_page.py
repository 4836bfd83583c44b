"""`shoal demo` with the dashboard beside it: it is there during the race, and stays if somebody looks."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

import shoal
from shoal.testing import LocalServer
from shoal_presentation.demo.page import PORT
from tests.cli.cli_runner import run_here, run_on_terminal, running

PATIENCE = 60.0  # seconds after which what is waited for won't come any more
QUICKLY = ("--step", 16)
WATCH = "watch it live: "
STAYS = "the page and the sessions on "


@pytest.fixture
def taken_port() -> Iterator[int | None]:
    """Take the port that the demo prefers. None: another process has it, and may give it up."""
    with ExitStack() as stack:
        port = None
        with suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", PORT)))
            port = PORT
        yield port


def said(lines: Iterator[str], beginning: str) -> str:
    """Return the rest of the first line that begins so."""
    return next(line for line in lines if line.startswith(beginning)).removeprefix(beginning).strip()


def status(url: str) -> int:
    host, _, path = url.removeprefix("http://").partition("/")
    with closing(HTTPConnection(host, timeout=PATIENCE)) as connection:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status


def names(target: str) -> list[str]:
    with shoal.connect(target) as client:
        return sorted(session.name.rpartition("-")[0] for session in client.list_sessions())


def test_the_page_is_there_during_the_race_and_all_stays_until_ctrl_c(taken_port: int | None, tmp_path: Path) -> None:
    with running("demo", "--stay", *QUICKLY, "--output-dir", tmp_path) as demo:
        assert demo.stderr is not None
        lines = iter(demo.stderr)
        url = said(lines, WATCH)
        during = status(url)
        target = said(lines, STAYS).partition(" ")[0]
        children = psutil.Process(demo.pid).children()
        after = status(url)
        sessions = names(target)
        demo.send_signal(signal.SIGINT)
        rest = demo.stderr.read()

    assert (during, after) == (HTTPStatus.OK, HTTPStatus.OK)
    assert url.endswith("/sessions")
    assert f":{taken_port}/" not in url
    assert sessions == ["demo-numba", "demo-scipy", "demo-sklearn"]
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
    assert (demo.returncode, rest) == (0, "")


def test_the_demo_stays_on_a_terminal_until_enter(server: LocalServer, tmp_path: Path) -> None:
    lines = run_on_terminal(
        *("demo", "--server", server.target, *QUICKLY, "--output-dir", tmp_path),
        columns=120,
        env={},
        types=b"\n",
        after=b"Enter or Ctrl-C",
    )

    beginnings = [line for line in lines if line.startswith((WATCH, STAYS, "open it in a browser"))]
    assert [line.split()[0] for line in beginnings] == ["watch", "open", "the"]
    assert not [name for name in names(server.target) if name.startswith("demo-")]


def test_the_demo_ends_by_itself_on_a_terminal_with_no_stay(server: LocalServer, tmp_path: Path) -> None:
    lines = run_on_terminal(
        *("demo", "--server", server.target, "--no-stay", *QUICKLY, "--output-dir", tmp_path), columns=120, env={}
    )

    assert any(line.startswith(WATCH) for line in lines)
    assert not any(line.startswith(STAYS) for line in lines)


def test_the_demo_ends_well_when_a_session_was_deleted_on_its_page(server: LocalServer, tmp_path: Path) -> None:
    with running("demo", "--server", server.target, "--stay", *QUICKLY, "--output-dir", tmp_path) as demo:
        assert demo.stderr is not None
        said(iter(demo.stderr), STAYS)
        with shoal.connect(server.target) as client:
            client.session(next(each.name for each in client.list_sessions() if each.name.startswith("demo-"))).delete()
        demo.send_signal(signal.SIGTERM)
        rest = demo.stderr.read()

    assert (demo.returncode, rest) == (0, "")
    assert not [name for name in names(server.target) if name.startswith("demo-")]


def test_without_nicegui_the_demo_says_how_to_get_the_page_and_goes_on(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)

    outcome = run_here("demo", "--server", server.target, "--stay", *QUICKLY, "--output-dir", tmp_path)

    assert outcome.exit_code == 0
    assert "there is no page to watch" in outcome.stderr
    assert "pip install 'shoal[dashboard]'" in outcome.stderr
    assert (tmp_path / "report.html").exists()
