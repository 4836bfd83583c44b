"""The page of one live session: centroids over recent points, figures, events, and what can be done with it."""

from __future__ import annotations

from html import escape
from typing import Any

from nicegui import ui

import shoal
import shoal.aio
from shoal_dashboard.error_banner import ErrorBanner
from shoal_dashboard.layout import has_connected, page_layout
from shoal_dashboard.pages.cluster_table import ClusterTableCard
from shoal_dashboard.pages.suggestion import SuggestionCard
from shoal_dashboard.parsing import ParseError, half_life_text, parse_half_life, parse_points
from shoal_dashboard.session_feed import SessionFeed, SessionFeeds
from shoal_presentation.views.numbers import count_text

_FRAME_SECONDS = 0.1
_EVENTS_SECONDS = 0.5  # between two looks at the events: their list is a longer text than all centroids
_MAX_LABELS = 200  # that are shown


def add_page(client: shoal.aio.Client) -> None:
    """Add the page, for a client of the server."""
    feeds = SessionFeeds(client)

    @ui.page("/sessions/{name}")
    async def session(name: str) -> None:
        with page_layout(f"Session {name}", "/sessions", client.target):
            page = SessionPage(client, name)
        if await has_connected():
            page.begin(feeds)


class SessionPage:
    """One visitor's view of one session."""

    def __init__(self, client: shoal.aio.Client, name: str) -> None:
        self._session = client.session(name)
        self._frames = self._looks = self._events_shown = 0
        self._config: shoal.SessionConfig | None = None  # that the form shows
        ui.html(f"Session {escape(name)}", sanitize=False, tag="h1")
        self._facts = ui.label().classes("lead")
        self._error_banner = ErrorBanner()
        with ui.element("div").classes("stage"):
            with ui.element("div"):
                self._build_plot()
                self._build_assigning()
                ClusterTableCard(self._session, self._error_banner)
            with ui.element("div"):
                self._build_form()
                self._suggestion = SuggestionCard(self._session, self._error_banner, self._use)
                self._build_figures()

    def begin(self, feeds: SessionFeeds) -> None:
        """Show the session until the visitor leaves."""
        self._feed, leave = feeds.enter(self._session.name)
        ui.context.client.on_delete(leave)
        ui.context.client.on_delete(self._suggestion.stop)
        ui.timer(_FRAME_SECONDS, self._refresh)
        ui.timer(_EVENTS_SECONDS, self._show_events)

    def _build_plot(self) -> None:
        with ui.element("section").classes("card"):
            self._title = ui.html("Centroids over recent points", sanitize=False, tag="h2")
            with ui.element("div").classes("layers"):
                self._points = ui.html("", sanitize=False)
                self._centroids = ui.html("", sanitize=False).classes("above")
            self._label_names = ui.label().classes("note")

    def _build_assigning(self) -> None:
        with ui.element("section").classes("card"):
            ui.html("Assign points", sanitize=False, tag="h2")
            with ui.element("div").classes("form"):
                self._asked = ui.textarea("Points: a row a line").props("rows=3 outlined").style("flex: 1 1 280px")
                ui.button("Assign", on_click=self._assign, color=None).props("unelevated no-caps").classes("primary")
            self._labels = ui.label().props('aria-live="polite"')

    def _build_form(self) -> None:
        with ui.element("section").classes("card"):
            ui.html("Change the session", sanitize=False, tag="h2")
            with ui.element("div").classes("form"):
                # NiceGUI's own `min` would make a 0 that is left behind a 1, and most of the clusters would be merged.
                self._n_clusters = ui.number("Clusters (k)", step=1, format="%d").classes("number")
                self._engine = ui.select(["numba", "sklearn", "scipy"], label="Engine")
                self._half_life = ui.input("Half-life", placeholder="such as 1000 points")
                ui.button("Apply", on_click=self._apply).props("flat no-caps")

    def _build_figures(self) -> None:
        with ui.element("section").classes("card over-time"):
            self._inertia, self._rate = ui.html("", sanitize=False), ui.html("", sanitize=False)
        with ui.element("section").classes("card"):
            ui.html("Events (UTC)", sanitize=False, tag="h2")
            with ui.element("div").classes("scroll short").props('tabindex="0" role="region" aria-label="Events"'):
                self._events = ui.html("", sanitize=False, tag="ol").classes("events")
        with ui.element("section").classes("card charts"):
            self._weights, self._movement = ui.html("", sanitize=False), ui.html("", sanitize=False)
            self._palette = ui.html("", sanitize=False)

    def _refresh(self) -> None:
        feed = self._feed
        if self._looks != feed.looks:
            self._looks = feed.looks
            self._show_looks(feed)
        if self._frames != feed.frames:
            self._frames = feed.frames
            self._centroids.set_content(feed.pictures.centroids)

    def _show_events(self) -> None:
        events = self._feed.events
        if self._events_shown != events.revision:
            self._events_shown = events.revision
            self._events.set_content(events.html)

    def _show_looks(self, feed: SessionFeed) -> None:
        """Show what changes at most once a second."""
        self._error_banner.say_lost(feed.error)
        self._show_description(None if feed.error else feed.description)
        pictures = feed.pictures
        self._rate.set_content(pictures.rate)
        self._inertia.set_content(pictures.inertia)
        if pictures.points:
            self._title.set_content(pictures.title)
        self._points.set_content(pictures.points)
        # Bars are longer texts than all centroids: ten times a second they would cost more than the plot.
        self._weights.set_content(pictures.weights)
        self._movement.set_content(pictures.movement)
        self._palette.set_content(pictures.palette)
        self._label_names.set_text(pictures.labels)
        self._centroids.set_content(pictures.centroids)

    def _show_description(self, description: shoal.SessionDescription | None) -> None:
        if description is None:
            self._facts.set_text("")
            return
        config = description.config
        warming = description.warming
        state = f"warming: {warming.seen} of {warming.needed} points" if warming else "ready"
        half_life = f"half-life {half_life_text(config.half_life)} · " if config.half_life else ""
        if not description.points_accepted:
            self._title.set_content(f"Waiting for points: shoal ingest {escape(description.name)} points.csv")
        self._facts.set_text(
            f"{state} · {config.engine} · {config.update_rule} · {config.metric} · k {config.n_clusters} · "
            f"d {config.n_features or '–'} · {half_life}version {description.version:,} · "
            f"{count_text(description.points_accepted, 'point')} · {count_text(description.watchers, 'watcher')}"
        )
        self._fill_form(config)

    def _fill_form(self, config: shoal.SessionConfig) -> None:
        """Show the fields of the form, unless the visitor has begun to change them."""
        shown = self._config
        if shown is not None and self._changes(shown):
            return
        self._n_clusters.set_value(config.n_clusters)
        self._engine.set_value(config.engine)
        self._half_life.set_value(half_life_text(config.half_life))
        self._config = config

    def _changes(self, shown: shoal.SessionConfig) -> bool:
        return bool(
            self._n_clusters.value != shown.n_clusters
            or self._engine.value != shown.engine
            or (self._half_life.value or "") != half_life_text(shown.half_life)
        )

    def _use(self, n_clusters: int) -> None:
        """Fill in a number of clusters, for the visitor to apply."""
        self._n_clusters.set_value(n_clusters)
        self._n_clusters.run_method("focus")
        ui.notify(f"Press Apply to change the session to {count_text(n_clusters, 'cluster')}")

    async def _assign(self) -> None:
        self._labels.set_text("")
        with self._error_banner.catch_errors():
            assignment = await self._session.assign(parse_points(self._asked.value or ""))
            labels = " ".join(map(str, assignment.labels[:_MAX_LABELS].tolist()))
            if len(assignment.labels) > _MAX_LABELS:
                labels += f" … and {len(assignment.labels) - _MAX_LABELS:,} more"
            self._labels.set_text(f"labels at version {assignment.version:,}: {labels}")

    async def _apply(self) -> None:
        shown = self._config
        if shown is None or not self._changes(shown):
            ui.notify("There is nothing to change")
            return
        with self._error_banner.catch_errors():
            changes: dict[str, Any] = {}  # only what the visitor has changed: another may have changed the rest
            if self._n_clusters.value != shown.n_clusters:
                changes["n_clusters"] = _parse_number(self._n_clusters.value)
            if self._engine.value != shown.engine:
                changes["engine"] = self._engine.value
            if (self._half_life.value or "") != half_life_text(shown.half_life):
                changes["half_life"] = parse_half_life(self._half_life.value or "")
            self._config, changed = None, await self._session.update(**changes)
            self._fill_form(changed.config)
            ui.notify("Changed for the next batches")


def _parse_number(value: float | None) -> int:
    if value is None:
        raise ParseError("k must be a whole number, such as 8")
    return int(value)
