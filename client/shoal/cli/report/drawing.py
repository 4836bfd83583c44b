"""The panels: an engine each, drawn as it ended; the player redraws them for the steps before."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from shoal._comparison_types import CompareEngine
from shoal.cli.report.marks import CENTROID_SIZE, MOST_NUMBERED, mark_name, use
from shoal.cli.report.scales import WIDTH, Scale, scale_of, ticks
from shoal.views import Frame, Plot, Run, words_of
from shoal.views.numbers import count_text, number_text

_FEW = 60  # points, up to which they are drawn larger


def panels(run: Run, plot: Plot) -> str:
    """Return the panels in the order of the engines."""
    scale = scale_of(plot)
    places = scale.place(plot.points)
    axes = _axes(plot, scale)
    return "".join(_panel(run, engine, plot, scale, places, axes) for engine in run.engines)


def _panel(run: Run, engine: CompareEngine, plot: Plot, scale: Scale, places: NDArray[np.float64], axes: str) -> str:
    frame = plot.frames[run.steps_of(engine)[-1].number]
    library = escape(words_of(engine).library)
    name = f"panel-{run.engines.index(engine)}"
    return (
        f'<figure class="card panel" data-engine="{escape(engine)}"><figcaption><b>{library}</b>'
        f'<span class="state">as it ended</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {scale.height}" role="img" aria-labelledby="{name}"><title id="{name}">'
        f"{escape(_alternative(run, engine, frame))}</title>{axes}"
        f'<g class="points">{_points(frame, places)}</g>'
        f'<g class="trails">{_trails(frame, scale)}</g>'
        f'<g class="centroids">{_centroids(frame, scale)}</g></svg></figure>'
    )


def _alternative(run: Run, engine: CompareEngine, frame: Frame) -> str:
    """Return what the drawing shows, for those who can't see it."""
    (result,) = (result for result in run.result.engines if result.engine == engine)
    counts = np.bincount(result.labels, minlength=len(result.centroids)).tolist()
    clusters = [
        f"cluster {colour}, {mark_name(colour)}: {count_text(count, 'point')}"
        for colour, count in zip(frame.colours.tolist(), counts, strict=True)
    ]
    more = f"; and {len(clusters) - MOST_NUMBERED:,} more" if len(clusters) > MOST_NUMBERED else ""
    return f"{words_of(engine).library}, as it ended: {'; '.join(clusters[:MOST_NUMBERED])}{more}."


def _points(frame: Frame, places: NDArray[np.float64]) -> str:
    colours = np.zeros(len(places), int) if frame.point_colours is None else frame.point_colours
    size = 1.7 if len(places) <= _FEW else 1.0
    return "".join(use(colour, x, y, size) for colour, (x, y) in zip(colours.tolist(), places.tolist(), strict=True))


def _trails(frame: Frame, scale: Scale) -> str:
    return "".join(f'<polyline points="{_line(scale.place(trail.places))}"/>' for trail in frame.trails)


def _line(places: NDArray[np.float64]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places.tolist())


def _centroids(frame: Frame, scale: Scale) -> str:
    numbered = len(frame.colours) <= MOST_NUMBERED
    drawn = []
    for colour, (x, y) in zip(frame.colours.tolist(), scale.place(frame.centroids).tolist(), strict=True):
        number = f'<text x="{x + 13:.1f}" y="{y - 11:.1f}">{colour}</text>' if numbered else ""
        drawn.append(use(colour, x, y, CENTROID_SIZE, "centroid") + number)
    return "".join(drawn)


def _axes(plot: Plot, scale: Scale) -> str:
    left, top, width, height = scale.frame
    high = scale.low + np.array([width, height]) / scale.factor
    drawn = [f'<rect class="frame" x="{left}" y="{top}" width="{width}" height="{height}"/>']
    for value in ticks(float(scale.low[0]), float(high[0])):
        x = left + (value - scale.low[0]) * scale.factor[0]
        drawn.append(f'<text class="tick" x="{x:.1f}" y="{top + height + 14:.1f}">{number_text(value)}</text>')
    for value in ticks(float(scale.low[1]), float(high[1])) if plot.axes[1].name else []:
        y = top + height - (value - scale.low[1]) * scale.factor[1]
        drawn.append(f'<text class="tick side" x="{left - 6:.1f}" y="{y + 4:.1f}">{number_text(value)}</text>')
    across, up = (escape(axis.name) for axis in plot.axes)
    drawn.append(f'<text class="axis" x="{left + width / 2:.1f}" y="{scale.height - 4}">{across}</text>')
    middle = top + height / 2
    drawn.append(f'<text class="axis" transform="translate(11 {middle:.1f}) rotate(-90)">{up}</text>')
    return "".join(drawn)
