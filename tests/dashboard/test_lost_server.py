"""Pages whose server isn't there: they say so, and continue by themselves when it comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from playwright.sync_api import Page, expect

import shoal
from shoal.testing import LocalServer
from tests.client.proxy import Proxy
from tests.dashboard.browsing import LINK, Dashboard, shown_step
from tests.ports import spare_port

CENTROIDS = np.array([[0.0, 0.0], [8.0, 8.0]])


@pytest.fixture(scope="module")
def port() -> int:
    """A port that stays free while no server runs."""
    return spare_port()


@pytest.fixture(scope="module")
def own_server(port: int) -> Iterator[LocalServer]:
    """A server that these tests start and stop, always on this port; at first it doesn't run."""
    with ExitStack() as stack:
        server = LocalServer(port=port)
        stack.push(server)
        yield server


@pytest.fixture(scope="module")
def dashboard(port: int) -> Iterator[Dashboard]:
    """The dashboard of that server, in place of the one that other modules share."""
    with Dashboard(f"127.0.0.1:{port}") as running:
        yield running


def test_a_comparison_waits_for_a_server_that_is_not_there_yet(page: Page, own_server: LocalServer) -> None:
    own_server.stop()
    page.goto(LINK)
    expect(page.get_by_role("alert").first).to_be_visible()

    own_server.start()

    expect(shown_step(page)).to_contain_text("Step 1 of 7")


def test_a_session_page_reports_an_unreachable_server_and_continues_when_it_is_back(
    page: Page, own_server: LocalServer
) -> None:
    own_server.start()
    with shoal.connect(own_server.target) as client:
        client.create_session("lasting", 2, init=CENTROIDS)
    page.goto("/sessions/lasting")
    expect(page.get_by_text("ready · numba")).to_be_visible()

    own_server.stop()
    expect(page.get_by_role("alert").filter(has_text="can't be reached")).to_be_visible()
    own_server.start()
    with shoal.connect(own_server.target) as client:
        client.create_session("lasting", 2, init=CENTROIDS).push(CENTROIDS)

    expect(page.locator(".events")).to_contain_text("it is there again")
    expect(page.get_by_label("centroids of version 1")).to_be_visible()
    expect(page.locator(".events li").filter(has_text="Clusters 0 and 1 were born.")).to_have_count(1)


def test_events_that_happened_while_the_server_was_away_are_added_when_it_is_back(
    page: Page, own_server: LocalServer, server: LocalServer, port: int
) -> None:
    own_server.stop()
    with shoal.connect(server.target) as client:
        session = client.create_session("out-of-reach", 2, init=CENTROIDS)
        with Proxy(server.target, port):
            page.goto("/sessions/out-of-reach")
            expect(page.locator(".events")).to_contain_text("Clusters 0 and 1 were born.")
        expect(page.get_by_role("alert").filter(has_text="can't be reached")).to_be_visible()
        session.update(half_life=shoal.HalfLife(1000))

        with Proxy(server.target, port):
            expect(page.locator(".events")).to_contain_text("The configuration was changed: half_life.")
            expect(page.locator(".over-time .legend")).to_contain_text("1 change of the configuration")
        expect(page.locator(".events li").filter(has_text="Clusters 0 and 1 were born.")).to_have_count(1)
        session.delete()
