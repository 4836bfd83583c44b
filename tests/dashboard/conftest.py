from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from shoal.testing import LocalServer
from tests.dashboard.browsing import BROWSER_FLAGS, Dashboard, chromium

PATIENCE = 120_000  # milliseconds after which what is waited for won't come any more
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
def dashboard(server: LocalServer) -> Iterator[Dashboard]:
    with Dashboard(server.target) as running:
        yield running


@pytest.fixture
def context(browser: Browser, dashboard: Dashboard) -> Iterator[BrowserContext]:
    """A visitor; errors of its scripts, and requests to other hosts, fail the test."""
    context = browser.new_context(base_url=dashboard.url, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE)
    trouble: list[str] = []
    context.on("weberror", lambda error: trouble.append(str(error.error)))
    context.on("request", lambda request: _note_outside(request.url, dashboard.url, trouble))
    yield context
    context.close()
    assert trouble == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def _note_outside(url: str, own: str, trouble: list[str]) -> None:
    if not url.startswith((own, own.replace("http", "ws"), "data:", "blob:")):
        trouble.append(f"asked for {url}")
