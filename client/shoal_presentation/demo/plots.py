"""The plot of the report: how good the centroids of every moment were for the pixels seen so far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from shoal_presentation.demo.results import OFFLINE, PARTIAL_FIT, SHOAL, DemoResults
from shoal_presentation.demo.style import PARTIAL_FIT_COLOUR, SHOAL_COLOUR, Style

_DPI = 160


def save_quality_plot(results: DemoResults, style: Style, path: Path) -> None:
    """Write the plot as PNG."""
    with rc_context(style.rc):
        figure = Figure(figsize=(9, 4.4))
        draw_quality(figure.add_axes((0.055, 0.18, 0.775, 0.73)), results, style)
        figure.savefig(path, dpi=_DPI)


def draw_quality(axes: Axes, results: DemoResults, style: Style) -> None:
    """Draw the inertia per pixel of all pixels seen so far, and the photograph on its side under it."""
    _draw_curve(axes, results, PARTIAL_FIT, PARTIAL_FIT_COLOUR)
    _draw_curve(axes, results, SHOAL, SHOAL_COLOUR)
    _draw_refinements(axes, results, style)
    _draw_offline(axes, results, style)
    _name_ends(axes, results)
    axes.set_xlim(0, len(results.photograph.pixels))
    axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])  # room for the first diamond
    above = "inertia per pixel of all pixels seen so far (lower is better)"
    axes.annotate(above, (0, 1), (-26, 8), "axes fraction", "offset points", color=style.muted)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", borderaxespad=0.2, handlelength=1.8)
    _draw_strip(axes, results)


def _draw_curve(axes: Axes, results: DemoResults, name: str, colour: str) -> None:
    moments = results.curves[name]
    rows, values = [moment.rows for moment in moments], [moment.inertia_per_point for moment in moments]
    axes.plot(rows, values, color=colour, linewidth=2.4, solid_capstyle="round")


def _draw_refinements(axes: Axes, results: DemoResults, style: Style) -> None:
    refined = [moment for moment in results.curves[SHOAL] if moment.refined]
    axes.plot(
        [moment.rows for moment in refined],
        [moment.inertia_per_point for moment in refined],
        "o",
        color=SHOAL_COLOUR,
        markeredgecolor=style.surface,
        markeredgewidth=0.6,
        markersize=4.6,
        label="Shoal refined its centroids here",
    )


def _draw_offline(axes: Axes, results: DemoResults, style: Style) -> None:
    moments = results.curves[OFFLINE]
    axes.plot(
        [moment.rows for moment in moments],
        [moment.inertia_per_point for moment in moments],
        "D",
        color="none",
        markeredgecolor=style.text,
        markeredgewidth=1.4,
        markersize=9,
        label="an offline fit of the same pixels",
        clip_on=False,
        zorder=5,
    )


def _name_ends(axes: Axes, results: DemoResults) -> None:
    """Write beside the end of each line what it is, and how it compares."""
    for fit, colour in ((results.partial_fit.fit, PARTIAL_FIT_COLOUR), (results.shoal.fit, SHOAL_COLOUR)):
        text = f"{fit.name}\n{results.ratio(fit):.2f} × offline"
        end = (len(results.photograph.pixels), fit.inertia / len(results.photograph.pixels))
        axes.annotate(text, end, (12, 0), textcoords="offset points", va="center", color=colour, fontweight="bold")


def _draw_strip(axes: Axes, results: DemoResults) -> None:
    """Draw the photograph on its side under the axis: what came in at each moment."""
    strip = axes.inset_axes((0, -0.135, 1, 0.125))
    strip.imshow(np.rot90(results.photograph.picture), aspect="auto", interpolation="antialiased")
    strip.set_axis_off()
    axes.xaxis.set_major_locator(NullLocator())
    stream = f"{results.photograph.n_batches} batches of {results.photograph.batch_rows:,} pixels"
    axes.set_xlabel(f"the stream: {stream}, row by row from the sky down to the trees", labelpad=33)
