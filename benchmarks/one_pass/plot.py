"""The picture of the quality suite: a line for each case, with a dot for each contestant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from benchmarks import plots
from benchmarks.one_pass.figures import OFFLINE, STOPPED, UNIT, WORST
from benchmarks.results import Row, Suite

_ROW_INCHES = 0.3
_SHOAL = "Shoal"
# Okabe and Ito's colours, and shapes, which tell the contestants apart without colours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "oXsDv^P"


def draw(suite: Suite, folder: Path) -> list[Path]:
    """Draw the cases with all contestants as NAME.svg, the rest as NAME-more.svg, and return the paths."""
    titles = [row.case for row in suite.rows if row.headline and row.peer == OFFLINE]
    of_cases = [row for row in suite.rows if row.unit == UNIT and row.case.split(STOPPED)[0] in titles]
    others = [row for row in suite.rows if row not in of_cases]
    drawn = [_draw_cases(titles, of_cases, folder / f"{suite.name}.svg")] if titles else []
    return [*drawn, *(plots.draw(replace(suite, name=f"{suite.name}-more", rows=others), folder) if others else [])]


def medians(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return the median ratio to the offline fit, by contestant and case."""
    found: dict[str, dict[str, float]] = {_SHOAL: {}}
    for row in rows:
        if row.peer == OFFLINE:
            found[_SHOAL][row.case] = row.shoal.median
        elif row.peer != WORST:
            found.setdefault(row.peer, {})[row.case] = row.other.median
    return found


def _draw_cases(titles: Sequence[str], rows: Sequence[Row], path: Path) -> Path:
    size = (11, _ROW_INCHES * len(titles) + 1.6)
    figure, (ends, stops) = plt.subplots(1, 2, figsize=size, width_ratios=(3, 1), sharey=True, layout="constrained")
    places = {title: place for place, title in enumerate(reversed(titles))}
    _draw_contestants(ends, [row for row in rows if row.case in titles], places)
    _draw_stops(stops, [row for row in rows if row.peer == OFFLINE], places)
    ends.set_xscale("log")
    stops.xaxis.set_major_locator(MaxNLocator(4))
    for axes in (ends, stops):
        axes.axvline(1, color="grey", linewidth=0.8)
        axes.set(ylim=(-0.7, len(titles) - 0.3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="both", alpha=0.3)
    ends.set_yticks(list(places.values()), list(places), fontsize=8)
    ends.set_title("inertia after one pass / best offline fit (median; bar: Shoal's worst seed)", fontsize=9)
    stops.set_title("Shoal, stopped early", fontsize=9)
    handles, labels = ends.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    plt.close(figure)
    return path


def _draw_contestants(axes: Axes, rows: Sequence[Row], places: dict[str, int]) -> None:
    by_name = medians(rows)
    for number, name in reversed(list(enumerate(by_name))):  # Shoal is drawn last, over the others
        found = by_name[name]
        axes.plot(
            list(found.values()),
            [places[case] for case in found],
            _MARKERS[number % len(_MARKERS)],
            color=_COLOURS[number % len(_COLOURS)],
            markersize=8 if name == _SHOAL else 5,
            label=name,
        )
    for row in rows:
        if row.peer == WORST:
            axes.plot([1, row.shoal.median], [places[row.case]] * 2, color=_COLOURS[0], linewidth=3, alpha=0.3)


def _draw_stops(axes: Axes, rows: Sequence[Row], places: dict[str, int]) -> None:
    """Draw a dot for each stop; the later, the larger."""
    for title, place in places.items():
        whole, *early = [row.shoal.median for row in rows if row.case.split(STOPPED)[0] == title]
        sizes = [15 * (number + 1) for number in range(len(early) + 1)]
        axes.scatter([*early, whole], [place] * len(sizes), s=sizes, color=_COLOURS[0], alpha=0.5)
