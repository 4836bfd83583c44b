"""The page of comparisons, in a real browser."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from shoal.testing import LocalServer
from tests.dashboard.browsing import Dashboard

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
    expect(place(page)).to_contain_text("Step 1 of")


def rows(page: Page) -> list[list[str]]:
    return [row.locator("th, td").all_inner_texts() for row in page.locator("tr[data-step]").all()]


def place(page: Page) -> Any:
    """What is said of the step that is shown."""
    return page.locator(".stage.ready .controls output")


def change(page: Page) -> None:
    """Open the form."""
    page.locator(".asking summary").click()


def test_the_table_is_read_from_the_page_figure_for_figure(page: Page) -> None:
    open_run(page)

    assert rows(page) == TABLE


def test_the_first_visit_plays_the_example_once_to_the_end(page: Page) -> None:
    page.goto("/")

    expect(place(page)).to_contain_text("Step 7 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.goto("/sessions")
    page.goto("/")
    expect(place(page)).to_contain_text("Step 1 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_nothing_plays_by_itself_for_those_who_want_no_motion(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")

    page.goto("/")

    expect(place(page)).to_contain_text("Step 1 of 7")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_label("speed").select_option("fast")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(place(page)).to_contain_text("Step 7 of 7")


def test_everything_lights_for_the_same_step(page: Page) -> None:
    open_run(page)

    for _ in range(2):
        page.get_by_role("button", name="Step forward").click()

    expect(place(page)).to_have_text("Step 3 of 7. SciPy: update to the mean of the assigned points")
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
    expect(place(page)).to_contain_text("Step 4 of 7")
    page.get_by_role("button", name="Step back").click()
    expect(place(page)).to_contain_text("Step 3 of 7")


def test_it_is_played_paused_and_played_on(page: Page) -> None:
    open_run(page)

    page.get_by_role("button", name="Play", exact=True).click()
    expect(place(page)).to_contain_text("Step 2 of 7")
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
            assert page.locator(lit).first.evaluate(_IS_SEEN), lit

    assert page.evaluate("scrollY") == 0
    for shown in (".panel .plot", ".controls"):
        for box in [element.bounding_box() for element in page.locator(shown).all()]:
            assert box is not None
            assert box["y"] + box["height"] <= 800
            assert box["height"] > 30


# Whether the middle of an element is where one sees it, or something within it is.
_IS_SEEN = """(element) => {
    const { left, top, right, bottom } = element.getBoundingClientRect();
    const outer = element.closest(".scroll")?.getBoundingClientRect() ?? { left: 0, right: innerWidth };
    const across = (Math.max(left, outer.left) + Math.min(right, outer.right)) / 2;
    const found = document.elementFromPoint(across, (top + bottom) / 2);
    return found !== null && (element.contains(found) || found.contains(element));
}"""


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

    expect(place(page)).to_contain_text(f"Step {expected} of 7")


def test_own_points_are_compared_and_linked_to(page: Page) -> None:
    open_run(page, "/?points=0,0;0,1;9,9;9,8;20,0&k=3&random_state=3&engines=scipy,numba")

    page.get_by_role("button", name="Last step").click()
    first = rows(page)
    page.goto(page.url)

    expect(place(page)).to_contain_text("Step 1 of")
    assert rows(page) == first
    assert "points=0,+0;0,+1;" in page.url


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("/?points=1,2;3,x&k=1", "row 2 of the points: 'x' at place 2 is not a finite number"),
        ("/?example=six-points&k=9&init=random", "n_clusters is 9, and there are 6 points"),
        ("/?example=six-points&k=two", "k in the link is 'two'; it must be a whole number"),
        ("/?example=nowhere&k=2&init=random", "there is no example 'nowhere'"),
        (
            "/?example=<img src=http://elsewhere.example/a>",
            "there is no example '<img src=http://elsewhere.example/a>'",
        ),
        ("/?example=six-points&tol=small", "tol in the link is 'small'; it must be a number"),
    ],
)
def test_what_is_wrong_is_told_on_the_page(page: Page, link: str, says: str) -> None:
    page.goto(link)

    expect(page.get_by_role("alert").filter(has_text=says)).to_be_visible()


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


def test_a_click_into_the_plot_adds_a_point_and_compares_once_more(page: Page) -> None:
    open_run(page)

    ticks = page.locator(".panel").first.locator(".tick").all_inner_texts()

    page.locator(".panel .plot").first.click(position={"x": 100, "y": 60})

    expect(page.locator(".panel").first.locator(".points use")).to_have_count(7)
    assert page.locator(".panel").first.locator(".tick").all_inner_texts() == ticks  # what one clicked at stays there
    change(page)
    points = page.get_by_label("Points: a row a line, such as 1, 2")
    expect(points).to_have_value(re.compile(r"^1, 2\n1, 4\n1, 0\n10, 2\n10, 4\n10, 0\n-?[\d.]+, -?[\d.]+$"))


def test_one_begins_with_no_points_and_clicks_them_in(page: Page) -> None:
    open_run(page, "/?points=1,1;2,2&k=2&init=random&random_state=0")
    change(page)

    page.get_by_role("button", name="Begin with no points").click()
    expect(page.locator(".panel figcaption")).to_have_text(
        "Click into the plot, or type rows: 2 more points, and k = 2 clusters can be found"
    )
    page.locator(".panel .plot").click(position={"x": 100, "y": 60})
    expect(page.locator(".panel figcaption")).to_contain_text("1 more point, and k = 2")
    page.locator(".panel .plot").click(position={"x": 200, "y": 100})

    expect(page.locator("tr[data-step]").first).to_be_visible()
    expect(page.locator(".panel").first.locator(".points use")).to_have_count(2)


def test_a_link_with_too_few_points_says_how_many_are_missing(page: Page) -> None:
    page.goto("/?points=1,2;3,4&k=3&init=random")

    expect(page.locator(".panel figcaption")).to_contain_text("1 more point, and k = 3")
    page.locator(".panel .plot").click(position={"x": 200, "y": 100})

    expect(place(page)).to_contain_text("Step 1 of")


def test_clicks_one_after_the_other_end_with_all_points(page: Page) -> None:
    open_run(page)

    page.locator(".panel .plot").first.evaluate(
        """(plot) => {
            const { left, top } = plot.getBoundingClientRect();
            for (let place = 1; place <= 5; place++)
                plot.dispatchEvent(
                    new MouseEvent("click", { bubbles: true, clientX: left + 80 + 20 * place, clientY: top + 60 }));
        }"""
    )

    expect(page.locator(".panel").first.locator(".points use")).to_have_count(11)
    expect(place(page)).to_contain_text("Step 1 of")


def test_of_many_runs_only_the_last_is_played(page: Page) -> None:
    open_run(page)
    change(page)
    for k in (3, 4, 5):
        page.get_by_label("Clusters (k)").fill(str(k))
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator(".flow")).to_contain_text(f"k = {k}")

    page.locator("h1").click()
    page.keyboard.press("ArrowRight")

    expect(place(page)).to_contain_text("Step 2 of")


def test_another_k_leaves_given_centroids_and_back_leads_to_the_run_before(page: Page) -> None:
    open_run(page)
    change(page)

    page.get_by_label("Clusters (k)").fill("3")
    page.get_by_label("Clusters (k)").press("Enter")

    expect(page.locator(".asking summary")).to_contain_text("k = 3 · first centroids: k-means++")
    expect(page).to_have_url(re.compile(r"\bk=3\b"))
    page.go_back()
    expect(page.locator(".asking summary")).to_contain_text("k = 2 · first centroids: given centroids")
    expect(place(page)).to_contain_text("Step 1 of 7")


@pytest.mark.parametrize("size", [(1366, 650), (1280, 800), (1024, 768), (390, 844)])
def test_nothing_lies_over_the_controls_with_all_engines(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_run(page, "/?example=blobs&k=4&random_state=4&engines=scipy,scipy-kmeans2,sklearn,sklearn-minibatch,numba")

    for control in page.locator(".controls button, .controls input, .controls select, pre .lit").all():
        control.scroll_into_view_if_needed()
        assert control.evaluate(_IS_SEEN), control.evaluate("element => element.outerHTML")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_link_without_random_state_makes_the_very_run_again(page: Page) -> None:
    open_run(page, "/?example=blobs&k=4&init=k-means%2B%2B&engines=scipy")
    first = rows(page)

    page.goto(page.url)

    expect(place(page)).to_contain_text("Step 1 of")
    assert rows(page) == first


def test_the_link_is_copied(page: Page) -> None:
    open_run(page)
    change(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Copy link").click()

    expect(page.get_by_text("The link is on the clipboard")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_a_file_that_is_no_text_is_told(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(b"1,2\n\xff\xfe,4\n")
    open_run(page, "/?points=1,1;2,2&k=2&init=random&random_state=0")
    change(page)

    page.locator("input[type=file]").set_input_files(path)

    expect(page.get_by_text("points.csv is no text in UTF-8: byte 4 is none")).to_be_visible()


def test_a_large_file_is_taken_as_it_is(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    np.savetxt(path, np.random.default_rng(0).normal(size=(20_000, 2)), fmt="%.6f", delimiter=",")
    open_run(page, "/?points=1,1;2,2&k=2&init=random&random_state=0&engines=numba&max_iter=3")
    change(page)

    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text("20,000 rows of points.csv: too many for the box, and taken as they are")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()

    expect(page.locator("section").filter(has_text="In short")).to_contain_text("20,000 points in 2 columns")
    expect(page.locator(".stage .axes")).to_contain_text("2,000 of 20,000 points are drawn")


def test_the_page_waits_for_a_server_that_is_not_there_yet(browser: Browser) -> None:
    with LocalServer() as server:
        port = int(server.target.rpartition(":")[2])
        with Dashboard(server.target) as dashboard:
            server.stop()
            page = browser.new_page()
            page.goto(f"{dashboard.url}{LINK}")
            expect(page.get_by_role("alert").first).to_be_visible()

            with LocalServer(port=port):
                expect(place(page)).to_contain_text("Step 1 of 7")
            page.close()


def test_a_file_is_read_into_the_points(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("x,y\n0,0\n0,1\n5,5\n")
    open_run(page, "/?points=1,1;2,2&k=2&init=random&random_state=0")
    change(page)

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
    change(page)
    page.keyboard.press("ArrowRight")

    found = Axe().run(page)

    assert found.violations_count == 0, found.generate_report()
