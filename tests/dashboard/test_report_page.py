"""The page of `shoal compare --report` in a browser: it plays, works without JavaScript, and is accessible."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Browser, Page, expect

from shoal.testing import LocalServer
from tests.cli.cli_runner import run_here
from tests.dashboard.browsing import SCHEMES, Scheme, change_scheme, check_with_axe


@pytest.fixture(scope="module")
def report(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "given.csv").write_text("5.5,3\n1,2\n")
    outcome = run_here(
        "compare", "--init", folder / "given.csv", "--report", folder / "six.html", env={"SHOAL_SERVER": server.target}
    )
    assert outcome.exit_code == 0, outcome.stderr
    return folder / "six.html"


@pytest.fixture(scope="module")
def tab(browser: Browser, report: Path, trouble: list[str]) -> Page:
    """A tab that may fetch nothing but the page, whose scripts must log nothing."""
    tab = browser.new_page()
    tab.on("console", lambda message: trouble.append(message.text))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda request: None if request.url == report.as_uri() else trouble.append(request.url))
    return tab


@pytest.fixture
def opened(tab: Page, report: Path, no_trouble: None) -> Page:  # noqa: ARG001  (it checks at the end)
    """The page, just opened."""
    tab.bring_to_front()
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.emulate_media(color_scheme="light")
    tab.goto(report.as_uri())
    return tab


@pytest.fixture(scope="module")
def still_tab(browser: Browser) -> Page:
    return browser.new_context(java_script_enabled=False).new_page()


@pytest.fixture
def still(still_tab: Page, report: Path) -> Page:
    """The page, just opened in a browser without JavaScript."""
    still_tab.bring_to_front()
    still_tab.goto(report.as_uri())
    return still_tab


def test_the_report_opens_with_the_last_step(opened: Page) -> None:
    expect(opened.get_by_role("status")).to_have_text("Step 7 of 7. output: the final centroids and labels")
    expect(opened.locator(".panel .state")).to_have_text([re.compile("^step 5 · inertia 16 "), re.compile("^step 6 ")])


def test_buttons_and_keys_of_the_report_change_the_step(opened: Page) -> None:
    opened.get_by_role("button", name="First step").click()
    expect(opened.get_by_role("status")).to_have_text("Step 1 of 7. SciPy: initialise")
    expect(opened.locator(".panel").nth(0).locator(".points .unassigned")).to_have_count(6)

    opened.keyboard.press("ArrowRight")
    expect(opened.locator(".panel").nth(0).locator(".points .c1")).to_have_count(3)
    opened.keyboard.press("ArrowRight")

    expect(opened.locator(".flow .lit b")).to_have_text(["Update"])
    expect(opened.locator("tr.lit th")).to_have_text(["3"])
    assert "kmeans2" in "".join(opened.locator("pre .lit").all_text_contents())
    expect(opened.locator(".panel .state")).to_have_text([re.compile("^step 3 "), "has not begun"])
    opened.keyboard.press("End")
    expect(opened.locator("tr.lit th")).to_have_text(["7"])


def test_the_player_draws_the_same_as_the_static_report(opened: Page, still: Page) -> None:
    for part in ("regions", "points", "trails", "centroids"):
        drawn = _marks(still, part)

        assert drawn
        assert _marks(opened, part) == drawn, part


def _marks(page: Page, part: str) -> list[tuple[str, dict[str, object], str]]:
    """The elements of a part of a drawing, with normalised attributes and numbers."""
    found = []
    for mark in page.locator(f".panel .{part} > *").evaluate_all("all => all.map(each => each.outerHTML)"):
        written = ET.fromstring(re.sub(r' xmlns="[^"]*"', "", mark))  # noqa: S314  (our own)
        attributes = {name: _numbers(value) for name, value in written.attrib.items()}
        found.append((written.tag, attributes, written.text or ""))
    return found


def _numbers(value: str) -> object:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", value)] or value


def test_the_report_plays_to_the_end_and_stops(opened: Page) -> None:
    opened.get_by_label("speed").select_option("fast")

    opened.get_by_role("button", name="Play", exact=True).click()

    expect(opened.get_by_role("button", name="Pause")).to_be_visible()
    expect(opened.locator("tr.lit th")).to_have_text(["7"], timeout=20_000)
    expect(opened.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_the_report_can_be_read_without_javascript(still: Page) -> None:
    expect(still.locator(".controls")).to_be_hidden()
    expect(still.locator(".panel .state")).to_have_text(["as it ended", "as it ended"])
    expect(still.locator(".panel .points .c1")).to_have_count(6)
    still.get_by_text("The answer to question 2").click()
    expect(still.get_by_text(": step 3.")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_violation_in_the_report(opened: Page, scheme: Scheme) -> None:
    change_scheme(opened, scheme)

    check_with_axe(opened)


def test_the_report_fits_the_width_of_a_phone(opened: Page) -> None:
    opened.set_viewport_size({"width": 360, "height": 740})

    assert opened.evaluate("document.documentElement.scrollWidth") == 360
