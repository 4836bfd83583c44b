"""What the page of a comparison shows, in a real browser: its steps, its quiz and its downloads."""

from __future__ import annotations

import csv
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from tests.dashboard.browsing import (
    IS_SEEN,
    SCHEMES,
    Scheme,
    change_scheme,
    check_with_axe,
    open_form,
    open_run,
    reset_tab,
    rows,
    shown_step,
)

BLOBS = "/?example=blobs&k=4&random_state=4&init=random&engines=scipy,sklearn,numba"
ALL_ENGINES = "/?example=blobs&k=4&random_state=4&engines=scipy,scipy-kmeans2,sklearn,sklearn-minibatch,numba"
LIT = ["tr.lit", ".flow li.lit", "th.lit", "pre .lit"]
# Which of the elements something lies over, once they are scrolled to.
COVERED = f"""(elements) => elements.filter((element) => {{
    element.scrollIntoViewIfNeeded();
    return !({IS_SEEN})(element);
}}).map((element) => element.outerHTML)"""
SIZES = [(1366, 650), (1280, 800), (1024, 768), (390, 844)]

TABLE = [
    ["1", "initialise", "[[5.5 3] [1 2]]", "–", "–", "–"],
    ["2", "assign to the nearest centroid", "[[5.5 3] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["3", "update to the mean of the assigned points", "[[10 2] [1 2]]", "–", "–", "–"],
    ["4", "assign", "[[10 2] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["5", "converged: nothing moved", "[[10 2] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["6", "the scikit-learn fit completes", "–", "–", "[[10 2] [1 2]]", "[1 1 1 0 0 0]"],
    ["7", "output", "final centroids", "[1 1 1 0 0 0]", "final centroids", "[1 1 1 0 0 0]"],
]


@pytest.fixture(scope="module")
def loaded_run(context: BrowserContext) -> Page:
    """A tab with the run of LINK, opened once for the tests that change no more than the shown step."""
    tab = context.new_page()
    open_run(tab)
    return tab


@pytest.fixture
def run(loaded_run: Page, no_trouble: None) -> Page:  # noqa: ARG001  (it checks at the end)
    """The run of LINK at its first step, with the form closed."""
    reset_tab(loaded_run)
    loaded_run.locator(".asking").evaluate("form => { form.open = false; }")
    loaded_run.get_by_role("button", name="First step").click()
    loaded_run.mouse.move(0, 0)
    loaded_run.evaluate("scrollTo(0, 0)")
    expect(shown_step(loaded_run)).to_contain_text("Step 1 of 7")
    return loaded_run


def test_the_table_shows_each_step_with_its_figures(run: Page) -> None:
    assert rows(run) == TABLE


def test_the_first_visit_plays_the_example_once_to_the_end(page: Page) -> None:
    page.goto("/")
    page.get_by_label("speed").select_option("fast")  # it goes on playing

    expect(shown_step(page)).to_contain_text("Step 7 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.goto("/sessions")
    page.goto("/")
    expect(shown_step(page)).to_contain_text("Step 1 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_nothing_plays_by_itself_with_reduced_motion(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")

    page.goto("/")

    expect(shown_step(page)).to_contain_text("Step 1 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_label("speed").select_option("fast")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(shown_step(page)).to_contain_text("Step 7 of 7")


def test_every_part_highlights_the_step_that_is_shown(run: Page) -> None:
    for _ in range(2):
        run.get_by_role("button", name="Step forward").click()

    expect(shown_step(run)).to_have_text("Step 3 of 7. SciPy: update to the mean of the assigned points")
    expect(run.locator("tr[aria-current] th")).to_have_text("3")
    expect(run.locator(".flow li[aria-current]")).to_contain_text("Update")
    expect(run.locator("th[data-column].lit")).to_have_text("after 3")
    expect(run.locator("pre .lit").filter(has_text="kmeans2(X, before, iter=1")).to_be_visible()
    expect(run.locator(".panel .state").first).to_contain_text("step 3 · inertia 79.75 · mean distance 3.10465")
    expect(run.locator(".panel .state").last).to_have_text("has not begun")
    expect(run.locator(".panel").first.locator(".regions polygon")).to_have_count(2)
    expect(run.locator(".panel").first.locator(".trails polyline")).to_have_count(1)
    expect(run.locator(".panel").last.locator(".points .unassigned")).to_have_count(6)


def test_the_slider_and_the_buttons_change_the_step(run: Page) -> None:
    run.get_by_role("slider", name="Step").fill("4")
    expect(shown_step(run)).to_contain_text("Step 4 of 7")

    run.get_by_role("button", name="Step back").click()
    expect(shown_step(run)).to_contain_text("Step 3 of 7")


def test_playing_is_paused_by_a_key_and_by_the_button(run: Page) -> None:
    run.get_by_role("button", name="Play", exact=True).click()
    expect(shown_step(run)).to_contain_text("Step 2 of 7")
    run.keyboard.press("ArrowRight")
    run.get_by_role("button", name="Play", exact=True).click()
    run.get_by_role("button", name="Pause").click()

    expect(run.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_a_run_is_followed_on_one_screen_without_scrolling(run: Page) -> None:
    run.set_viewport_size({"width": 1280, "height": 800})

    follow_on_one_screen(run)


def test_a_run_of_three_engines_is_followed_on_one_screen_without_scrolling(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    open_run(page, BLOBS)

    follow_on_one_screen(page)


def follow_on_one_screen(page: Page) -> None:
    for _ in rows(page):
        page.keyboard.press("ArrowRight")
        assert page.evaluate(f"(lit) => lit.filter(each => !({IS_SEEN})(document.querySelector(each)))", LIT) == []

    assert page.evaluate("scrollY") == 0
    for shown in (".panel .plot", ".controls"):
        for box in [element.bounding_box() for element in page.locator(shown).all()]:
            assert box is not None
            assert box["y"] + box["height"] <= 800
            assert box["height"] > 30


def test_a_point_under_the_pointer_shows_its_centroid(run: Page) -> None:
    run.keyboard.press("End")

    run.locator(".panel").first.locator(".points use").first.hover()

    reach = run.locator(".panel").first.locator(".reach")
    expect(reach).to_have_attribute("visibility", "visible")
    centroid = run.locator(".panel").first.locator(".centroids [data-c='1']").get_attribute("transform") or ""
    assert f"translate({reach.get_attribute('x2')} {reach.get_attribute('y2')})" in centroid


@pytest.mark.parametrize(
    ("keys", "expected"),
    [(["ArrowRight"], 2), (["End"], 7), (["End", "ArrowLeft"], 6), (["End", "Home"], 1)],
)
def test_keys_change_the_step(run: Page, keys: list[str], expected: int) -> None:
    for key in keys:
        run.keyboard.press(key)

    expect(shown_step(run)).to_contain_text(f"Step {expected} of 7")


def test_the_quiz_tells_right_from_wrong(run: Page) -> None:
    question = run.locator("fieldset.question").first

    question.get_by_role("button", name="[0 0 0 1 1 1]").click()
    expect(question.locator(".said")).to_contain_text("Not this one")
    question.get_by_role("button", name="Hint").click()
    expect(question.locator(".said")).not_to_contain_text("Not this one")
    question.get_by_role("button", name="[1 1 1 0 0 0]").click()

    expect(question.locator(".said")).to_contain_text("Right.")


def test_every_question_has_one_right_answer(run: Page) -> None:
    for question in run.locator("fieldset.question").all():
        right = 0
        for option in question.locator(".options button").all():
            option.click()
            expect(question.locator(".said")).not_to_have_text("")
            expect(option).to_have_class(re.compile("right|wrong"))
            right += "right" in (option.get_attribute("class") or "").split()
        assert right == 1


def test_key_moments_summary_and_transcript_are_of_the_run_that_is_shown(page: Page) -> None:
    open_run(page, "/?example=blobs&k=4&random_state=1&engines=numba,sklearn&init=k-means%2B%2B")

    expect(page.locator(".below details")).not_to_have_count(0)
    expect(page.locator("section").filter(has_text="In short")).to_contain_text("300 points in 2 columns, k = 4")
    expect(page.get_by_label("The transcript")).to_contain_text("Step 1. Shoal begins with 4 centroids")


def test_the_table_is_downloaded_as_csv(run: Page) -> None:
    with run.expect_download() as started:
        run.get_by_role("button", name="Table (CSV)").click()

    with started.value.path().open(newline="") as file:
        head, *lines = csv.reader(file)
    assert head == [
        "step",
        "action",
        "SciPy centroids",
        "SciPy labels",
        "scikit-learn centroids",
        "scikit-learn labels",
    ]
    assert lines == TABLE


def test_the_downloaded_report_needs_no_other_file(run: Page) -> None:
    with run.expect_download() as started:
        run.get_by_role("button", name="Report (HTML)").click()

    report = started.value.path().read_text()
    assert "the scikit-learn fit completes" in report
    assert "http://" not in report.replace("http://www.w3.org/2000/svg", "")


def test_a_plot_is_downloaded_as_svg(run: Page) -> None:
    with run.expect_download() as started:
        run.get_by_role("button", name="Plot of SciPy (SVG)").click()

    drawn = ET.fromstring(started.value.path().read_text())  # noqa: S314  (our own)
    marks = drawn.findall(".//{http://www.w3.org/2000/svg}g[@class='centroids']/{http://www.w3.org/2000/svg}use")
    assert len(marks) == 2
    assert "--surface: #ffffff" in (drawn.get("style") or "")


def test_a_plot_is_downloaded_as_png(run: Page) -> None:
    run.keyboard.press("End")

    with run.expect_download() as started:
        run.get_by_role("button", name="Plot of SciPy (PNG)").click()

    with Image.open(started.value.path()) as picture:
        assert picture.width == 1040
        shown = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    assert (shown == 255).all(axis=1).mean() > 0.1  # paper
    assert ((shown[:, 2] > 150) & (shown[:, 0] < 90)).any()  # and a mark of the first cluster, which is blue


def test_nothing_lies_over_the_controls_with_all_engines(page: Page) -> None:
    open_run(page, ALL_ENGINES)

    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.locator(".controls button, .controls input, .controls select, pre .lit").evaluate_all(COVERED) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width, height


def test_a_phone_shows_everything_without_scrolling_sideways(run: Page) -> None:
    run.set_viewport_size({"width": 390, "height": 844})
    assert run.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_violation_in_a_comparison(run: Page, scheme: Scheme) -> None:
    open_form(run)
    run.keyboard.press("ArrowRight")
    for question, answer in enumerate(("[1 1 1 0 0 0]", "step 4")):
        run.locator("fieldset.question").nth(question).get_by_role("button", name=answer).click()
    expect(run.locator(".q-btn.right").first).to_be_visible()
    expect(run.locator(".q-btn.wrong").first).to_be_visible()
    change_scheme(run, scheme)
    expect(run.locator("body.body--dark")).to_have_count(int(scheme == "dark"))

    check_with_axe(run)
