"""The page of `shoal compare --report` in a browser: it plays, it can be read without a script, by everyone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from shoal.testing import LocalServer
from tests.cli.commanding import run_here


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
    """The page, which must ask for nothing else and complain of nothing."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: None if request.url == report.as_uri() else trouble.append(request.url))
    page.goto(report.as_uri())
    yield page
    page.close()
    assert trouble == []


def _trail(page: Page, place: int) -> str | None:
    return page.locator(".panel").nth(0).locator("polyline").nth(place).get_attribute("points")


def test_it_opens_with_the_last_step(opened: Page) -> None:
    expect(opened.get_by_role("status")).to_have_text("Step 6 of 6. scikit-learn: the scikit-learn fit completes")
    expect(opened.locator(".panel .state")).to_have_text(["step 5", "step 6"])


def test_buttons_and_keys_lead_through_the_steps(opened: Page) -> None:
    opened.get_by_role("button", name="First").click()
    expect(opened.get_by_role("status")).to_have_text("Step 1 of 6. SciPy: initialise")
    expect(opened.locator(".panel").nth(0).locator(".points .unassigned")).to_have_count(6)

    opened.keyboard.press("ArrowRight")
    expect(opened.locator(".panel").nth(0).locator(".points .c1")).to_have_count(3)
    opened.keyboard.press("ArrowRight")

    expect(opened.locator(".flow .now b")).to_have_text(["Update"])
    expect(opened.locator("tr.now th")).to_have_text(["3"])
    assert "kmeans2" in "".join(opened.locator("pre .now").all_text_contents())
    expect(opened.locator(".panel .state")).to_have_text(["step 3", "not begun"])
    opened.keyboard.press("End")
    expect(opened.locator("tr.now th")).to_have_text(["6"])


def test_a_trail_is_as_it_is_drawn_without_a_script(browser: Browser, opened: Page, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(report.as_uri())

    drawn = still.locator(".panel").nth(0).locator("polyline").nth(0).get_attribute("points")

    assert drawn is not None
    first, last = drawn.split()
    played = (_trail(opened, 0) or "").split()
    assert _numbers(played[0]) == _numbers(first)
    assert _numbers(played[-1]) == _numbers(last)
    context.close()


def _numbers(place: str) -> list[float]:
    return [float(number) for number in place.split(",")]


def test_it_plays_to_the_end_and_stops(opened: Page) -> None:
    opened.get_by_label("a step every").select_option("0.5")

    opened.get_by_role("button", name="Play").click()

    expect(opened.get_by_role("button", name="Pause")).to_be_visible()
    expect(opened.locator("tr.now th")).to_have_text(["6"], timeout=20_000)
    expect(opened.get_by_role("button", name="Play")).to_be_visible()


def test_without_a_script_everything_can_be_read(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(report.as_uri())

    expect(still.locator("#controls")).to_be_hidden()
    expect(still.locator(".panel .state")).to_have_text(["as it ended", "as it ended"])
    expect(still.locator(".panel .points .c1")).to_have_count(6)
    still.get_by_text("The answer to question 2").click()
    expect(still.get_by_text(": step 3.")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(browser: Browser, report: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]  # one of its names
    page.goto(report.as_uri())

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_nothing_is_wider_than_a_phone(browser: Browser, report: Path) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(report.as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.close()
