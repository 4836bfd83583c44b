"""The stage of a comparison: flow, a panel an engine, controls, code, table and tracker, all at the same step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from nicegui import ui
from nicegui.element import Element

import shoal
from shoal.views import Plot, Row, Run, code_of, flow_of, lit_by, plot_of, rows_of, track, words_of
from shoal.views.numbers import number_text
from shoal_dashboard.drawing import Frame, Scene, draw
from shoal_dashboard.player import SPEEDS, Player


class Stage:
    """Shows a run.

    Parameters
    ----------
    on_point
        Called with the point where the plot was clicked.
    """

    def __init__(self, on_point: Callable[[float, float], None]) -> None:
        self._on_point = on_point
        self._run: Run | None = None
        self._rows: tuple[Row, ...] = ()
        self._lit: list[Element] = []
        self.player = Player(self._refresh)
        with ui.element("div").classes("stage") as self._root:
            with ui.element("div"):
                self._build_plots()
            with ui.element("div"):
                self._table = _card("Execution table")
                self._tracker = _card("Variable tracker")
                self._code = _card("Code of this run")
        self._root.set_visibility(False)
        self._timer = ui.timer(SPEEDS["normal"], self.player.tick)

    def show(self, run: Run) -> None:
        """Show a run from its beginning."""
        self._run, self._rows, self._lit = run, rows_of(run), []
        self._steps = {step.number: step for step in run.steps}
        self._plot = plot_of(run)
        self._frame = Frame.around(np.stack(self._plot.bounds))
        self._fill_flow(run)
        self._fill_panels(run, self._plot)
        self._fill_table(run)
        self._fill_tracker(run)
        self._fill_code(run)
        self._slider.props(f"max={len(self._rows)}")
        self._root.set_visibility(True)
        self.player.load(len(self._rows))

    def drawing(self, engine: str) -> str:
        """Return an engine's panel as it is shown, as SVG."""
        return str(self._plots[engine][0].content)

    def _build_plots(self) -> None:
        self._flow_list = ui.element("ol").classes("flow").props('aria-label="The flow of k-means"')
        self._panels = ui.element("div").classes("panels")
        with ui.element("div").classes("transport card").props('role="group" aria-label="Steps"'):
            self._button("first_page", "First step", lambda: self.player.go_to(0))
            self._button("chevron_left", "Step back", lambda: self.player.go_to(self.player.place - 1))
            self._play = self._button("play_arrow", "Play", self.player.toggle)
            self._button("chevron_right", "Step forward", lambda: self.player.go_to(self.player.place + 1))
            self._button("last_page", "Last step", lambda: self.player.go_to(self.player.count - 1))
            self._slider = ui.slider(min=1, max=1, step=1, value=1).props('aria-label="Step" label')
            self._slider.on("update:model-value", lambda event: self.player.go_to(int(event.args) - 1))
            self._where = ui.label().classes("where").props('aria-live="polite"')
            speed = ui.select(list(SPEEDS), value="normal", label="Speed").props("dense")
            speed.on_value_change(lambda event: setattr(self._timer, "interval", SPEEDS[event.value]))

    def _button(self, icon: str, name: str, on_click: Callable[[], None]) -> ui.button:
        return ui.button(icon=icon, on_click=on_click).props(f'flat round dense aria-label="{name}"').tooltip(name)

    def _fill_flow(self, run: Run) -> None:
        self._flow_list.clear()
        with self._flow_list:
            self._stages = {
                stage.name: ui.html(
                    f"{escape(stage.title)} <small>{escape(stage.detail)}</small>", sanitize=False, tag="li"
                )
                for stage in flow_of(run).stages
            }

    def _fill_panels(self, run: Run, plot: Plot) -> None:
        self._panels.clear()
        self._plots: dict[str, tuple[ui.html, ui.label]] = {}
        with self._panels:
            for engine in run.engines:
                with ui.element("section").classes("card panel"):
                    ui.html(escape(words_of(engine).library), sanitize=False, tag="h2")
                    drawn = ui.html("", sanitize=False)
                    drawn.on("click", self._on_click, js_handler=_CLICK)
                    self._plots[engine] = (drawn, ui.label().classes("objective"))
            ui.label(" · ".join(axis.name for axis in plot.axes if axis.name)).classes("axes")

    def _fill_table(self, run: Run) -> None:
        self._table.clear()
        with self._table, ui.element("table").classes("execution"):
            with ui.element("thead"), ui.element("tr"):
                _cell("th", "step", 'scope="col"')
                _cell("th", "action", 'scope="col"')
                for engine in run.engines:
                    _cell("th", f"{words_of(engine).library} centroids", 'scope="col"')
                    _cell("th", f"{words_of(engine).library} labels", 'scope="col"')
            with ui.element("tbody"):
                self._table_rows = [self._table_row(row) for row in self._rows]

    def _table_row(self, row: Row) -> Element:
        with ui.element("tr") as drawn:
            _cell("th", str(row.number), 'scope="row"')
            _cell("td", row.action)
            for cell in row.cells.values():
                _cell("td", cell.centroids)
                _cell("td", cell.labels)
        return drawn

    def _fill_tracker(self, run: Run) -> None:
        tracker = track(run)
        self._moments = [moment.step for moment in tracker.moments]
        self._columns: list[list[Element]] = [[] for _ in tracker.moments]
        self._tracker.clear()
        with self._tracker, ui.element("table").classes("tracker"):
            with ui.element("thead"), ui.element("tr"):
                _cell("th", "variable", 'scope="col"')
                for place, moment in enumerate(tracker.moments):
                    self._columns[place].append(_cell("th", moment.name, 'scope="col"'))
            with ui.element("tbody"):
                for name, values in tracker.variables:
                    with ui.element("tr"):
                        _cell("th", name, 'scope="row"')
                        for place, value in enumerate(values):
                            cell = _cell("td", value)
                            if place and value != values[place - 1]:
                                cell.classes("changed")
                            self._columns[place].append(cell)

    def _fill_code(self, run: Run) -> None:
        sample = code_of(run)
        self._lines_of = sample.lines
        self._code.clear()
        with self._code, ui.element("pre").classes("code"):
            self._lines = [
                ui.html(escape(line) or " ", sanitize=False, tag="span").classes("line")
                for line in sample.source.splitlines()
            ]

    def _refresh(self) -> None:
        """Let everything show the step that the player is at."""
        if self._run is None:
            return
        row = self._rows[self.player.place]
        self._light(row)
        self._slider.set_value(self.player.place + 1)
        self._where.set_text(f"step {row.number} of {len(self._rows)}")
        self._play.props(f"icon={'pause' if self.player.playing else 'play_arrow'}")
        self._play.props(f'aria-label="{"Pause" if self.player.playing else "Play"}"')
        for engine in self._run.engines:
            self._draw(self._run, engine, row)

    def _light(self, row: Row) -> None:
        for element in self._lit:
            element.classes(remove="lit").props(remove="aria-current")
        current = self._table_rows[self.player.place]
        step = self._steps.get(row.number)
        stages = [self._stages[name] for name in (lit_by(step) if step else ("stop",))]
        lines = [self._lines[number - 1] for number in self._lines_of.get(row.number, ())]
        self._lit = [current, *stages, *lines, *self._columns[self._moment(row)]]
        for element in self._lit:
            element.classes("lit")
        for element in (current, *stages):
            element.props('aria-current="step"')
        ui.run_javascript(_FOLLOW)

    def _moment(self, row: Row) -> int:
        """Return the last moment of the tracker that is not after a row."""
        if row.engine is None:
            return len(self._moments) - 1
        reached = [place for place, step in enumerate(self._moments) if step is not None and step <= row.number]
        return reached[-1] if reached else 0

    def _draw(self, run: Run, engine: str, row: Row) -> None:
        drawn, objective = self._plots[engine]
        steps = [step for step in run.steps if step.engine == engine and step.number <= row.number]
        objective.set_text(_objective(steps))
        plot = self._plot
        title = f"{words_of(engine).library} at step {row.number}"
        labels = [-1] * len(plot.points)
        if not steps:
            nothing = np.empty((0, 2))
            drawn.set_content(draw(Scene(title, plot.points, labels, nothing, [], [], regions=False), self._frame))
            return
        frame = plot.frames[steps[-1].number]
        scene = Scene(
            title=title,
            points=plot.points,
            labels=labels if frame.point_colours is None else frame.point_colours.tolist(),
            centroids=frame.centroids,
            clusters=frame.colours.tolist(),
            trails=[trail.places for trail in frame.trails],
            regions=run.start.points.shape[1] == 2,  # noqa: PLR2004  (only then is near on the drawing near)
        )
        drawn.set_content(draw(scene, self._frame))

    def _on_click(self, event: object) -> None:
        place = getattr(event, "args", None)
        if isinstance(place, list):
            self._on_point(*self._frame.point_at(*place))


# Where on the drawing it was clicked, in its own units.
_CLICK = """(event) => {
    const svg = event.target.closest("svg");
    if (!svg) return;
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    emit([place.x, place.y]);
}"""

# What is lit is scrolled to within its own card, and never the page.
_FOLLOW = """for (const card of document.querySelectorAll(".scroll")) {
    const lit = card.querySelector(".lit");
    if (!lit) continue;
    const [outer, inner] = [card.getBoundingClientRect(), lit.getBoundingClientRect()];
    if (inner.top < outer.top + 30 || inner.bottom > outer.bottom) card.scrollTop += inner.top - outer.top - 60;
    if (inner.left < outer.left || inner.right > outer.right) {
        if (lit.tagName !== "TR") card.scrollLeft += inner.right - outer.right;
    }
}"""


def _objective(steps: Sequence[shoal.ComparisonStep]) -> str:
    """Say how well the points fit, as of the last step that says."""
    said = [step for step in steps if step.inertia is not None and step.distortion is not None]
    if not said:
        return "not assigned yet" if steps else "has not begun"
    return f"inertia {number_text(said[-1].inertia or 0.0)} · mean distance {number_text(said[-1].distortion or 0.0)}"


def _card(title: str) -> Element:
    """Draw a card with a heading, and what scrolls in it, by keys as well."""
    with ui.element("section").classes("card"):
        ui.html(title, sanitize=False, tag="h2")
        return ui.element("div").classes("scroll").props(f'tabindex="0" role="region" aria-label="{title}"')


def _cell(tag: str, text: str, props: str = "") -> Element:
    cell = ui.html(escape(text), sanitize=False, tag=tag)
    return cell.props(props) if props else cell
