"""Small charts as SVG and HTML: lines over time with marks, and bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

from shoal_presentation.drawing import COLOURS
from shoal_presentation.views.numbers import NONE, number_text

HEIGHT = 84.0  # of a chart, in pixels
_WIDTH = 300.0  # it is stretched to
MAX_BARS = 64


class Line(NamedTuple):
    """Values at places that are equally far apart; None: there is none."""

    name: str
    values: Sequence[float | None]
    style: str = "solid"  # or dashed


class DrawnMarks(NamedTuple):
    """Marks of a chart."""

    svg: str = ""
    keys: str = ""  # of the legend
    text: str = ""  # for those who can't see them


NO_MARKS = DrawnMarks()


def line_chart(
    title: str, lines: Sequence[Line], as_text: Callable[[float], str] = number_text, marks: DrawnMarks = NO_MARKS
) -> str:
    """Return values over time as lines from 0 up, with the newest as text, and a legend if there is more than a line.

    Parameters
    ----------
    title, as_text
        What the values are, and how they are written.
    lines
        All as long as one another. The first one's newest value is in the title.
    marks
        Over the lines; or none.
    """
    newest = _newest(lines[0], as_text)
    most = max((value for line in lines for value in line.values if value is not None), default=0.0)
    others = "".join(f"; {line.name}: now {_newest(line, as_text)}" for line in lines[1:])
    label = escape(f"{title}: now {newest}, at most {as_text(most)}{others}")
    shown = "".join(f'<polyline class="{line.style}" points="{polyline(line.values, 0.0, most)}"/>' for line in lines)
    keys = "".join(map(line_key, lines)) if len(lines) > 1 else ""
    return (
        f'<figure class="chart"><figcaption>{escape(title)} <b>{newest}</b></figcaption>'
        f"{frame(label, marks.text, shown, marks.svg)}{legend_of(keys + marks.keys)}</figure>"
    )


def frame(label: str, description: str, lines: str, marks: str) -> str:
    """Return a chart: lines are stretched to its width, and marks are not: their x is a percentage.

    Parameters
    ----------
    label, description
        What it shows, for those who can't see it.
    lines, marks
        SVG.
    """
    described = f"<desc>{escape(description)}</desc>" if description else ""
    return (
        f'<svg height="{HEIGHT:g}" role="img" aria-label="{label}">{described}'
        f'<svg viewBox="0 0 {_WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none">{lines}</svg>{marks}</svg>'
    )


def polyline(values: Sequence[float | None], low: float, high: float) -> str:
    """Return the points of a line in the coordinates of a chart, without those on a level part."""
    step = _WIDTH / max(len(values) - 1, 1)
    points = [(place * step, height_of(value, low, high)) for place, value in enumerate(values) if value is not None]
    ends = []
    for _, level in groupby(points, key=lambda point: round(point[1], 1)):
        first, *others = level
        ends += [first, *others[-1:]]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in ends)


def height_of(value: float, low: float, high: float) -> float:
    """Return the y of a value in a chart of values from low to high."""
    return HEIGHT - 2 - (value - low) / ((high - low) or 1.0) * (HEIGHT - 8)


def legend_of(keys: str) -> str:
    """Return a legend below a chart; empty for no keys."""
    return f'<ul class="legend">{keys}</ul>' if keys else ""


def line_key(line: Line) -> str:
    """Return a line's key of a legend."""
    drawn = f'<svg class="key" width="22" height="12"><line class="{line.style}" x2="22" y1="6" y2="6"/></svg>'
    return f"<li>{drawn}{escape(line.name)}</li>"


def bar_chart(title: str, bars: Sequence[tuple[int, int, float]], clusters: int) -> str:
    """Return a bar for each cluster; of very many clusters, for the first MAX_BARS.

    Parameters
    ----------
    title
        What is shown.
    bars
        The id of each cluster, its slot (which says its colour), and its value.
    clusters
        How many there are in all.
    """
    if len(bars) < clusters:
        title = f"{title} of the first {len(bars)} of {clusters:,}"
    top = max((value for *_, value in bars), default=0.0) or 1.0
    items = "".join(
        f'<li><span class="name">{cluster}</span><span class="bar" style="width: {value / top * 70:.1f}%; '
        f'background: {COLOURS[slot % len(COLOURS)]}"></span><span class="value">{number_text(value)}</span></li>'
        for cluster, slot, value in bars
    )
    return f'<figure class="chart"><figcaption>{escape(title)}</figcaption><ol class="bars">{items}</ol></figure>'


def palette(colours: Sequence[tuple[int, Sequence[float]]]) -> str:
    """Return colours of clusters, each an id and three numbers from 0 to 255, as swatches with their values."""
    swatches = []
    for cluster, colour in colours:
        red, green, blue = (max(0, min(255, round(value))) for value in colour)
        text = f"#{red:02x}{green:02x}{blue:02x}"
        swatches.append(f'<li><span class="swatch" style="background: {text}"></span>{cluster} {text}</li>')
    return (
        f'<figure class="chart"><figcaption>Palette</figcaption><ol class="palette">{"".join(swatches)}</ol></figure>'
    )


def _newest(line: Line, as_text: Callable[[float], str]) -> str:
    newest = line.values[-1] if line.values else None
    return NONE if newest is None else as_text(newest)
