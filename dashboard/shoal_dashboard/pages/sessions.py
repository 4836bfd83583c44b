"""The page of all sessions: their figures, a form to create one, and buttons to delete them."""

from __future__ import annotations

from html import escape
from typing import get_args
from urllib.parse import quote

from nicegui import ui

import shoal
import shoal.aio
from shoal_dashboard.error_banner import ErrorBanner
from shoal_dashboard.layout import has_connected, page_layout
from shoal_dashboard.parsing import parse_half_life
from shoal_dashboard.session_list import ListedSession, SessionList
from shoal_presentation.views.numbers import number_text

_HEADINGS = (
    "name",
    "state",
    "engine",
    "k",
    "d",
    "version",
    "rows/s",
    "inertia per point",
    "watchers",
)


_UPDATE_RULES = ["default: refined", *get_args(shoal.UpdateRule)]
_REFRESH_SECONDS = 0.25
_MAX_ROWS = 100  # of the table: thousands are more than a browser draws in time


def add_page(client: shoal.aio.Client) -> None:
    """Add the page, for a client of the server."""
    listing = SessionList(client)

    @ui.page("/sessions")
    async def sessions() -> None:
        with page_layout("Sessions", "/sessions", client.target):
            page = SessionsPage(client, listing)
        if await has_connected():
            page.begin()


class SessionsPage:
    """One visitor's list."""

    def __init__(self, client: shoal.aio.Client, listing: SessionList) -> None:
        self._client, self._listing = client, listing
        self._seen = 0
        self._rows: dict[str, list[ui.html]] = {}
        ui.html("Sessions", sanitize=False, tag="h1")
        self._error_banner = ErrorBanner()
        self._build_form()
        with ui.element("section").classes("card").props('aria-label="All sessions"'):
            self._summary = ui.label().classes("lead")
            self._filter = ui.input("Find by name", on_change=self._show).props("clearable")
            self._filter.set_visibility(False)
            self._table = (
                ui.element("div").classes("scroll tall").props('tabindex="0" role="region" aria-label="Sessions"')
            )

    def begin(self) -> None:
        """Show the list until the visitor leaves."""
        ui.context.client.on_delete(self._listing.shared.enter())
        ui.timer(_REFRESH_SECONDS, self._refresh)

    def _build_form(self) -> None:
        with ui.expansion("New session", icon="add").classes("card full"), ui.element("div").classes("form"):
            self._name = ui.input("Name")
            self._n_clusters = ui.number("Clusters (k)", value=8, step=1, format="%d").classes("number")
            self._engine = ui.select(["numba", "sklearn", "scipy"], value="numba", label="Engine")
            self._update_rule = ui.select(_UPDATE_RULES, value=_UPDATE_RULES[0], label="Update rule")
            self._half_life = ui.input("Half-life", placeholder="such as 1000 points")
            ui.button("Create", on_click=self._create, color=None).props("unelevated no-caps").classes("primary")

    async def _create(self) -> None:
        with self._error_banner.catch_errors():
            await self._client.create_session(
                self._name.value or "",
                int(self._n_clusters.value or 0),
                engine=self._engine.value,
                half_life=parse_half_life(self._half_life.value or ""),
                update_rule=None if self._update_rule.value == _UPDATE_RULES[0] else self._update_rule.value,
            )
            ui.notify(f"Created session {self._name.value}")
            if self._filter.visible:
                self._filter.set_value(self._name.value)
        await self._listing.refresh()

    async def _delete(self, name: str) -> None:
        with ui.dialog() as dialog, ui.card():
            ui.label(f"Delete session {name}? Its centroids will be lost, and its watches will end.")
            with ui.row():
                ui.button("Delete", on_click=lambda: dialog.submit(True), color="negative").props("unelevated no-caps")
                ui.button("Keep it", on_click=dialog.close).props("flat no-caps")
        if await dialog:
            with self._error_banner.catch_errors():
                await self._client.session(name).delete()
            await self._listing.refresh()

    def _refresh(self) -> None:
        if self._seen == self._listing.revision:
            return
        self._seen = self._listing.revision
        self._error_banner.say_lost(self._listing.error)
        self._show()

    def _show(self) -> None:
        sessions = self._listing.sessions
        if sessions is None:
            return
        many = len(sessions) > _MAX_ROWS
        self._filter.set_visibility(many)
        wanted = (self._filter.value or "").strip().casefold() if many else ""
        found = [listed for listed in sessions if wanted in listed.session.name.casefold()]
        shown = found[:_MAX_ROWS]
        self._summary.set_text(_summary(len(sessions), len(found), len(shown)))
        self._summary.set_visibility(len(shown) < len(sessions) or not sessions)
        if [listed.session.uid for listed in shown] != list(self._rows):
            self._fill(shown)
        for listed in shown:
            for cell, text in zip(self._rows[listed.session.uid], _texts(listed), strict=True):
                cell.set_content(escape(text))

    def _fill(self, sessions: list[ListedSession]) -> None:
        """Redraw the table, a row for each session."""
        self._rows.clear()
        self._table.clear()
        self._table.set_visibility(bool(sessions))
        with self._table, ui.element("table").classes("sessions"):
            with ui.element("thead"), ui.element("tr"):
                for heading in _HEADINGS:
                    ui.html(heading, sanitize=False, tag="th").props('scope="col"')
                ui.html('<span class="unseen">delete</span>', sanitize=False, tag="th").props('scope="col"')
            with ui.element("tbody"):
                for listed in sessions:
                    self._rows[listed.session.uid] = self._draw_row(listed.session.name)

    def _draw_row(self, name: str) -> list[ui.html]:
        with ui.element("tr"):
            with ui.element("th").props('scope="row"'):
                ui.link(name, f"/sessions/{quote(name)}")
            cells = [ui.html("", sanitize=False, tag="td") for _ in _HEADINGS[1:]]
            with ui.element("td"):
                button = ui.button(icon="delete", on_click=lambda: self._delete(name))
                button.props(f'flat round dense aria-label="Delete {name}"')
        return cells


def _summary(sessions: int, found: int, shown: int) -> str:
    if not sessions:
        return "There are no sessions yet. Create one above, or run: shoal sessions create NAME -k 8"
    if not found:
        return f"None of {sessions:,} sessions has a name with this text."
    if shown < found:
        return f"{shown:,} of {found:,} sessions. Find others by a part of their name."
    return f"{found:,} of {sessions:,} sessions."


def _texts(listed: ListedSession) -> list[str]:
    session = listed.session
    state = f"warming: {session.warming.seen} of {session.warming.needed}" if session.warming else "ready"
    rate = "–" if listed.rows_per_second is None else f"{listed.rows_per_second:,.0f}"
    return [
        state,
        session.config.engine,
        f"{session.config.n_clusters:,}",
        f"{session.config.n_features or '–'}",
        f"{session.version:,}",
        rate,
        "–" if session.inertia_per_point is None else number_text(session.inertia_per_point),
        f"{session.watchers:,}",
    ]
