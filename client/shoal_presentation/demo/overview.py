"""One picture of the whole demo: the photograph in the colours of each fit, and the plot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from numpy.typing import NDArray

from shoal_presentation.demo.findings import headline
from shoal_presentation.demo.pictures import as_colours, palette, spectrum
from shoal_presentation.demo.plots import draw_quality
from shoal_presentation.demo.results import OFFLINE, DemoResults, Fit
from shoal_presentation.demo.style import FIT_COLOURS, Style

_DPI = 150
_SIZE = (11, 7)  # inches; the grid below leaves every picture the photograph's own proportions


def save_overview(results: DemoResults, style: Style, path: Path) -> None:
    """Write the original, each fit's quantised picture with its palette, and the plot under its finding."""
    with rc_context(style.rc):
        figure = Figure(figsize=_SIZE)
        pictures = figure.add_gridspec(
            2, 4, height_ratios=(12, 1), hspace=0.03, wspace=0.035, left=0.012, right=0.988, top=0.925, bottom=0.628
        )
        _draw_original(figure, pictures, results, style)
        for column, fit in enumerate(results.fits, start=1):
            _draw_fit(figure, pictures, column, fit, results, style)
        figure.text(0.012, 0.565, headline(results), fontsize=11.5, fontweight="bold", va="center")
        draw_quality(figure.add_axes((0.045, 0.118, 0.805, 0.385)), results, style)
        figure.savefig(path, dpi=_DPI)


def _draw_original(figure: Figure, grid: GridSpec, results: DemoResults, style: Style) -> None:
    photograph = results.photograph
    axes = figure.add_subplot(grid[0, 0])
    _show(axes, photograph.picture)
    _title(axes, "photograph", f"{photograph.n_colours:,} colours", style.text, style)
    _show(figure.add_subplot(grid[1, 0]), spectrum(photograph.pixels))


def _draw_fit(figure: Figure, grid: GridSpec, column: int, fit: Fit, results: DemoResults, style: Style) -> None:
    height, width, _ = results.photograph.picture.shape
    colours = as_colours(fit.centroids)
    axes = figure.add_subplot(grid[0, column])
    _show(axes, colours[fit.labels].reshape(height, width, 3))
    remark = f"{len(colours)} colours, all pixels at once"
    if fit.name != OFFLINE:
        remark = f"{len(colours)} colours, one pass: {results.ratio(fit):.2f} × offline"
    _title(axes, fit.name, remark, FIT_COLOURS.get(fit.name, style.text), style)
    _show(figure.add_subplot(grid[1, column]), colours[palette(fit.centroids, fit.labels)])


def _show(axes: Axes, picture: NDArray[np.uint8]) -> None:
    axes.imshow(picture, aspect="auto", interpolation="antialiased")
    axes.set_axis_off()


def _title(axes: Axes, name: str, remark: str, colour: str, style: Style) -> None:
    axes.set_title(name, loc="left", pad=19, color=colour)
    axes.annotate(remark, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=9.2, color=style.muted)
