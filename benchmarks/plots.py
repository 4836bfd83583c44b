"""Plots of the results: ratios with their quartiles and targets, cost for each unit of work, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.results import Row, Suite

mpl.use("Agg")
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "shoal"})  # small, and the same twice

# Okabe and Ito's colours, which the colour-blind tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_ROW_INCHES = 0.24
_READINGS = {"times faster", "times its rate"}  # of which more is better


def draw(suite: Suite, folder: Path) -> list[Path]:
    """Draw a suite's plots, NAME.svg (and NAME-doubled.svg for the doubled ranges), and return their paths."""
    doubled = [row for row in suite.rows if "axis" in row.facts]
    others = [row for row in suite.rows if "axis" not in row.facts]
    drawn = []
    if others:
        drawn.append(_draw_ratios(others, suite.name, folder / f"{suite.name}.svg"))
    if doubled:
        drawn.append(_draw_doubled(doubled, folder / f"{suite.name}-doubled.svg"))
    return drawn


def draw_summary(suites: Sequence[Suite], path: Path) -> Path | None:
    """Draw the headlines of suites, a panel for each; None if there are none."""
    shown = [(suite.name, rows) for suite in suites if (rows := [row for row in suite.rows if row.headline])]
    if not shown:
        return None
    heights = [len(rows) + 2 for _, rows in shown]
    size = (10, _ROW_INCHES * sum(heights) + 0.6)
    figure, panels = plt.subplots(len(shown), figsize=size, height_ratios=heights, layout="constrained", squeeze=False)
    for panel, (name, rows) in zip(panels[:, 0], shown, strict=True):
        _ratios(panel, rows, name)
    return _save(figure, path)


def _draw_ratios(rows: Sequence[Row], title: str, path: Path) -> Path:
    figure, axes = plt.subplots(figsize=(10, _ROW_INCHES * len(rows) + 1.2), layout="constrained")
    _ratios(axes, rows, title)
    return _save(figure, path)


def _ratios(axes: Axes, rows: Sequence[Row], title: str) -> None:
    """Draw a dot for each row, a line for its quartiles, and a bar at its target."""
    peers = list(dict.fromkeys(row.peer for row in rows))
    for place, row in enumerate(reversed(rows)):
        colour = _COLOURS[peers.index(row.peer) % len(_COLOURS)]
        axes.plot([row.ratio.low, row.ratio.high], [place, place], color=colour, linewidth=3, alpha=0.45)
        axes.plot(row.ratio.median, place, "o", color=colour, markersize=5)
        axes.text(1.01, place, f"{row.ratio.median:.3g}", transform=axes.get_yaxis_transform(), va="center", fontsize=7)
        if row.target:
            met = row.target.met(row.ratio)
            axes.plot(row.target.value, place, "|" if met else "x", color="black", markersize=8, markeredgewidth=2)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_title(_titled(title, rows), loc="right", fontsize=9)  # where there is room: to the left, over the names
    axes.set(xscale="log", ylim=(-0.7, len(rows) - 0.3))
    axes.set_yticks(range(len(rows)), [f"{row.case}  /  {row.peer}" for row in reversed(rows)], fontsize=7)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", alpha=0.3)
    axes.margins(x=0.08)


def _titled(title: str, rows: Sequence[Row]) -> str:
    readings = {row.reading for row in rows}
    better = "more is better" if readings <= _READINGS else "less is better" if not readings & _READINGS else ""
    said = "; ".join((*sorted(readings), *([better] if better else [])))
    return f"{title}: Shoal against its peers ({said}); | target met, × missed"


def _draw_doubled(rows: Sequence[Row], path: Path) -> Path:
    names = sorted({str(row.facts["axis"]) for row in rows})
    figure, panels = plt.subplots(1, len(names), figsize=(10, 3.2), layout="constrained", squeeze=False, sharey=True)
    for axes, name in zip(panels[0], names, strict=True):
        chosen = [row for row in rows if row.facts["axis"] == name]
        sizes = [float(row.facts["size"]) for row in chosen]
        axes.fill_between(sizes, [r.shoal.low for r in chosen], [r.shoal.high for r in chosen], alpha=0.25)
        axes.plot(sizes, [row.shoal.median for row in chosen], "o-", color=_COLOURS[0], markersize=4)
        axes.set(xscale="log", yscale="log", xlabel=name, title=f"{name} doubled")
        axes.grid(which="both", alpha=0.3)
    panels[0, 0].set_ylabel("ps a row, column and centroid")
    return _save(figure, path)


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    plt.close(figure)
    return path
