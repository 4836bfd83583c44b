"""The page of `shoal compare --report` in a browser: it plays, works without JavaScript, and is accessible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from shoal.testing import LocalServer
from tests.cli.cli_runner import run_here


@pytest.fixture(scope="module")
def report(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "given.csv").write_text("5.5,3\n1,2\n")
    outcome = run_here(
        "compare", "--init", folder / "given.csv", "--report", folder / "six.html", env={"SHOAL_SERVER": server.target}
    )
    assert outcome.exit_code == 0, outcome.stderr
    return folder / "six.html"


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Page]:
    """The page, which must fetch nothing else and log no errors."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: None if request.url == report.as_uri() else trouble.append(request.url))
    page.goto(report.as_uri())
    yield page
    page.close()
    assert trouble == []


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


def test_the_player_draws_the_same_as_the_static_report(browser: Browser, opened: Page, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(report.as_uri())

    for part in ("regions", "points", "trails", "centroids"):
        drawn = _marks(still, part)

        assert drawn
        assert _marks(opened, part) == drawn, part
    context.close()


def _marks(page: Page, part: str) -> list[tuple[str, dict[str, object], str]]:
    """The elements of a part of a drawing, with normalised attributes and numbers."""
    found = []
    for mark in page.locator(f".panel .{part} > *").all():
        written = ET.fromstring(re.sub(r' xmlns="[^"]*"', "", mark.evaluate("element => element.outerHTML")))  # noqa: S314  (our own)
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


def test_the_report_can_be_read_without_javascript(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(report.as_uri())

    expect(still.locator(".controls")).to_be_hidden()
    expect(still.locator(".panel .state")).to_have_text(["as it ended", "as it ended"])
    expect(still.locator(".panel .points .c1")).to_have_count(6)
    still.get_by_text("The answer to question 2").click()
    expect(still.get_by_text(": step 3.")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_the_report(browser: Browser, report: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]  # one of its names
    page.goto(report.as_uri())

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_the_report_fits_the_width_of_a_phone(browser: Browser, report: Path) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(report.as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.close()
