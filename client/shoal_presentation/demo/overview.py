"""One picture of the whole demo: the photograph, each engine's result, and the inertia per point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from numpy.typing import NDArray

from shoal_presentation.demo.pictures import as_colours, palette, spectrum
from shoal_presentation.demo.plots import draw_inertia
from shoal_presentation.demo.results import DemoResults, EngineRun
from shoal_presentation.demo.style import Style

_DPI = 120
_SIZE = (14, 6.7)  # inches; the grids below leave every picture the photograph's own proportions


def save_overview(results: DemoResults, style: Style, path: Path) -> None:
    """Write the original, each engine's quantised picture with its palette, and the inertia per point by version."""
    with rc_context(style.rc):
        figure = Figure(figsize=_SIZE)
        pictures = figure.add_gridspec(
            2, 4, height_ratios=(11, 1), hspace=0.04, wspace=0.03, left=0.012, right=0.988, top=0.947, bottom=0.575
        )
        _draw_original(figure, pictures, results, style)
        for column, run in enumerate(results.runs, start=1):
            _draw_run(figure, pictures, column, run, results, style)
        curve = figure.add_gridspec(1, 1, left=0.06, right=0.988, top=0.485, bottom=0.08)
        draw_inertia(figure.add_subplot(curve[0, 0]), results, style)
        figure.savefig(path, dpi=_DPI)


def _draw_original(figure: Figure, grid: GridSpec, results: DemoResults, style: Style) -> None:
    photograph = results.photograph
    axes = figure.add_subplot(grid[0, 0])
    _show(axes, photograph.picture)
    _title(axes, "photograph", f"{photograph.n_colours:,} colours", style)
    _show(figure.add_subplot(grid[1, 0]), spectrum(photograph.pixels))


def _draw_run(figure: Figure, grid: GridSpec, column: int, run: EngineRun, results: DemoResults, style: Style) -> None:
    height, width, _ = results.photograph.picture.shape
    colours, ratio = as_colours(run.centroids), run.inertia / results.offline.inertia
    axes = figure.add_subplot(grid[0, column])
    _show(axes, colours[run.labels].reshape(height, width, 3))
    _title(axes, run.engine, f"{len(colours)} colours, {ratio:.2f} × offline inertia", style)
    _show(figure.add_subplot(grid[1, column]), colours[palette(run.centroids, run.labels)])


def _show(axes: Axes, picture: NDArray[np.uint8]) -> None:
    axes.imshow(picture, aspect="auto", interpolation="antialiased")
    axes.set_axis_off()


def _title(axes: Axes, name: str, remark: str, style: Style) -> None:
    axes.set_title(name, loc="left", pad=5)
    axes.set_title(remark, loc="right", pad=5, fontsize=9.5, fontweight="normal", color=style.muted)
