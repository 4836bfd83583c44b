"""Pictures of each view, as the docs show them: `make pictures` writes them there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

import shoal
from shoal.testing import LocalServer
from tests.dashboard.browsing import SCHEMES, Dashboard, Scheme

MEANS = np.array([[0.0, 0], [6, 4], [-5, 6], [5, -5], [-4, -4]])
RUN = "/?example=blobs&k=4&random_state=4&engines=scipy,sklearn,numba&init=random"


@pytest.fixture(scope="module")
def dashboard() -> Iterator[Dashboard]:
    """A dashboard of a server of its own, so that the same sessions are there each time."""
    random = np.random.default_rng(0)
    with LocalServer() as server, Dashboard(server.target) as dashboard, shoal.connect(server.target) as client:
        for name, engine in (("clicks", "numba"), ("sensors", "sklearn"), ("trips", "scipy")):
            session = client.create_session(name, 5, random_state=0, engine=engine)  # type: ignore[arg-type]  # names
            for _ in range(30):
                session.push(MEANS[random.integers(0, 5, 400)] + random.normal(size=(400, 2)))
        yield dashboard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(os.environ.get("SHOAL_PICTURES", tmp_path))


def prepare(page: Page, size: tuple[int, int], scheme: Scheme = "light") -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")


def take(page: Page | Locator, path: Path) -> None:
    page.screenshot(path=path, animations="disabled")
    with Image.open(path) as picture:
        colours = picture.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 50  # something is drawn


@pytest.mark.parametrize("scheme", SCHEMES)
def test_picture_of_a_comparison(page: Page, folder: Path, scheme: Scheme) -> None:
    prepare(page, (1280, 800), scheme)
    page.goto(RUN)
    expect(page.locator(".controls output")).to_contain_text("Step 1 of")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".controls output")).to_contain_text("Step 9 of")

    take(page, folder / f"dashboard-compare-{scheme}.png")


def test_picture_of_the_explanations_of_a_comparison(page: Page, folder: Path) -> None:
    prepare(page, (1400, 980))
    page.goto(RUN)
    page.locator(".below details").first.click()
    right = page.locator("fieldset").first.get_by_role("button").first
    right.click()
    expect(page.locator(".said").first).not_to_have_text("")

    take(page.locator(".below"), folder / "dashboard-reading.png")


def test_picture_of_the_form_of_a_comparison(page: Page, folder: Path) -> None:
    prepare(page, (1280, 800))
    page.goto("/?points=0,0;0,1;9,9;9,8;20,0&k=3&random_state=3&engines=scipy,numba")
    expect(page.locator(".controls output")).to_contain_text("Step 1 of")
    page.locator(".asking summary").click()
    page.keyboard.press("End")

    take(page, folder / "dashboard-asking.png")


def test_picture_of_the_sessions(page: Page, folder: Path) -> None:
    prepare(page, (1400, 420))
    page.goto("/sessions")
    expect(page.locator("table.sessions tr")).to_have_count(4)

    take(page, folder / "dashboard-sessions.png")


@pytest.mark.parametrize(("scheme", "size"), [("light", (1400, 900)), ("dark", (1400, 900)), ("light", (390, 844))])
def test_picture_of_a_session(page: Page, folder: Path, scheme: Scheme, size: tuple[int, int]) -> None:
    prepare(page, size, scheme)
    page.goto("/sessions/clicks")
    expect(page.locator(".layers .points use").first).to_be_attached()
    expect(page.locator(".layers .centroids use")).to_have_count(5)

    name = "phone" if size[0] < 400 else scheme
    take(page, folder / f"dashboard-session-{name}.png")
