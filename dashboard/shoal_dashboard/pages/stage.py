"""The main part of the comparison page: the panels, tables and program of a run, or points that are still too few."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from html import escape
from itertools import count

import numpy as np
from nicegui import events, ui
from numpy.typing import NDArray

from shoal_presentation.drawing import Scale, Scene, draw, scale_around
from shoal_presentation.report import PlayerParts
from shoal_presentation.views import Run

_PLANE = 2  # columns: points can be clicked in

Points = NDArray[np.float64]


class StageView:
    """Shows a run.

    Parameters
    ----------
    on_point
        Called with the coordinates of a point that was clicked into the plot.
    """

    def __init__(self, on_point: Callable[[float, float], None]) -> None:
        self._on_point = on_point
        self._numbers = count(1)
        self.scale: Scale | None = None
        """The scale of the plots, if the visitor can click points into them."""
        self._root = ui.html("", sanitize=False)
        ui.on("plot_click", self._on_click)

    def show(self, run: Run, stage: PlayerParts, *, is_first: bool) -> None:
        """Show a run from its first step. A visitor's first run plays by itself."""
        self.scale = stage.scale if run.start.points.shape[1] == _PLANE else None
        left = f"{stage.panels}{_card('', stage.controls)}{_card('The program', stage.code)}"
        right = f"{_card('Execution table', stage.table)}{_card('Variable tracker', stage.tracker)}"
        note = f'<p class="axes">{stage.axes} Click into a plot to add a point.</p>' if self.scale else ""
        content = f"{stage.flow}<div>{left}</div><div>{right}</div>{note}{stage.steps}"
        self._fill(content, is_first=is_first)

    def show_points(self, points: Points, missing: str) -> None:
        """Show points (n, 2) that are too few to compare, and say how many are missing."""
        corners = np.concatenate([points, [[0.0, 0.0], [10.0, 10.0]]])
        self.scale = scale_around(corners.min(axis=0), corners.max(axis=0))
        scene = Scene(points, None, np.empty((0, 2)), np.empty(0, np.int32))
        drawn = draw(scene, self.scale, f"{len(points)} points", ("column 1", "column 2"))
        caption = f"<figcaption><b>{escape(missing)}</b></figcaption>"
        self._fill(f'<div class="panels"><figure class="card panel">{caption}{drawn}</figure></div>', is_first=False)

    def _fill(self, content: str, *, is_first: bool) -> None:
        number = next(self._numbers)
        self._root.set_content(f'<div class="stage" data-run="{number}">{content}</div>')
        ui.run_javascript(f"shoalStage({number}, {json.dumps(is_first)})")

    def _on_click(self, event: events.GenericEventArguments) -> None:
        if self.scale is None:
            ui.notify("You can add points by clicking only if the points have two columns", type="warning")
            return
        x, y = self.scale.to_plot(*event.args)
        self._on_point(*(round(value, digits) for value, digits in zip((x, y), _digits(self.scale), strict=True)))


def _digits(scale: Scale) -> list[int]:
    """Return the number of decimals for a place on each axis, so that it is precise to a thousandth of the axis."""
    return [3 - math.floor(math.log10(extent)) for extent in (scale.high - scale.low).tolist()]


def _card(title: str, content: str) -> str:
    return f'<section class="card">{f"<h2>{title}</h2>" if title else ""}{content}</section>'
