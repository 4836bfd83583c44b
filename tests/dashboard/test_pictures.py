"""Pictures of each view, as the docs show them: `make pictures` writes them there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect

import shoal
from shoal.testing import LocalServer
from tests.dashboard.browsing import SCHEMES, Dashboard, Scheme
from tests.dashboard.conftest import PATIENCE

MEANS = np.array([[0.0, 0], [6, 4], [-5, 6], [5, -5], [-4, -4]])
WRITTEN = "SHOAL_PICTURES" in os.environ
HALF_LIFE = "8000 points"  # that a session gets while it is watched
SAMPLES = 48 if WRITTEN else 3  # seconds of the charts over time
RUN = "/?example=blobs&k=4&random_state=4&engines=scipy,sklearn,numba&init=random"


@pytest.fixture(scope="module")
def dashboard() -> Iterator[Dashboard]:
    """A dashboard of a server of its own, so that the same sessions are there each time."""
    random = np.random.default_rng(0)
    with LocalServer() as server, Dashboard(server.target) as dashboard, shoal.connect(server.target) as client:
        for name, engine in (("clicks", "numba"), ("sensors", "sklearn"), ("trips", "scipy")):
            session = client.create_session(name, 5, random_state=0, engine=engine)  # type: ignore[arg-type]  # names
            for _ in range(30):
                session.push(clicks(random, 0.0))
        with pushing(client.session("clicks"), random):
            yield dashboard


@contextmanager
def pushing(session: shoal.Session, random: np.random.Generator) -> Iterator[None]:
    """Push a few batches a second in which one cluster moves to and fro, until the context ends."""
    ended = threading.Event()

    def push() -> None:
        turn = 0
        while not ended.wait(0.25):
            turn += 1
            session.push(clicks(random, 4 * np.sin(turn / 30)))

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def clicks(random: np.random.Generator, moved: float) -> NDArray[np.float64]:
    """Return points (400, 2) around the means, those of the first one moved along the first axis."""
    of_each = random.integers(0, 5, 400)
    points: NDArray[np.float64] = MEANS[of_each] + random.normal(size=(400, 2))
    points[of_each == 0, 0] += moved
    return points


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
    expect(page.locator("table.sessions")).not_to_contain_text("–")  # the rates are there

    take(page, folder / "dashboard-sessions.png")


@pytest.mark.parametrize(("scheme", "size"), [("light", (1400, 1310)), ("dark", (1400, 1310)), ("light", (390, 844))])
def test_picture_of_a_session(page: Page, folder: Path, scheme: Scheme, size: tuple[int, int]) -> None:
    prepare(page, size, scheme)
    page.goto("/sessions/clicks")
    expect(page.locator(".layers .points use").first).to_be_attached()
    expect(page.locator(".layers .centroids use")).to_have_count(5)
    wait_for_samples(page, SAMPLES // 3)
    if page.get_by_label("Half-life").input_value() != HALF_LIFE:
        page.get_by_label("Half-life").fill(HALF_LIFE)
        page.get_by_role("button", name="Apply").click()
    wait_for_samples(page, SAMPLES - SAMPLES // 6)
    page.get_by_label("To", exact=True).fill("12")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("By the summary at version")).to_be_visible()
    page.get_by_role("button", name="Describe").click()
    expect(page.get_by_text("5 clusters at version")).to_be_visible()
    page.mouse.move(0, 0)
    expect(page.locator(".q-ripple")).to_have_count(0)
    wait_for_samples(page, SAMPLES)
    page.evaluate("scrollTo(0, 0)")

    name = "phone" if size[0] < 400 else scheme
    take(page, folder / f"dashboard-session-{name}.png")


def wait_for_samples(page: Page, seconds: int) -> None:
    """Wait until the charts over time show so many seconds."""
    page.wait_for_function(
        "samples => document.querySelector('.over-time polyline').points.length >= samples",
        arg=seconds,
        timeout=2000 * seconds + PATIENCE,
    )
