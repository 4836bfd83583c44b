"""How a comparison is asked for on its page, in a real browser: by link, form, file and clicks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browsing import open_form, open_run, rows, shown_step


def test_own_points_are_compared_and_linked_to(page: Page) -> None:
    open_run(page, "/?points=0,0;0,1;9,9;9,8;20,0&k=3&random_state=3&engines=scipy,numba")

    page.get_by_role("button", name="Last step").click()
    first = rows(page)
    page.goto(page.url)

    expect(shown_step(page)).to_contain_text("Step 1 of")
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
def test_an_invalid_link_is_reported_on_the_page(page: Page, link: str, says: str) -> None:
    page.goto(link)

    expect(page.get_by_role("alert").filter(has_text=says)).to_be_visible()


def test_a_click_into_the_plot_adds_a_point_and_compares_once_more(page: Page) -> None:
    open_run(page)

    ticks = page.locator(".panel").first.locator(".tick").all_inner_texts()

    page.locator(".panel .plot").first.click(position={"x": 100, "y": 60})

    expect(page.locator(".panel").first.locator(".points use")).to_have_count(7)
    assert page.locator(".panel").first.locator(".tick").all_inner_texts() == ticks  # what one clicked at stays there
    open_form(page)
    points = page.get_by_label("Points: a row a line, such as 1, 2")
    expect(points).to_have_value(re.compile(r"^1, 2\n1, 4\n1, 0\n10, 2\n10, 4\n10, 0\n-?[\d.]+, -?[\d.]+$"))


def test_points_are_clicked_into_an_empty_plot(page: Page) -> None:
    open_run(page, "/?points=1,1;2,2&k=2&init=random&random_state=0")
    open_form(page)

    page.get_by_role("button", name="Begin with no points").click()
    expect(page.locator(".panel figcaption")).to_have_text(
        ["Click into the plot, or type rows: 2 more points, and k = 2 clusters can be found"]
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

    expect(shown_step(page)).to_contain_text("Step 1 of")


def test_clicks_in_quick_succession_all_add_their_points(page: Page) -> None:
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
    expect(shown_step(page)).to_contain_text("Step 1 of")


def test_only_the_last_of_several_runs_follows_the_keys(page: Page) -> None:
    open_run(page)
    open_form(page)
    for k in (3, 4, 5):
        page.get_by_label("Clusters (k)").fill(str(k))
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator(".flow")).to_contain_text(f"k = {k}")

    page.locator("h1").click()
    page.keyboard.press("ArrowRight")

    expect(shown_step(page)).to_contain_text("Step 2 of")


def test_another_k_replaces_given_centroids_and_back_returns_to_the_previous_run(page: Page) -> None:
    open_run(page)
    open_form(page)

    page.get_by_label("Clusters (k)").fill("3")
    page.get_by_label("Clusters (k)").press("Enter")

    expect(page.locator(".asking summary")).to_contain_text("k = 3 · first centroids: k-means++")
    expect(page).to_have_url(re.compile(r"\bk=3\b"))
    page.go_back()
    expect(page.locator(".asking summary")).to_contain_text("k = 2 · first centroids: given centroids")
    expect(shown_step(page)).to_contain_text("Step 1 of 7")


def test_a_link_without_random_state_repeats_its_run(page: Page) -> None:
    open_run(page, "/?example=blobs&k=4&init=k-means%2B%2B&engines=scipy")
    first = rows(page)

    page.goto(page.url)

    expect(shown_step(page)).to_contain_text("Step 1 of")
    assert rows(page) == first


def test_the_link_is_copied(page: Page) -> None:
    open_run(page)
    open_form(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Copy link").click()

    expect(page.get_by_text("The link is on the clipboard")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_a_large_file_is_compared_without_filling_the_text_box(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    np.savetxt(path, np.random.default_rng(0).normal(size=(20_000, 2)), fmt="%.6f", delimiter=",")
    open_run(page, "/?points=1,1;2,2&k=2&init=random&random_state=0&engines=numba&max_iter=3")
    open_form(page)

    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text("20,000 rows of points.csv: too many for the box, and taken as they are")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()

    expect(page.locator("section").filter(has_text="In short")).to_contain_text("20,000 points in 2 columns")
    expect(page.locator(".stage .axes")).to_contain_text("2,000 of 20,000 points are drawn")


def test_a_file_is_read_into_the_points_unless_it_is_not_text(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(b"1,2\n\xff\xfe,4\n")
    open_run(page, "/?points=1,1;2,2&k=2&init=random&random_state=0")
    open_form(page)

    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text("points.csv is no text in UTF-8: byte 4 is none")).to_be_visible()

    path.write_text("x,y\n0,0\n0,1\n5,5\n")
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_label("Points: a row a line, such as 1, 2")).to_have_value("x,y\n0,0\n0,1\n5,5")
    page.get_by_role("button", name="Run").click()

    expect(page.locator("section").filter(has_text="In short")).to_contain_text("3 points in 2 columns")
