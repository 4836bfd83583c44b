"""What the page of a comparison shows, in a real browser: its steps, its quiz and its downloads."""

from __future__ import annotations

import csv
import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from tests.dashboard.browsing import IS_SEEN, LINK, open_form, open_run, rows, shown_step

TABLE = [
    ["1", "initialise", "[[5.5 3] [1 2]]", "–", "–", "–"],
    ["2", "assign to the nearest centroid", "[[5.5 3] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["3", "update to the mean of the assigned points", "[[10 2] [1 2]]", "–", "–", "–"],
    ["4", "assign", "[[10 2] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["5", "converged: nothing moved", "[[10 2] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["6", "the scikit-learn fit completes", "–", "–", "[[10 2] [1 2]]", "[1 1 1 0 0 0]"],
    ["7", "output", "final centroids", "[1 1 1 0 0 0]", "final centroids", "[1 1 1 0 0 0]"],
]


def test_the_table_is_read_from_the_page_figure_for_figure(page: Page) -> None:
    open_run(page)

    assert rows(page) == TABLE


def test_the_first_visit_plays_the_example_once_to_the_end(page: Page) -> None:
    page.goto("/")

    expect(shown_step(page)).to_contain_text("Step 7 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.goto("/sessions")
    page.goto("/")
    expect(shown_step(page)).to_contain_text("Step 1 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_nothing_plays_by_itself_for_those_who_want_no_motion(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")

    page.goto("/")

    expect(shown_step(page)).to_contain_text("Step 1 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_label("speed").select_option("fast")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(shown_step(page)).to_contain_text("Step 7 of 7")


def test_everything_lights_for_the_same_step(page: Page) -> None:
    open_run(page)

    for _ in range(2):
        page.get_by_role("button", name="Step forward").click()

    expect(shown_step(page)).to_have_text("Step 3 of 7. SciPy: update to the mean of the assigned points")
    expect(page.locator("tr[aria-current] th")).to_have_text("3")
    expect(page.locator(".flow li[aria-current]")).to_contain_text("Update")
    expect(page.locator("th[data-column].lit")).to_have_text("after 3")
    expect(page.locator("pre .lit").filter(has_text="kmeans2(X, before, iter=1")).to_be_visible()
    expect(page.locator(".panel .state").first).to_contain_text("step 3 · inertia 79.75 · mean distance 3.10465")
    expect(page.locator(".panel .state").last).to_have_text("has not begun")
    expect(page.locator(".panel").first.locator(".regions polygon")).to_have_count(2)
    expect(page.locator(".panel").first.locator(".trails polyline")).to_have_count(1)
    expect(page.locator(".panel").last.locator(".points .unassigned")).to_have_count(6)


def test_a_step_is_a_click_a_key_or_a_place_on_the_slider(page: Page) -> None:
    open_run(page)

    page.get_by_role("slider", name="Step").fill("4")
    expect(shown_step(page)).to_contain_text("Step 4 of 7")
    page.get_by_role("button", name="Step back").click()
    expect(shown_step(page)).to_contain_text("Step 3 of 7")


def test_it_is_played_paused_and_played_on(page: Page) -> None:
    open_run(page)

    page.get_by_role("button", name="Play", exact=True).click()
    expect(shown_step(page)).to_contain_text("Step 2 of 7")
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("button", name="Pause").click()

    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


@pytest.mark.parametrize("link", [LINK, "/?example=blobs&k=4&random_state=4&engines=scipy,sklearn,numba&init=random"])
def test_a_run_is_followed_on_one_screen_without_scrolling(page: Page, link: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    open_run(page, link)
    steps = len(rows(page))

    for _ in range(steps):
        page.keyboard.press("ArrowRight")
        for lit in ("tr.lit", ".flow li.lit", "th.lit", "pre .lit"):
            assert page.locator(lit).first.evaluate(IS_SEEN), lit

    assert page.evaluate("scrollY") == 0
    for shown in (".panel .plot", ".controls"):
        for box in [element.bounding_box() for element in page.locator(shown).all()]:
            assert box is not None
            assert box["y"] + box["height"] <= 800
            assert box["height"] > 30


def test_a_point_under_the_pointer_shows_its_centroid(page: Page) -> None:
    open_run(page)
    page.keyboard.press("End")

    page.locator(".panel").first.locator(".points use").first.hover()

    reach = page.locator(".panel").first.locator(".reach")
    expect(reach).to_have_attribute("visibility", "visible")
    centroid = page.locator(".panel").first.locator(".centroids [data-c='1']").get_attribute("transform") or ""
    assert f"translate({reach.get_attribute('x2')} {reach.get_attribute('y2')})" in centroid


@pytest.mark.parametrize(
    ("keys", "expected"),
    [(["ArrowRight"], 2), (["End"], 7), (["End", "ArrowLeft"], 6), (["End", "Home"], 1)],
)
def test_keys_move_through_the_steps(page: Page, keys: list[str], expected: int) -> None:
    open_run(page)

    for key in keys:
        page.keyboard.press(key)

    expect(shown_step(page)).to_contain_text(f"Step {expected} of 7")


def test_the_quiz_tells_right_from_wrong(page: Page) -> None:
    open_run(page)
    question = page.locator("fieldset.question").first

    question.get_by_role("button", name="[0 0 0 1 1 1]").click()
    expect(question.locator(".said")).to_contain_text("Not this one")
    question.get_by_role("button", name="Hint").click()
    expect(question.locator(".said")).not_to_contain_text("Not this one")
    question.get_by_role("button", name="[1 1 1 0 0 0]").click()

    expect(question.locator(".said")).to_contain_text("Right.")


def test_every_question_has_one_right_answer(page: Page) -> None:
    open_run(page)

    for question in page.locator("fieldset.question").all():
        right = 0
        for option in question.locator(".options button").all():
            option.click()
            expect(question.locator(".said")).not_to_have_text("")
            expect(option).to_have_class(re.compile("right|wrong"))
            right += "right" in (option.get_attribute("class") or "").split()
        assert right == 1


def test_moments_snapshot_and_transcript_are_of_this_run(page: Page) -> None:
    open_run(page, "/?example=blobs&k=4&random_state=1&engines=numba,sklearn&init=k-means%2B%2B")

    expect(page.locator(".below details")).not_to_have_count(0)
    expect(page.locator("section").filter(has_text="In short")).to_contain_text("300 points in 2 columns, k = 4")
    expect(page.get_by_label("The transcript")).to_contain_text("Step 1. Shoal begins with 4 centroids")


def test_the_table_is_taken_home_as_csv(page: Page) -> None:
    open_run(page)

    with page.expect_download() as started:
        page.get_by_role("button", name="Table (CSV)").click()

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


def test_the_report_is_taken_home_and_opens_by_itself(page: Page) -> None:
    open_run(page)

    with page.expect_download() as started:
        page.get_by_role("button", name="Report (HTML)").click()

    report = started.value.path().read_text()
    assert "the scikit-learn fit completes" in report
    assert "http://" not in report.replace("http://www.w3.org/2000/svg", "")


def test_the_plot_is_taken_home_as_svg(page: Page) -> None:
    open_run(page)

    with page.expect_download() as started:
        page.get_by_role("button", name="Plot of SciPy (SVG)").click()

    drawn = ET.fromstring(started.value.path().read_text())  # noqa: S314  (our own)
    marks = drawn.findall(".//{http://www.w3.org/2000/svg}g[@class='centroids']/{http://www.w3.org/2000/svg}use")
    assert len(marks) == 2
    assert "--surface: #ffffff" in (drawn.get("style") or "")


def test_the_plot_is_taken_home_as_png(page: Page) -> None:
    open_run(page)
    page.keyboard.press("End")

    with page.expect_download() as started:
        page.get_by_role("button", name="Plot of SciPy (PNG)").click()

    with Image.open(started.value.path()) as picture:
        assert picture.width == 1040
        shown = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    assert (shown == 255).all(axis=1).mean() > 0.1  # paper
    assert ((shown[:, 2] > 150) & (shown[:, 0] < 90)).any()  # and a mark of the first cluster, which is blue


@pytest.mark.parametrize("size", [(1366, 650), (1280, 800), (1024, 768), (390, 844)])
def test_nothing_lies_over_the_controls_with_all_engines(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_run(page, "/?example=blobs&k=4&random_state=4&engines=scipy,scipy-kmeans2,sklearn,sklearn-minibatch,numba")

    for control in page.locator(".controls button, .controls input, .controls select, pre .lit").all():
        control.scroll_into_view_if_needed()
        assert control.evaluate(IS_SEEN), control.evaluate("element => element.outerHTML")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_phone_shows_everything_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_run(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    open_run(page)
    open_form(page)
    page.keyboard.press("ArrowRight")

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
