"""How `shoal demo` ends: by itself, or when somebody who looks at its page has seen enough."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import shoal
from shoal.testing import LocalServer
from tests.cli.cli_runner import run_here, run_on_terminal
from tests.cli.demo_pages import PATIENCE, STAYS, WATCH, names
from tests.interrupts import interruptible

QUICKLY = ("--step", 16)
STAY = """
from shoal_presentation.demo.page import stay
stay("localhost:1", lambda text: print(text, flush=True))
"""


def test_the_demo_stays_on_a_terminal_until_enter_even_if_a_session_is_deleted_meanwhile(
    server: LocalServer, tmp_path: Path
) -> None:
    def delete_a_session() -> bytes:
        with shoal.connect(server.target) as client:
            client.session(next(each.name for each in client.list_sessions() if each.name.startswith("demo-"))).delete()
        return b"\n"

    lines = run_on_terminal(
        *("demo", "--server", server.target, *QUICKLY, "--output-dir", tmp_path),
        columns=120,
        env={},
        question=b"Enter or Ctrl-C",
        answer=delete_a_session,
    )

    beginnings = [line for line in lines if line.startswith((WATCH, STAYS, "open it in a browser"))]
    assert [line.split()[0] for line in beginnings] == ["watch", "open", "the"]
    assert not "".join(lines[lines.index(beginnings[-1]) + 1 :]).strip()  # no error at the end
    assert not [name for name in names(server.target) if name.startswith("demo-")]


def test_the_demo_ends_by_itself_on_a_terminal_with_no_stay(server: LocalServer, tmp_path: Path) -> None:
    lines = run_on_terminal(
        *("demo", "--server", server.target, "--no-stay", *QUICKLY, "--output-dir", tmp_path), columns=120, env={}
    )

    assert any(line.startswith(WATCH) for line in lines)
    assert not any(line.startswith(STAYS) for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_stays_ends_without_an_error_on(number: signal.Signals) -> None:
    with subprocess.Popen(
        interruptible([sys.executable, "-c", STAY]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as staying:
        assert staying.stdout is not None
        assert staying.stdout.readline().startswith(f"{STAYS}localhost:1 stay until you press Ctrl-C")
        staying.send_signal(number)

        assert staying.wait(PATIENCE) == 0


def test_without_nicegui_the_demo_says_how_to_get_the_page_and_goes_on(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)

    outcome = run_here("demo", "--server", server.target, "--stay", *QUICKLY, "--output-dir", tmp_path)

    assert outcome.exit_code == 0
    assert "there is no page to watch" in outcome.stderr
    assert "pip install '.[dashboard]'" in outcome.stderr
    assert (tmp_path / "report.html").exists()
