"""`shoal demo`: the real thing, with fewer pixels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import shoal
from shoal.cli.failures import FAILED, UNREACHABLE, USAGE
from shoal.testing import LocalServer
from tests.cli.cli_runner import Outcome, run_apart, run_here
from tests.cli.html_page import page

ENGINES = ["numba", "sklearn", "scipy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made" / "by it"


@pytest.fixture(scope="module")
def outcome(folder: Path) -> Outcome:
    """The command with a server of its own."""
    return run_apart("--output", "json", "demo", "--step", 8, "--output-dir", folder)


@pytest.fixture(scope="module")
def document(outcome: Outcome) -> Any:
    assert outcome.exit_code == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_demo_prints_the_path_and_the_url_of_the_report(outcome: Outcome, document: Any, folder: Path) -> None:
    *_, where, how = outcome.stderr.splitlines()

    assert Path(document["report"]) == folder / "report.html"
    assert where == f"the report: {folder / 'report.html'}"
    assert how == f"open it in a browser: {(folder / 'report.html').as_uri()}"


def test_demo_prints_a_line_for_each_engine_and_pass(outcome: Outcome, document: Any) -> None:
    assert document["fits"]
    for engine in ENGINES:
        lines = [line for line in outcome.stderr.splitlines() if line.split()[:1] == [engine]]
        assert len(lines) == 2
        assert all("rows/s" in line and "version" in line and "inertia per point" in line for line in lines)


def test_the_engines_agree_and_come_near_the_offline_fit(document: Any) -> None:
    *engines, offline = document["fits"]

    assert [fit["fit"] for fit in engines] == ENGINES
    assert offline["ratio_to_offline"] == 1
    for fit in engines:
        assert fit["largest_disagreement"] < 1e-4 * 255
        assert fit["ratio_to_offline"] < 1.5


def test_the_demo_report_has_all_engines_and_the_offline_fit(document: Any, folder: Path) -> None:
    report = page(Path(document["report"]))

    assert [row[0] for row in report.rows[1:]] == [*ENGINES, "offline KMeans"]
    with Image.open(folder / "numba.png") as image:
        assert image.size == (80, 54)


def test_the_demo_uses_a_running_server_and_deletes_its_sessions(
    server: LocalServer, client: shoal.Client, tmp_path: Path
) -> None:
    outcome = run_here("demo", "--server", server.target, "--step", 16, "--output-dir", tmp_path)

    assert outcome.exit_code == 0
    assert [line.split()[0] for line in outcome.stdout.splitlines()] == ["fit", *ENGINES, "offline"]
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
    assert outcome.stderr == f"error: the package '{package}' is missing; the demo needs: pip install 'shoal[demo]'\n"
    assert not (tmp_path / "report").exists()


def test_the_demo_needs_no_server_packages_with_a_running_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)

    outcome = run_here("demo", "--server", "localhost:1", "--timeout", 1, "--output-dir", tmp_path)

    assert outcome.exit_code == UNREACHABLE
