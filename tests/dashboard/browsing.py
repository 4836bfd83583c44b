"""The dashboard in a process of its own, and a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from http import HTTPStatus
from http.client import HTTPConnection
from types import TracebackType
from typing import Self

import pytest

PATIENCE = 60.0  # seconds after which the dashboard won't start any more
BROWSER_FLAGS = ["--no-sandbox", "--disable-background-networking"]


class Dashboard:
    """Runs `shoal-dashboard` on a free port."""

    def __init__(self, server: str) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "shoal_dashboard", "--server", server, "--port", str(port)]

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdout=self._log,
            stderr=self._log,
            # NiceGUI does other things where it thinks that it is being tested from inside.
            env={name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, "the dashboard ended"
            assert time.monotonic() < deadline, "the dashboard doesn't start"
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        said = self.log()
        self._log.close()
        assert "Traceback" not in said, said

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _answers(self) -> bool:
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == HTTPStatus.OK
        except ConnectionError:
            return False
        finally:
            connection.close()


def chromium() -> str:
    """Return the browser's path; without one the tests are skipped, but on CI they fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None and os.environ.get("CI"):
        pytest.fail("there is no Chromium for the browser's tests")
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
