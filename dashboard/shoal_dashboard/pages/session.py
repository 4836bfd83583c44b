"""One session, live: its centroids over recent points, its weights and figures, and what can be changed in place."""

from __future__ import annotations

from html import escape

from nicegui import ui

import shoal
import shoal.aio
from shoal.views.numbers import count_text
from shoal_dashboard.frame import page_frame
from shoal_dashboard.live import Live, Lives
from shoal_dashboard.pages.sessions import parse_half_life
from shoal_dashboard.texts import parse_points
from shoal_dashboard.trouble import Trouble

_FRAME_SECONDS = 0.1


def add_page(client: shoal.aio.Client) -> None:
    """Add the page, for a client of the server."""
    lives = Lives(client)

    @ui.page("/sessions/{name}")
    async def session(name: str) -> None:
        with page_frame(f"Session {name}", "/sessions", client.target):
            SessionPage(client, lives.of(name))


class SessionPage:
    """One visitor's view of one session."""

    def __init__(self, client: shoal.aio.Client, live: Live) -> None:
        self._client, self._live = client, live
        self._frames = self._looks = 0
        ui.html(f"Session {escape(live.name)}", sanitize=False, tag="h1")
        self._facts = ui.label().classes("lead")
        self._trouble = Trouble()
        with ui.element("div").classes("stage"):
            with ui.element("div"):
                self._build_plot()
                self._build_assigning()
            with ui.element("div"):
                self._build_figures()
        leave = live.shared.enter()
        ui.context.client.on_delete(leave)
        ui.timer(_FRAME_SECONDS, self._refresh)

    def _build_plot(self) -> None:
        with ui.element("section").classes("card"):
            self._title = ui.html("Centroids over recent points", sanitize=False, tag="h2")
            with ui.element("div").classes("layers"):
                self._points = ui.html("", sanitize=False)
                self._centroids = ui.html("", sanitize=False).classes("above")

    def _build_assigning(self) -> None:
        with ui.element("section").classes("card"):
            ui.html("Ask for labels", sanitize=False, tag="h2")
            with ui.element("div").classes("form"):
                self._asked = ui.textarea("Points: a row a line").props("rows=3 outlined").style("flex: 1 1 280px")
                ui.button("Assign", on_click=self._assign, color=None).props("unelevated no-caps").classes("primary")
            self._labels = ui.label().props('aria-live="polite"')

    def _build_figures(self) -> None:
        with ui.element("section").classes("card"):
            ui.html("Change in place", sanitize=False, tag="h2")
            with ui.element("div").classes("form"):
                self._engine = ui.select(["numba", "sklearn", "scipy"], label="Engine")
                self._half_life = ui.input("Half-life", placeholder="such as 1000 points")
                ui.button("Apply", on_click=self._apply).props("flat no-caps")
        with ui.element("section").classes("card charts"):
            self._rate, self._inertia = ui.html("", sanitize=False), ui.html("", sanitize=False)
        with ui.element("section").classes("card charts"):
            self._weights, self._movement = ui.html("", sanitize=False), ui.html("", sanitize=False)
            self._palette = ui.html("", sanitize=False)
        with ui.element("section").classes("card"):
            ui.html("Events", sanitize=False, tag="h2")
            self._events = ui.html("", sanitize=False, tag="ol").classes("events")

    def _refresh(self) -> None:
        live = self._live
        if self._looks != live.looks:
            self._looks = live.looks
            self._show_looks(live)
        if self._frames != live.frames:
            self._frames = live.frames
            self._centroids.set_content(live.pictures.centroids)

    def _show_looks(self, live: Live) -> None:
        """Show what is looked at once a second."""
        self._trouble.say_lost(live.trouble)
        self._show_description(live.description)
        self._events.set_content(
            "".join(f"<li><time>{event.when:%H:%M:%S}</time> {escape(event.text)}</li>" for event in live.events)
        )
        pictures = live.pictures
        self._rate.set_content(pictures.rate)
        self._inertia.set_content(pictures.inertia)
        self._title.set_content(pictures.title)
        self._points.set_content(pictures.points)
        # Bars are longer texts than all centroids: ten times a second they would cost more than the plot.
        self._weights.set_content(pictures.weights)
        self._movement.set_content(pictures.movement)
        self._palette.set_content(pictures.palette)
        self._centroids.set_content(pictures.centroids)

    def _show_description(self, description: shoal.SessionDescription | None) -> None:
        if description is None:
            return
        config = description.config
        warming = description.warming
        state = f"warming: {warming.seen} of {warming.needed} points" if warming else "ready"
        self._facts.set_text(
            f"{state} · {config.engine} · k {config.n_clusters} · d {config.n_features or '–'} · version "
            f"{description.version:,} · {count_text(description.points_accepted, 'point')} · "
            f"{count_text(description.watchers, 'watcher')}"
        )
        if self._engine.value is None:
            self._engine.set_value(config.engine)
            half_life = config.half_life
            self._half_life.set_value(f"{half_life.value:g} {half_life.unit}" if half_life else "")

    async def _assign(self) -> None:
        with self._trouble.told():
            assignment = await self._client.session(self._live.name).assign(parse_points(self._asked.value or ""))
            labels = " ".join(map(str, assignment.labels.tolist()))
            self._labels.set_text(f"labels at version {assignment.version:,}: {labels}")

    async def _apply(self) -> None:
        with self._trouble.told():
            half_life = parse_half_life(self._half_life.value or "")
            await self._client.session(self._live.name).update(engine=self._engine.value, half_life=half_life)
            ui.notify("Changed, in its place among the batches")
