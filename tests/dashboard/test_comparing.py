"""The page of comparisons, in a real browser."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

TABLE = [
    ["1", "initialise", "[[5.5 3] [1 2]]", "–", "–", "–"],
    ["2", "assign to the nearest centroid", "[[5.5 3] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["3", "update to the mean of the assigned points", "[[10 2] [1 2]]", "–", "–", "–"],
    ["4", "assign", "[[10 2] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["5", "converged: nothing moved", "[[10 2] [1 2]]", "[1 1 1 0 0 0]", "–", "–"],
    ["6", "the scikit-learn fit completes", "–", "–", "[[10 2] [1 2]]", "[1 1 1 0 0 0]"],
    ["7", "output", "final centroids", "[1 1 1 0 0 0]", "final centroids", "[1 1 1 0 0 0]"],
]
LINK = "/?example=six-points&k=2&init=5.5,3;1,2&engines=scipy,sklearn&random_state=0"


def open_run(page: Page, link: str = LINK) -> None:
    """Open a link to a comparison, and wait for its run."""
    page.goto(link)
    expect(page.get_by_text("step 1 of", exact=False)).to_be_visible()


def rows(page: Page) -> list[list[str]]:
    return [row.split("\t") for row in page.locator("table.execution tbody tr").all_inner_texts()]


def place(page: Page) -> Any:
    return page.locator(".transport .where")


def test_the_table_is_read_from_the_page_figure_for_figure(page: Page) -> None:
    open_run(page)

    assert rows(page) == TABLE


def test_the_first_visit_plays_the_example_once_to_the_end(page: Page) -> None:
    page.goto("/")

    expect(place(page)).to_have_text("step 7 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_everything_lights_for_the_same_step(page: Page) -> None:
    open_run(page)

    for _ in range(2):
        page.get_by_role("button", name="Step forward").click()

    expect(place(page)).to_have_text("step 3 of 7")
    expect(page.locator("table.execution tr[aria-current] th")).to_have_text("3")
    expect(page.locator(".flow li[aria-current]")).to_contain_text("Update")
    expect(page.locator("table.tracker th.lit")).to_have_text("after 3")
    expect(page.locator(".panel .plot").first).to_have_attribute("aria-label", "SciPy at step 3")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [(["ArrowRight"], 2), (["End"], 7), (["End", "ArrowLeft"], 6), (["End", "Home"], 1)],
)
def test_keys_move_through_the_steps(page: Page, keys: list[str], expected: int) -> None:
    open_run(page)

    for key in keys:
        page.keyboard.press(key)

    expect(place(page)).to_have_text(f"step {expected} of 7")


def test_own_points_are_compared_and_linked_to(page: Page) -> None:
    open_run(page, "/?points=0,0;0,1;9,9;9,8;20,0&k=3&random_state=3&engines=scipy,numba")

    page.get_by_role("button", name="Last step").click()
    first = rows(page)
    page.goto(page.url)

    expect(page.get_by_text("step 1 of", exact=False)).to_be_visible()
    assert rows(page) == first
    assert "points=0%2C+0%3B" in page.url


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("/?points=1,2;3,x&k=1", "row 2 of the points: 'x' at place 2 is not a finite number"),
        ("/?example=six-points&k=9&init=random", "n_clusters is 9, and there are 6 points"),
        ("/?example=six-points&k=two", "k in the link is 'two'; it must be a whole number"),
        ("/?example=nowhere&k=2&init=random", "there is no example 'nowhere'"),
    ],
)
def test_what_is_wrong_is_told_on_the_page(page: Page, link: str, says: str) -> None:
    page.goto(link)

    expect(page.get_by_role("alert").filter(has_text=says)).to_be_visible()


def test_the_code_line_of_the_step_is_lit(page: Page) -> None:
    open_run(page)

    page.get_by_role("button", name="Step forward").click()

    expect(page.locator("pre.code .lit").filter(has_text="vq(X, centroids)")).to_be_visible()


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

    expect(page.locator("details")).not_to_have_count(0)
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
    assert len(drawn.findall(".//{http://www.w3.org/2000/svg}g[@class='centroid']")) == 2


def test_a_click_into_the_plot_begins_points_of_ones_own(page: Page) -> None:
    open_run(page)

    page.locator(".panel .plot").first.click(position={"x": 100, "y": 100})
    page.locator(".panel .plot").first.click(position={"x": 200, "y": 150})

    points = page.get_by_label("Points: a row a line, such as 1, 2")
    expect(points).to_be_visible()
    expect(points).to_have_value(re.compile(r"^-?[\d.e+-]+, -?[\d.e+-]+\n-?[\d.e+-]+, -?[\d.e+-]+$"))


def test_a_file_is_read_into_the_points(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("x,y\n0,0\n0,1\n5,5\n")
    open_run(page, "/?points=1,1;2,2&k=2&init=random&random_state=0")

    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_label("Points: a row a line, such as 1, 2")).to_have_value("x,y\n0,0\n0,1\n5,5")
    page.get_by_role("button", name="Run").click()

    expect(page.locator("section").filter(has_text="In short")).to_contain_text("3 points in 2 columns")


def test_a_phone_shows_everything_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_run(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    open_run(page)

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
