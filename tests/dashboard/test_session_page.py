"""What the page of a session tells besides the plot: events, inertia, other numbers of clusters, descriptions."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

import shoal
from shoal.testing import LocalServer
from shoal_presentation.views.numbers import count_text
from tests.dashboard.browsing import SCHEMES, change_scheme, check_with_axe

MEANS = np.array([[0.0, 0, 5], [9, 9, 5]])
POINTS = np.random.default_rng(0).normal(size=(2000, 3)) + MEANS[np.random.default_rng(1).integers(0, 2, 2000)]


@pytest.fixture
def client(server: LocalServer) -> Iterator[shoal.Client]:
    with shoal.connect(server.target) as client:
        yield client


@pytest.fixture
def session(client: shoal.Client) -> Iterator[shoal.Session]:
    session = client.create_session(f"page-{uuid.uuid4().hex[:8]}", 3, random_state=0)
    yield session
    session.delete()


@pytest.fixture
def ready(page: Page, session: shoal.Session) -> shoal.Session:
    """A session with points, and its page is open."""
    session.push(POINTS)
    open_page(page, session)
    return session


def open_page(page: Page, session: shoal.Session) -> None:
    page.goto(f"/sessions/{session.name}")
    expect(page.locator(".events")).to_contain_text("looking at version")  # the page is connected


def test_an_event_appears_as_it_happens_above_those_before(page: Page, ready: shoal.Session) -> None:
    events = page.locator(".events li")
    expect(events.last).to_contain_text("version 1 Clusters 0, 1 and 2 were born.")

    ready.update(half_life=shoal.HalfLife(1000))

    newest = ready.events()[-1]
    said = f"{newest.time:%H:%M:%S} version {newest.version} The configuration was changed: half_life."
    expect(events.first).to_have_text(said)


def test_estimated_inertia_and_events_are_drawn_in_the_chart_of_the_measured_inertia(
    page: Page, session: shoal.Session
) -> None:
    open_page(page, session)
    chart = page.locator(".over-time figure").filter(has_text="inertia per point")
    expect(chart.locator(".legend")).to_have_count(0)

    for batch in np.array_split(POINTS, 10):
        session.push(batch)
    kinds = Counter(event.kind for event in session.events())

    legend = chart.locator(".legend")
    refinements = count_text(kinds["refined"], "refinement")
    expect(legend).to_contain_text(refinements)
    expect(legend).to_contain_text(re.compile(f"{kinds['born'] + kinds['split']} births? or split"))
    expect(legend).to_contain_text("estimated by the last refinement")
    expect(chart.locator("line.mark").first).to_be_attached()
    expect(chart.locator("svg.mark use").first).to_be_attached()
    expect(chart.locator("polyline.dashed")).to_have_count(1)
    expect(chart.locator("desc")).to_contain_text(f"Marked: {refinements}, ")


def test_a_drift_appears_among_the_events_and_is_marked_in_the_chart(page: Page, session: shoal.Session) -> None:
    open_page(page, session)

    for batch in np.array_split(np.concatenate([POINTS, POINTS, POINTS + 20]), 60):
        session.push(batch)
    drifts = sum(event.kind == "drift" for event in session.events())

    assert drifts
    expect(page.locator(".events li").filter(has_text="The points have drifted")).to_have_count(drifts)
    expect(page.locator(".over-time .legend")).to_contain_text(count_text(drifts, "drift"))
    expect(page.locator('.over-time svg.mark use[href="#s2"]').first).to_be_attached()


def test_a_number_of_clusters_is_suggested_and_used(page: Page, ready: shoal.Session) -> None:
    page.get_by_label("To", exact=True).fill("5")
    page.get_by_role("button", name="Compare").click()

    expect(page.get_by_text("2 clusters: the silhouette is highest at 2")).to_be_visible()
    expect(page.get_by_label("silhouette over k, from k = 2 to 5, at k = 2")).to_be_visible()
    page.get_by_text("The figures of each number of clusters").click()
    expect(page.get_by_role("region", name="Figures").locator("tbody tr")).to_have_count(4)
    expect(page.get_by_role("region", name="Figures").locator("tbody tr").first).to_contain_text("suggested")

    page.get_by_role("button", name="Use k = 2").click()
    expect(page.get_by_label("Clusters (k)")).to_have_value("2")
    expect(page.get_by_label("Clusters (k)")).to_be_focused()
    page.get_by_role("button", name="Apply").click()

    expect(page.get_by_text("· k 2 ·")).to_be_visible()
    expect(page.locator(".layers .centroids use")).to_have_count(2)
    expect(page.locator(".events")).to_contain_text("The configuration was changed: n_clusters.")
    assert ready.describe().config.n_clusters == 2


def test_a_comparison_of_numbers_of_clusters_shows_its_progress_and_is_stopped(
    page: Page, ready: shoal.Session
) -> None:
    page.get_by_label("To", exact=True).fill("257")
    page.get_by_role("button", name="Compare").click()

    expect(page.get_by_text(" of 256")).to_be_visible()
    page.get_by_role("button", name="Stop").click()

    expect(page.get_by_role("button", name="Compare")).to_be_visible()
    expect(page.get_by_text(" of 256")).to_have_count(0)
    expect(page.get_by_text("clusters: the silhouette")).to_have_count(0)
    assert ready.recluster(2).n_clusters == 2


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [("9", "3", "from is 9 and to is 3"), ("", "3", "must be whole numbers"), ("2", "999", "256 at most")],
)
def test_an_invalid_range_of_numbers_of_clusters_is_reported(
    page: Page, ready: shoal.Session, first: str, last: str, says: str
) -> None:
    assert ready.describe().version
    page.get_by_label("From", exact=True).fill(first)
    page.get_by_label("To", exact=True).fill(last)
    page.get_by_role("button", name="Compare").click()

    expect(page.get_by_role("alert").filter(has_text=says)).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


@pytest.mark.parametrize("button", ["Compare", "Describe"])
def test_a_session_without_summary_is_reported(page: Page, client: shoal.Client, button: str) -> None:
    session = client.create_session(f"bare-{uuid.uuid4().hex[:8]}", 2, update_rule="incremental", random_state=0)
    session.push(POINTS)
    open_page(page, session)

    page.get_by_role("button", name=button).click()

    expect(page.get_by_role("alert").filter(has_text="summary")).to_be_visible()
    expect(page.get_by_role("button", name=button)).to_be_enabled()
    session.delete()


def test_an_invalid_number_of_clusters_is_reported(page: Page, ready: shoal.Session) -> None:
    number = page.get_by_label("Clusters (k)")
    number.fill("0")
    number.blur()  # the page leaves it as it is
    page.get_by_role("button", name="Apply").click()

    expect(page.get_by_role("alert").filter(has_text="n_clusters")).to_be_visible()
    expect(number).to_have_value("0")
    assert ready.describe().config.n_clusters == 3


def test_clusters_are_described_on_the_page(page: Page, ready: shoal.Session) -> None:
    page.get_by_role("button", name="Describe").click()

    table = page.get_by_role("region", name="Clusters")
    expect(table.locator("tbody tr")).to_have_count(3)
    heaviest = max(ready.describe_clusters(), key=lambda cluster: cluster.weight)
    expect(table.locator("tbody tr").first).to_contain_text(f"{heaviest.share:.1%}")
    expect(table.locator("tbody tr").first.locator("th")).to_have_text(str(heaviest.id))
    expect(page.get_by_text(f"3 clusters at version {ready.describe().version}")).to_be_visible()

    ready.update(n_clusters=4)
    page.get_by_role("button", name="Describe again").click()
    expect(table.locator("tbody tr")).to_have_count(4)


def test_axe_finds_no_violation_on_the_page_of_a_session_with_all_that_it_shows(
    page: Page, ready: shoal.Session
) -> None:
    page.get_by_label("To", exact=True).fill("4")
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("button", name="Describe").click()
    page.get_by_text("The figures of each number of clusters").click()
    expect(page.get_by_text(f"3 clusters at version {ready.describe().version}")).to_be_visible()

    for scheme in SCHEMES:
        change_scheme(page, scheme)
        expect(page.locator("body.body--dark")).to_have_count(int(scheme == "dark"))
        check_with_axe(page)
