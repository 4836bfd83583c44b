"""`shoal demo`: the real thing, with fewer pixels."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

import shoal
from shoal.cli.failures import FAILED, UNREACHABLE, USAGE
from shoal.testing import LocalServer
from shoal_presentation.demo.page import PORT
from tests.cli.cli_runner import run_here, running
from tests.cli.demo_pages import STAYS, WATCH, names, noted, said, status
from tests.cli.html_page import page

FITS = ["partial_fit", "Shoal", "offline KMeans"]


@dataclass(frozen=True)
class StayingDemo:
    """A demo with a server of its own that stayed until Ctrl-C, when its session had been deleted."""

    stdout: str
    stderr: list[str]  # lines until it stayed
    rest: str  # of standard error, after Ctrl-C
    exit_code: int
    url: str  # of the page
    statuses: tuple[int, int]  # of the page, before the streams and after them
    sessions: list[str]  # names without their endings
    children: list[psutil.Process]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made" / "by it"


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int | None]:
    """Take the port that the demo prefers. None: another process has it, and may give it up."""
    with ExitStack() as stack:
        port = None
        with suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", PORT)))
            port = PORT
        yield port


@pytest.fixture(scope="module")
def demo(folder: Path, taken_port: int | None) -> StayingDemo:  # noqa: ARG001  (it's taken while the demo runs)
    with running("--output", "json", "demo", "--stay", "--step", 8, "--output-dir", folder) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        stderr: list[str] = []
        lines = noted(process.stderr, stderr)
        url = said(lines, WATCH)
        during = status(url)
        target = said(lines, STAYS).partition(" ")[0]
        children = psutil.Process(process.pid).children()
        after = status(url)
        sessions = names(target)
        with shoal.connect(target) as client:  # as somebody may on the page
            client.session(next(each.name for each in client.list_sessions())).delete()
        process.send_signal(signal.SIGINT)
        stdout, rest = process.stdout.read(), process.stderr.read()
    return StayingDemo(stdout, stderr, rest, process.returncode, url, (during, after), sessions, children)


@pytest.fixture(scope="module")
def document(demo: StayingDemo) -> Any:
    assert demo.exit_code == 0, demo.stderr
    return json.loads(demo.stdout)


def test_the_page_and_the_session_are_there_until_ctrl_c(demo: StayingDemo, taken_port: int | None) -> None:
    assert demo.statuses == (HTTPStatus.OK, HTTPStatus.OK)
    assert demo.url.endswith("/sessions")
    assert f":{taken_port}/" not in demo.url
    assert demo.sessions == ["demo-photograph"]
    assert len(demo.children) == 2  # server and dashboard
    assert not any(child.is_running() for child in demo.children)
    assert (demo.exit_code, demo.rest) == (0, "")


def test_demo_prints_the_path_and_the_url_of_the_report(demo: StayingDemo, document: Any, folder: Path) -> None:
    *_, where, how, _ = demo.stderr  # the last says that the page stays

    assert Path(document["report"]) == folder / "report.html"
    assert where == f"the report: {folder / 'report.html'}"
    assert how == f"open it in a browser: {(folder / 'report.html').as_uri()}"


def test_demo_prints_a_line_for_each_stream(demo: StayingDemo, document: Any) -> None:
    assert document["fits"]
    for name in ("partial_fit", "Shoal"):
        lines = [line for line in demo.stderr if line.split()[:1] == [name]]
        assert len(lines) == 1
        assert "rows/s" in lines[0]
        assert "version" in lines[0]


def test_one_pass_of_shoal_ends_near_the_offline_fit_and_below_partial_fit(document: Any) -> None:
    partial_fit, session, offline = document["fits"]

    assert [fit["fit"] for fit in document["fits"]] == FITS
    assert offline["ratio_to_offline"] == 1
    assert session["ratio_to_offline"] < 1.1
    assert session["inertia"] < partial_fit["inertia"]


def test_the_demo_report_has_all_fits(document: Any, folder: Path) -> None:
    report = page(Path(document["report"]))

    assert [row[0] for row in report.rows[1:]] == FITS
    with Image.open(folder / "shoal.png") as image:
        assert image.size == (80, 54)


def test_the_demo_uses_a_running_server_and_deletes_its_session(
    server: LocalServer, client: shoal.Client, tmp_path: Path
) -> None:
    outcome = run_here("demo", "--server", server.target, "--step", 16, "--output-dir", tmp_path)

    assert outcome.exit_code == 0
    assert [line.split()[0] for line in outcome.stdout.splitlines()] == ["fit", "partial_fit", "Shoal", "offline"]
    assert "starting a server" not in outcome.stderr
    assert not [session.name for session in client.list_sessions() if session.name.startswith("demo-")]


def test_demo_reports_an_output_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert run_here("demo", "--output-dir", tmp_path / "file").exit_code == USAGE
    assert run_here("demo", "--output-dir", tmp_path / "file" / "folder").exit_code == FAILED


@pytest.mark.parametrize("package", ["matplotlib", "numba"])
def test_a_missing_package_gets_advice(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    outcome = run_here("demo", "--output-dir", tmp_path / "report")

    assert outcome.exit_code == FAILED
    assert outcome.stderr == (
        f"error: the package '{package}' is missing; the demo needs, in a checkout of Shoal: pip install '.[demo]'\n"
    )
    assert not (tmp_path / "report").exists()


def test_the_demo_needs_no_server_packages_with_a_running_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)

    outcome = run_here("demo", "--server", "localhost:1", "--timeout", 1, "--output-dir", tmp_path)

    assert outcome.exit_code == UNREACHABLE
