"""The form of a comparison: points, centroids, engines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import events, ui

from shoal_dashboard.parameters import ENGINES, EXAMPLES, WAYS, Parameters
from shoal_dashboard.texts import TextError

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
        with ui.element("section").classes("card").props('aria-label="What is compared"'):
            with ui.element("div").classes("form"):
                sources = {**EXAMPLES, OWN: "My own points"}
                self._source = ui.select(sources, value=parameters.example or OWN, label="Points")
                self._n_clusters = ui.number("Clusters (k)", value=parameters.n_clusters, min=1, step=1, format="%d")
                self._init = ui.select(WAYS, value=parameters.init, label="First centroids")
                self._engines = ui.select(
                    ENGINES, value=list(parameters.engines), label="Engines, in their order", multiple=True
                ).props("use-chips")
                state = parameters.random_state
                self._random_state = ui.number("random_state", value=state, min=0, max=2**32 - 1, step=1, format="%d")
                self._max_iter = ui.number(
                    "Iterations at most", value=parameters.max_iter, min=1, max=1000, step=1, format="%d"
                )
                self._run = ui.button("Run", on_click=on_run, color=None).props("unelevated no-caps").classes("primary")
                ui.button("Copy link", on_click=self._copy_link).props("flat no-caps")
            with ui.element("div").classes("form") as own:
                self._points = (
                    ui.textarea("Points: a row a line, such as 1, 2", value=parameters.points)
                    .props("rows=5 autogrow=false outlined")
                    .style("flex: 1 1 320px")
                )
                ui.upload(label="or a CSV file", on_upload=self._take_file, auto_upload=True).props(
                    'accept=".csv,.txt" flat bordered'
                ).style("max-width: 260px")
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
        return Parameters(
            example=None if self._source.value == OWN else self._source.value,
            points=self._points.value or "",
            n_clusters=_whole("Clusters (k)", self._n_clusters.value),
            init=self._init.value,
            centroids=self._centroids.value or "",
            random_state=None if self._random_state.value is None else int(self._random_state.value),
            engines=tuple(self._engines.value),
            max_iter=_whole("Iterations at most", self._max_iter.value),
        )

    def add_point(self, x: float, y: float) -> None:
        """Add a point to those of one's own; the first one begins with the points that are shown."""
        before = self._points.value.rstrip() if self._source.value == OWN else ""
        self._source.set_value(OWN)
        self._points.set_value(f"{before}\n{x:.4g}, {y:.4g}".strip())

    def link_to(self, parameters: Parameters) -> None:
        """Let the address of the page be that of a comparison."""
        query = parameters.query()
        self._link = f"/?{query}" if query else ""
        if self._link:
            ui.navigate.history.replace(self._link)

    async def _take_file(self, event: events.UploadEventArguments) -> None:
        self._points.set_value((await event.file.text()).strip())

    async def _copy_link(self) -> None:
        if not self._link:
            ui.notify("These points are too many for a link", type="warning")
            return
        ui.run_javascript(f"navigator.clipboard.writeText(location.origin + {self._link!r})")
        ui.notify("The link is on the clipboard")


def _whole(name: str, value: float | None) -> int:
    if value is None:
        raise TextError(f"{name} is empty; give a whole number")
    return int(value)
