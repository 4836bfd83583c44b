"""The form of a comparison: points, centroids, engines. When closed, it shows a one-line summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape

import numpy as np
from nicegui import events, ui
from numpy.typing import NDArray

from shoal_dashboard.parameters import ENGINES, EXAMPLES, WAYS, Parameters
from shoal_dashboard.parsing import ParseError, format_points

OWN = "own"
_MAX_TYPED = 900_000  # characters: a message of the page's socket takes a megabyte
_MAX_SHOWN = 200_000  # characters of a file that are put into the box: each change of it is sent whole
_MEGABYTES = 20  # of a file


class Form:
    """The fields of a comparison.

    Parameters
    ----------
    parameters
        The initial values.
    on_run
        Called when the visitor runs the comparison.
    """

    def __init__(self, parameters: Parameters, on_run: Callable[[], None]) -> None:
        self._link: str | None = None  # None: these fields have not been run; empty: too long for a link
        self._on_run = on_run
        self._file: str | None = None  # a text too large for the box
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
        """Return the values of the fields.

        Raises
        ------
        ParseError
            If a number is missing.
        """
        self._link = None
        return Parameters(
            example=None if self._source.value == OWN else self._source.value,
            points=self._own_text() if self._source.value == OWN else "",
            n_clusters=_whole("Clusters (k)", self._n_clusters.value),
            init=self._init.value,
            centroids=self._centroids.value or "",
            random_state=None if self._random_state.value is None else int(self._random_state.value),
            engines=tuple(self._engines.value),
            max_iter=_whole("max_iter", self._max_iter.value),
            tol=0.0 if self._tol.value is None else float(self._tol.value),
        )

    def add_point(self, x: float, y: float, shown: NDArray[np.generic] | None) -> None:
        """Add a point to the visitor's own points; if there are none yet, to the points (n, 2) that are shown."""
        before = self._points.value.rstrip()
        if self._source.value != OWN or self._file is not None:
            before = "" if shown is None else format_points(shown.astype(np.float64))
        self._source.set_value(OWN)
        self._take_text(f"{before}\n{format_points(np.array([[x, y]]))}".strip(), "the points")

    def show(self, parameters: Parameters, *, is_first: bool) -> None:
        """Show the summary of the comparison, and set the page's address to its link."""
        self._summary.set_content(_summary(parameters))
        query = parameters.query()
        self._link = f"/?{query}" if query else ""
        if not query:
            ui.notify("There are too many points for a link: reloading the page will lose them", type="warning")
        history = ui.navigate.history
        (history.replace if is_first else history.push)(self._link or "/")

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
        self._tol = ui.number("tol", value=parameters.tol, min=0)
        for number in (self._n_clusters, self._random_state, self._max_iter, self._tol):
            number.classes("number").on("keydown.enter", self._on_run)
        self._n_clusters.on_value_change(self._fit_init)
        self._source.on_value_change(self._fit_init)
        ui.button("Run", on_click=self._on_run, color=None).props("unelevated no-caps").classes("primary")
        ui.button("Copy link", on_click=self._copy_link).props("flat no-caps")

    def _build_points(self, parameters: Parameters) -> None:
        self._points = (
            ui.textarea("Points: a row a line, such as 1, 2", value=parameters.points)
            .props(f"rows=5 autogrow=false outlined maxlength={_MAX_TYPED}")
            .style("flex: 1 1 320px")
        )
        with ui.element("div").style("max-width: 260px"):
            self._upload = ui.upload(
                label="or a CSV file",
                on_upload=self._take_file,
                on_rejected=lambda: self._show_file_note(f"Choose a .csv or .txt file of at most {_MEGABYTES} MB"),
                auto_upload=True,
                max_file_size=_MEGABYTES * 1_000_000,
            ).props('accept=".csv,.txt" flat bordered')
            self._file_note = ui.label().props('aria-live="polite"')
        ui.button("Begin with no points", on_click=self._clear).props("flat no-caps")

    def _fit_init(self) -> None:
        """Change from given centroids to k-means++ if the centroids don't belong to this k or these points."""
        if self._init.value != "given":
            return
        rows = len(self._centroids.value.strip().splitlines())
        if rows != self._n_clusters.value or self._source.value not in {OWN, "six-points"}:
            self._init.set_value("k-means++")

    def _own_text(self) -> str:
        if self._file is not None:
            return self._file
        typed = self._points.value or ""
        if len(typed) >= _MAX_TYPED:
            raise ParseError(f"the box is full ({_MAX_TYPED:,} characters): upload the points as a file")
        return typed

    async def _take_file(self, event: events.UploadEventArguments) -> None:
        try:
            text = (await event.file.read()).decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            self._show_file_note(f"{event.file.name} is no text in UTF-8: byte {error.start} is none")
            return
        self._upload.reset()
        self._take_text(text, event.file.name)

    def _take_text(self, text: str, name: str) -> None:
        """Put a text into the box, or keep it beside the box if it is too large."""
        fits = len(text) < _MAX_SHOWN
        self._file = None if fits else text
        self._points.set_value(text if fits else "")
        self._points.set_enabled(fits)
        rows = text.count("\n") + 1
        self._show_file_note("" if fits else f"{rows:,} rows of {name}: too many for the box, and taken as they are")

    def _show_file_note(self, text: str) -> None:
        self._file_note.set_text(text)

    def _clear(self) -> None:
        self._take_text("", "")
        self._on_run()

    async def _copy_link(self) -> None:
        if self._link is None:
            ui.notify("Run the comparison first, then copy its link", type="warning")
        elif not self._link:
            ui.notify("There are too many points for a link", type="warning")
        elif await ui.run_javascript(f"shoalCopy(location.origin + {json.dumps(self._link)})"):
            ui.notify("The link is on the clipboard")
        else:
            ui.notify("This browser doesn't let pages copy. Copy the address of the page instead", type="warning")


def _summary(asked: Parameters) -> str:
    points = EXAMPLES.get(asked.example or "", "Points of your own")
    engines = ", ".join(ENGINES[engine] for engine in asked.engines)
    said = f"{points} · k = {asked.n_clusters} · first centroids: {WAYS[asked.init]} · {engines}"
    return f"{escape(said)} <b>Change</b>"


def _whole(name: str, value: float | None) -> int:
    if value is None:
        raise ParseError(f"{name} is empty; give a whole number")
    if value != int(value):
        raise ParseError(f"{name} is {value:g}; give a whole number")
    return int(value)
