"""The dashboard in a process of its own, a real browser, and what tests do on the page of a comparison."""

from __future__ import annotations

import os
import shutil
from types import TracebackType
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect

from shoal.testing import LocalDashboard

BROWSER_FLAGS = ["--no-sandbox", "--disable-background-networking"]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
DESKTOP: ViewportSize = {"width": 1400, "height": 900}
LINK = "/?example=six-points&k=2&init=5.5,3;1,2&engines=scipy,sklearn&random_state=0"
# Whether the middle of an element is where one sees it, or something within it is.
IS_SEEN = """(element) => {
    const { left, top, right, bottom } = element.getBoundingClientRect();
    const outer = element.closest(".scroll")?.getBoundingClientRect() ?? { left: 0, right: innerWidth };
    const across = (Math.max(left, outer.left) + Math.min(right, outer.right)) / 2;
    const found = document.elementFromPoint(across, (top + bottom) / 2);
    return found !== null && (element.contains(found) || found.contains(element));
}"""


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


def reset_tab(page: Page) -> None:
    """Bring a tab to the front, and undo what a test has changed of it: its size, its media, its permissions."""
    page.bring_to_front()  # a hidden tab draws once a second
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    page.context.clear_permissions()
    page.mouse.move(0, 0)


def change_scheme(page: Page, scheme: Scheme) -> None:
    """Change the preferred colours of the page's visitor, and wait until all colours have changed."""
    page.emulate_media(color_scheme=scheme)
    # Not `evaluate`, which fails when NiceGUI reloads the page meanwhile, as it does after a lost connection.
    page.wait_for_function("() => document.getAnimations().every(each => each.playState !== 'running')")


def check_with_axe(page: Page) -> None:
    """Fail if axe finds a violation on the page."""
    # NiceGUI's bar of a request under way, as axe itself makes some.
    expect(page.locator(".q-loading-bar[role=progressbar]")).to_have_count(0)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def open_run(page: Page, link: str = LINK) -> None:
    """Open a link to a comparison, and wait for its run."""
    page.goto(link)
    expect(shown_step(page)).to_contain_text("Step 1 of")


def rows(page: Page) -> list[list[str]]:
    """Return the texts of the table of steps."""
    texts: list[list[str]] = page.locator("tr[data-step]").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('th, td')].map(cell => cell.innerText))"
    )
    return texts


def shown_step(page: Page) -> Locator:
    """Return the line that says which step is shown; it is there once the page is ready."""
    return page.locator(".stage.ready .controls output")


def open_form(page: Page) -> None:
    """Open the form."""
    page.locator(".asking summary").click()
