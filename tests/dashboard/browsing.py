"""The dashboard in a process of its own, and a real browser."""

from __future__ import annotations

import os
import shutil
from types import TracebackType

import pytest

from shoal.testing import LocalDashboard

BROWSER_FLAGS = ["--no-sandbox", "--disable-background-networking"]


class Dashboard(LocalDashboard):
    """A dashboard whose log must have no errors."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        said = self.log_path.read_text(errors="replace")
        super().__exit__(kind, error, traceback)
        assert "Traceback" not in said, said


def chromium() -> str:
    """Return the browser's path; without one the tests are skipped, but on CI they fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None and os.environ.get("CI"):
        pytest.fail("there is no Chromium for the browser's tests")
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    return path
