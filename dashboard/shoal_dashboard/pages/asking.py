"""The form of a comparison: points, centroids, engines. Closed it says in a line what is compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape

import numpy as np
from nicegui import events, ui
from numpy.typing import NDArray

from shoal_dashboard.parameters import ENGINES, EXAMPLES, WAYS, Parameters
from shoal_dashboard.texts import TextError, format_points

OWN = "own"


class Form:
    """What a visitor asks for.

    Parameters
    ----------
    parameters
        What it begins with.
    on_run
        Called when it is sent.
    """

    def __init__(self, parameters: Parameters, on_run: Callable[[], Awaitable[None]]) -> None:
        self._link = ""
        self._on_run = on_run
        with ui.element("details").classes("card asking"):
            with ui.element("summary"):
                self._summary = ui.html(_summary(parameters), sanitize=False, tag="span")
            with ui.element("div").classes("form"):
                self._build_fields(parameters)
            with ui.element("div").classes("form") as own:
                self._build_points(parameters)
            own.bind_visibility_from(self._source, "value", value=OWN)
            with ui.element("div").classes("form") as given:
                self._centroids = (
                    ui.textarea("First centroids: a row each", value=parameters.centroids)
                    .props("rows=3 outlined")
                    .style("flex: 1 1 320px")
                )
            given.bind_visibility_from(self._init, "value", value="given")

    def parameters(self) -> Parameters:
        """Return what is asked for.

        Raises
        ------
        TextError
            If a number is missing.
        """
        asked = Parameters(
            example=None if self._source.value == OWN else self._source.value,
            points=self._points.value or "",
            n_clusters=_whole("Clusters (k)", self._n_clusters.value),
            init=self._init.value,
            centroids=self._centroids.value or "",
            random_state=None if self._random_state.value is None else int(self._random_state.value),
            engines=tuple(self._engines.value),
            max_iter=_whole("max_iter", self._max_iter.value),
        )
        self._summary.set_content(_summary(asked))
        return asked

    def add_point(self, x: float, y: float, shown: NDArray[np.float64] | None) -> None:
        """Add a point to those of one's own; the first one is added to the points (n, 2) that are shown."""
        before = self._points.value.rstrip()
        if self._source.value != OWN:
            before = "" if shown is None else format_points(shown)
        self._source.set_value(OWN)
        self._points.set_value(f"{before}\n{x:.4g}, {y:.4g}".strip())

    def link_to(self, parameters: Parameters) -> None:
        """Let the address of the page be that of a comparison."""
        query = parameters.query()
        self._link = f"/?{query}" if query else ""
        ui.navigate.history.replace(self._link or "/")

    def _build_fields(self, parameters: Parameters) -> None:
        sources = {**EXAMPLES, OWN: "My own points"}
        self._source = ui.select(sources, value=parameters.example or OWN, label="Points")
        self._n_clusters = ui.number("Clusters (k)", value=parameters.n_clusters, min=1, step=1, format="%d")
        self._init = ui.select(WAYS, value=parameters.init, label="First centroids")
        self._engines = ui.select(
            ENGINES, value=list(parameters.engines), label="Engines, in their order", multiple=True
        ).props("use-chips")
        state = parameters.random_state
        self._random_state = ui.number("random_state", value=state, min=0, max=2**32 - 1, step=1, format="%d")
        self._max_iter = ui.number("max_iter", value=parameters.max_iter, min=1, max=1000, step=1, format="%d")
        for number in (self._n_clusters, self._random_state, self._max_iter):
            number.classes("number")
        ui.button("Run", on_click=self._on_run, color=None).props("unelevated no-caps").classes("primary")
        ui.button("Copy link", on_click=self._copy_link).props("flat no-caps")

    def _build_points(self, parameters: Parameters) -> None:
        self._points = (
            ui.textarea("Points: a row a line, such as 1, 2", value=parameters.points)
            .props("rows=5 autogrow=false outlined")
            .style("flex: 1 1 320px")
        )
        ui.upload(label="or a CSV file", on_upload=self._take_file, auto_upload=True).props(
            'accept=".csv,.txt" flat bordered'
        ).style("max-width: 260px")
        ui.button("Begin with no points", on_click=self._clear).props("flat no-caps")

    async def _take_file(self, event: events.UploadEventArguments) -> None:
        self._points.set_value((await event.file.text()).strip())

    async def _clear(self) -> None:
        self._points.set_value("")
        await self._on_run()

    async def _copy_link(self) -> None:
        if not self._link:
            ui.notify("These points are too many for a link", type="warning")
            return
        ui.run_javascript(f"navigator.clipboard.writeText(location.origin + {self._link!r})")
        ui.notify("The link is on the clipboard")


def _summary(asked: Parameters) -> str:
    points = EXAMPLES.get(asked.example or "", "Points of your own")
    engines = ", ".join(ENGINES[engine] for engine in asked.engines)
    said = f"{points} · k = {asked.n_clusters} · first centroids: {WAYS[asked.init]} · {engines}"
    return f"{escape(said)} <b>Change</b>"


def _whole(name: str, value: float | None) -> int:
    if value is None:
        raise TextError(f"{name} is empty; give a whole number")
    return int(value)
