"""The list of sessions and a session live, in a real browser, while a producer pushes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

import shoal
from shoal.testing import LocalServer
from tests.dashboard.browsing import SCHEMES, change_scheme, check_with_axe
from tests.versions import newest_version

POINTS = np.random.default_rng(0).normal(size=(2000, 2)) + 8 * np.random.default_rng(1).integers(0, 2, (2000, 1))


@pytest.fixture
def client(server: LocalServer) -> Iterator[shoal.Client]:
    with shoal.connect(server.target) as client:
        yield client


@pytest.fixture
def session(client: shoal.Client) -> Iterator[shoal.Session]:
    session = client.create_session(f"live-{uuid.uuid4().hex[:8]}", 2, random_state=0)
    yield session
    for each in client.list_sessions():
        if each.name == session.name:
            session.delete()


def row(page: Page, name: str) -> Any:
    return page.locator("table.sessions tr").filter(has_text=name)


def test_sessions_are_listed_with_their_figures(page: Page, session: shoal.Session) -> None:
    newest = newest_version([session.push(POINTS)])

    page.goto("/sessions")

    expect(row(page, session.name)).to_contain_text("ready")
    cells = row(page, session.name).locator("td").all_inner_texts()
    assert cells[:5] == ["ready", "numba", "2", "2", str(newest)]
    assert float(cells[6]) == pytest.approx(session.describe().inertia_per_point, rel=1e-4)


def test_a_merged_session_has_no_inertia_before_its_first_batch(
    page: Page, client: shoal.Client, session: shoal.Session
) -> None:
    session.push(POINTS)
    merged = client.merge_sessions([session.name], f"{session.name}-merged")

    page.goto("/sessions")

    expect(row(page, merged.name).locator("td").nth(6)).to_have_text("–")
    merged.delete()


def test_a_session_is_created_and_deleted_on_the_page(page: Page, client: shoal.Client) -> None:
    name = f"made-{uuid.uuid4().hex[:8]}"
    page.goto("/sessions")

    page.get_by_text("New session").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create").click()
    expect(row(page, name)).to_contain_text("warming: 0 of 24")
    page.get_by_role("button", name=f"Delete {name}").click()
    page.get_by_role("button", name="Delete", exact=True).click()

    expect(row(page, name)).to_have_count(0)
    assert name not in {each.name for each in client.list_sessions()}


def test_the_first_hundred_of_many_sessions_are_shown_and_the_others_found_by_name(
    page: Page, client: shoal.Client
) -> None:
    names = [f"many-{number:03}" for number in range(150)]
    sessions = [client.create_session(name, 2) for name in names]
    page.goto("/sessions")
    found = page.locator("table.sessions tbody tr")

    expect(page.get_by_text("100 of 150 sessions. Find others by a part of their name.")).to_be_visible()
    expect(found).to_have_count(100)
    page.get_by_label("Find by name").fill("MANY-14")
    expect(page.get_by_text("10 of 150 sessions.")).to_be_visible()
    expect(found).to_have_count(10)
    page.get_by_label("Find by name").fill("none-of-them")
    expect(page.get_by_text("None of 150 sessions has a name with this text.")).to_be_visible()
    page.get_by_text("New session").click()
    page.get_by_label("Name", exact=True).fill("zebra")
    page.get_by_role("button", name="Create").click()
    expect(row(page, "zebra")).to_contain_text("warming: 0 of 24")  # it is found at once

    for session in [*sessions, client.session("zebra")]:
        session.delete()
    expect(found).to_have_count(0)
    expect(page.get_by_text("There are no sessions yet.")).to_be_visible()


def test_the_page_shows_the_servers_message_for_a_refused_session(page: Page, session: shoal.Session) -> None:
    page.goto("/sessions")

    page.get_by_text("New session").click()
    page.get_by_label("Name", exact=True).fill(session.name)
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("alert").filter(has_text="exists")).to_be_visible()


def test_a_session_of_no_clusters_is_refused(page: Page, client: shoal.Client) -> None:
    page.goto("/sessions")

    page.get_by_text("New session").click()
    page.get_by_label("Name", exact=True).fill("without-clusters")
    number = page.get_by_label("Clusters (k)")
    number.fill("0")
    number.blur()  # the page leaves it as it is
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("alert").filter(has_text="n_clusters")).to_be_visible()
    assert "without-clusters" not in [session.name for session in client.list_sessions()]


def test_the_form_offers_the_update_rules(page: Page, client: shoal.Client) -> None:
    name = f"incremental-{uuid.uuid4().hex[:8]}"
    page.goto("/sessions")

    page.get_by_text("New session").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Update rule").click()
    page.get_by_role("option", name="incremental").click()
    page.get_by_role("button", name="Create").click()

    expect(row(page, name)).to_contain_text("warming: 0 of 24")
    session = client.session(name)
    assert session.describe().config.update_rule == "incremental"
    session.delete()


def test_the_page_of_a_session_says_its_update_rule(page: Page, session: shoal.Session) -> None:
    page.goto(f"/sessions/{session.name}")

    expect(page.get_by_text("warming: 0 of 6 points · numba · refined")).to_be_visible()


def test_a_session_fills_live_while_a_producer_pushes(page: Page, session: shoal.Session) -> None:
    page.goto(f"/sessions/{session.name}")
    expect(page.get_by_text("warming: 0 of 6 points")).to_be_visible()

    newest = newest_version([session.push(batch) for batch in np.array_split(POINTS, 20)])

    expect(page.locator(".layers .centroids use")).to_have_count(2)
    expect(page.get_by_label(f"centroids of version {newest}")).to_be_visible()
    expect(page.locator(".layers .points use").first).to_be_attached()
    expect(page.get_by_text(f"version {newest} · 2,000 points")).to_be_visible()
    expect(page.locator(".events")).to_contain_text("Clusters 0 and 1 were born.")


def test_the_page_shows_another_session_that_takes_the_name(page: Page, client: shoal.Client) -> None:
    name = f"taken-{uuid.uuid4().hex[:8]}"
    client.create_session(name, 2, init=POINTS[:2]).push(POINTS)
    page.goto(f"/sessions/{name}")
    expect(page.locator(".layers .centroids use")).to_have_count(2)

    client.session(name).delete()
    expect(page.get_by_role("alert").filter(has_text=f"There is no session {name}")).to_be_visible()
    wide = np.column_stack([POINTS, POINTS, POINTS])
    client.create_session(name, 3, init=wide[:3]).push(wide)

    expect(page.locator(".events")).to_contain_text("another session has the name now")
    expect(page.locator(".layers .centroids use")).to_have_count(3)
    expect(page.get_by_text("by component 1 and component 2")).to_be_visible()
    client.session(name).delete()


def test_points_are_assigned_on_the_page(page: Page, session: shoal.Session) -> None:
    newest = newest_version([session.push(POINTS)])
    page.goto(f"/sessions/{session.name}")
    expect(page.locator(".events")).to_contain_text(f"looking at version {newest}")  # the page is connected

    page.get_by_label("Points: a row a line").fill("0, 0\n8, 8")
    page.get_by_role("button", name="Assign").click()

    labels = session.assign([[0, 0], [8, 8]]).labels.tolist()
    expect(page.get_by_text(f"labels at version {newest}: {labels[0]} {labels[1]}")).to_be_visible()


def test_engine_and_half_life_are_changed_on_the_page(page: Page, session: shoal.Session) -> None:
    session.push(POINTS)
    page.goto(f"/sessions/{session.name}")
    expect(page.get_by_text("ready · numba")).to_be_visible()

    page.get_by_label("Half-life").fill("500 points")
    page.get_by_label("Engine").click()
    page.get_by_role("option", name="sklearn").click()
    page.get_by_role("button", name="Apply").click()

    expect(page.locator(".events li").first).to_contain_text("The configuration was changed: engine and half_life.")
    expect(page.get_by_text("ready · sklearn")).to_be_visible()
    expect(page.get_by_text("half-life 500 points")).to_be_visible()
    config = session.describe().config
    assert (config.engine, config.half_life) == ("sklearn", shoal.HalfLife(500, "points"))


def test_a_session_of_colours_shows_a_palette(page: Page, client: shoal.Client) -> None:
    session = client.create_session(f"colours-{uuid.uuid4().hex[:8]}", 2, init=np.array([[0.0, 0, 0], [255, 0, 0]]))
    session.push(np.array([[0, 0, 0], [255, 0, 0], [255, 0, 0]], np.uint8))

    page.goto(f"/sessions/{session.name}")

    expect(page.locator(".palette")).to_contain_text("1 #ff0000")
    session.delete()


def test_axe_finds_no_violation_in_the_list_of_sessions(page: Page, session: shoal.Session) -> None:
    session.push(POINTS)
    page.goto("/sessions")
    expect(page.get_by_text("ready").first).to_be_visible()

    for scheme in SCHEMES:
        change_scheme(page, scheme)
        expect(page.locator("body.body--dark")).to_have_count(int(scheme == "dark"))
        check_with_axe(page)
