from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect, sync_playwright

from shoal.testing import LocalServer
from tests.dashboard.browsing import BROWSER_FLAGS, DESKTOP, Dashboard, chromium, reset_tab

MAX_FRAME_LENGTH = 300  # of what is logged
PATIENCE = 20_000  # milliseconds after which what is waited for won't come any more
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that is gone with its module: while Playwright is there, no other event loop can run in this thread."""
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """A server of the pages' own: the one that the other tests share has thousands of sessions."""
    with LocalServer() as running:
        yield running


@pytest.fixture(scope="session")
def dashboard(server: LocalServer) -> Iterator[Dashboard]:
    with Dashboard(server.target) as running:
        yield running


@pytest.fixture(scope="module")
def trouble() -> list[str]:
    """Errors of scripts, and requests to other hosts, since the last test."""
    return []


@pytest.fixture(scope="module")
def context(browser: Browser, dashboard: Dashboard, trouble: list[str]) -> Iterator[BrowserContext]:
    """One profile for a module's tests: each new one loads NiceGUI's scripts anew, which takes seconds of a core."""
    context = browser.new_context(base_url=dashboard.url, viewport=DESKTOP)
    context.set_default_timeout(PATIENCE)
    context.on("weberror", lambda error: trouble.append(str(error.error)))
    # pytest shows it with a failure: NiceGUI says why it reloads a page.
    context.on("console", lambda message: logging.getLogger("console").warning(message.text))
    context.on("page", lambda page: page.on("websocket", _log_frames))
    context.on("request", lambda request: _note_outside(request.url, dashboard.url, trouble))
    yield context
    context.close()


@pytest.fixture(scope="module")
def tab(context: BrowserContext) -> Page:
    """The tab in which a module's tests open their pages one after the other."""
    return context.new_page()


@pytest.fixture
def no_trouble(trouble: list[str]) -> Iterator[None]:
    """Fail the test if a script raised an error or asked another host for something."""
    yield
    found = trouble.copy()
    trouble.clear()
    assert found == []


@pytest.fixture
def page(tab: Page, no_trouble: None) -> Page:  # noqa: ARG001  (it checks at the end)
    """The tab as a first visitor's. It shows the last test's page until the test opens another: that is quickest."""
    reset_tab(tab)
    if tab.url.startswith("http"):
        tab.evaluate("localStorage.clear()")
    return tab


def _log_frames(socket: WebSocket) -> None:
    """Log what a page and the dashboard tell each other, which pytest shows with a failure."""
    log = logging.getLogger("websocket")
    socket.on("framesent", lambda frame: log.warning("sent %.*s", MAX_FRAME_LENGTH, frame))
    socket.on("framereceived", lambda frame: log.warning("received %.*s", MAX_FRAME_LENGTH, frame))
    socket.on("close", lambda _: log.warning("closed"))


def _note_outside(url: str, own: str, trouble: list[str]) -> None:
    if not url.startswith((own, own.replace("http", "ws"), "about:", "data:", "blob:")):
        trouble.append(f"asked for {url}")
