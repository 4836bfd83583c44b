"""The two plots of the report: inertia per point, and the distance that the centroids have travelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from shoal_presentation.demo.results import DemoResults, EngineRun, distance_travelled
from shoal_presentation.demo.style import ENGINE_COLOURS, ENGINE_WIDTHS, OFFLINE_COLOUR, Style

_DPI = 160


def save_inertia_plot(results: DemoResults, style: Style, path: Path) -> None:
    """Write the plot of inertia per point by version."""
    with rc_context(style.rc):
        figure, axes = _figure()
        draw_inertia(axes, results, style)
        figure.savefig(path, dpi=_DPI)


def save_distance_plot(results: DemoResults, style: Style, path: Path) -> None:
    """Write the plot of the distance that the centroids have travelled."""
    with rc_context(style.rc):
        figure, axes = _figure()
        draw_distance(axes, results, style)
        figure.savefig(path, dpi=_DPI)


def draw_inertia(axes: Axes, results: DemoResults, style: Style) -> None:
    """Draw the inertia per point of each batch, both passes, and the offline fit's as a line."""
    for run in results.runs:
        versions = [update.version for update in run.updates]
        values = [update.inertia / update.rows for update in run.updates]
        axes.plot(versions, values, **_line(run))
    offline = results.offline.inertia / len(results.photograph.pixels)
    axes.axhline(offline, color=OFFLINE_COLOUR, linewidth=1.4, linestyle=(0, (5, 3)), label="offline KMeans")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("inertia per point (log scale)")
    _dress(axes, results, style)


def draw_distance(axes: Axes, results: DemoResults, style: Style) -> None:
    """Draw how far a centroid has come on average, from the versions that its watcher was sent."""
    for run in results.runs:
        versions, distances = distance_travelled(run.watched)
        axes.plot(versions, distances, **_line(run), marker=".", markersize=3 + ENGINE_WIDTHS[run.engine])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("mean distance, in levels of colour")
    _dress(axes, results, style)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    return figure, figure.add_subplot()


def _line(run: EngineRun) -> dict[str, Any]:
    return {
        "color": ENGINE_COLOURS[run.engine],
        "linewidth": ENGINE_WIDTHS[run.engine],
        "label": run.engine,
        "solid_capstyle": "round",
    }


def _dress(axes: Axes, results: DemoResults, style: Style) -> None:
    """Shade the second pass, and name the passes and the lines."""
    run = results.runs[0]
    border, last = run.passes[0].updates[-1].version + 0.5, run.version
    axes.axvspan(border, last + 0.5, color=style.band, zorder=0)
    axes.set_xlim(0.5, last + 0.5)
    for middle, title in ((border / 2, "scan order"), ((border + last) / 2, "shuffled")):
        across = axes.get_xaxis_transform()
        axes.text(middle, 0.97, title, transform=across, ha="center", va="top", color=style.muted, fontsize=9)
    axes.set_xlabel("version (one a batch of pixels)")
    axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, handlelength=1.6)
