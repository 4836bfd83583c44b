"""A drawing: axes, the regions of the centroids, points, trails, centroids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_presentation.drawing.marks import UNASSIGNED, counts, mark_of, use
from shoal_presentation.drawing.regions import regions_of
from shoal_presentation.drawing.scales import WIDTH, Scale, tick_step, ticks
from shoal_presentation.views.numbers import number_text

_ANY = 2**53
# Of marks, if there are so many at most.
_POINT_SIZES = ((60, 1.7), (600, 1.0), (_ANY, 0.6))
_CENTROID_SIZES = ((20, 3.0), (100, 2.0), (_ANY, 1.4))
_MAX_NUMBERED = 20  # centroids, up to which each has its number beside it
_MAX_REGIONS = 64  # the number of distinct marks; beyond it neighbouring shades look alike
_FADING = 8  # of a trail's newest lines are drawn one by one, each fainter than the next
_FAINTEST = 0.25

Points = NDArray[np.float64]
Colours = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Scene:
    """The contents of a drawing, in the plot's coordinates."""

    points: Points  # (n, 2)
    labels: Colours | None  # (n,): the colour of each point's cluster; None: none has one yet
    centroids: Points  # (m, 2)
    colours: Colours  # (m,): of the centroids
    trails: Sequence[Points] = ()  # where each centroid has been, (t, 2), the oldest first; none, or m of them
    has_regions: bool = False  # whether the region of each centroid is shaded
    names: Sequence[str] | None = None  # beside the centroids, if they are few; None: their colours


def draw(scene: Scene, scale: Scale, title: str, axes: tuple[str, str]) -> str:
    """Return a drawing as SVG.

    Parameters
    ----------
    scene, scale
        What is drawn, and where.
    title
        What it shows, for those who can't see it.
    axes
        The names of both; empty: there is nothing to tell, and no ticks.
    """
    state = state_of(scene, scale)
    size = _size(len(scene.points), _POINT_SIZES)
    return (
        f"{_head(scale, title)}{''.join(_axes(scale, axes))}"
        f'<g class="regions">{"".join(_regions(state))}</g>'
        f'<g class="points">{"".join(_points(scene, scale, size))}</g>'
        f'<line class="reach" visibility="hidden"/>'
        f'<g class="trails">{"".join(_trails(state))}</g>'
        f'<g class="centroids">{"".join(_centroids(state, scene.names))}</g></svg>'
    )


def look() -> dict[str, Any]:
    """Return the settings with which `panel.js` draws like this module."""
    numbers = {"sizes": _CENTROID_SIZES, "mostNumbered": _MAX_NUMBERED, "fading": _FADING, "faintest": _FAINTEST}
    return numbers | counts()


def draw_centroids(scene: Scene, scale: Scale, title: str) -> str:
    """Return only the centroids of a scene, to lie over a drawing of the same scale."""
    drawn = "".join(_centroids(state_of(scene, scale), scene.names))
    return f'{_head(scale, title)}<g class="centroids">{drawn}</g></svg>'


def is_shaded(scene: Scene) -> bool:
    """Return whether the regions are drawn: there are some, and not too many."""
    return scene.has_regions and len(scene.centroids) <= _MAX_REGIONS


def state_of(scene: Scene, scale: Scale, regions: list[str] | None = None) -> dict[str, Any]:
    """Return the state of a scene, in the drawing's coordinates, as `panel.js` reads it.

    Parameters
    ----------
    scene, scale
        What is drawn, and where.
    regions
        Those of an earlier state with the same centroids; None: they are yet to be found.
    """
    return {
        "labels": None if scene.labels is None else scene.labels.tolist(),
        "colours": scene.colours.tolist(),
        "centroids": _rounded(scale.to_drawing(scene.centroids)),
        "trails": [_way(_rounded(scale.to_drawing(trail))) for trail in scene.trails],
        "regions": _regions_of(scene, scale) if regions is None else regions,
    }


def _regions_of(scene: Scene, scale: Scale) -> list[str]:
    found = regions_of(scene.centroids, scale.low, scale.high) if is_shaded(scene) else []
    return [_line(_rounded(scale.to_drawing(region))) for region in found]


def _head(scale: Scale, title: str) -> str:
    return f'<svg class="plot" viewBox="0 0 {WIDTH} {scale.height}" role="img" aria-label="{escape(title)}">'


def _axes(scale: Scale, names: tuple[str, str]) -> Iterator[str]:
    left, top, width, height = scale.plot_area
    right, bottom = left + width, top + height
    yield f'<rect class="frame" x="{left}" y="{top}" width="{width}" height="{height}"/>'
    (left_end, low), (right_end, high) = scale.low.tolist(), scale.high.tolist()
    step = tick_step(left_end, right_end)
    for value in ticks(left_end, right_end):
        x = left + (value - scale.low[0]) * scale.factor[0]
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{bottom + 14:.1f}">{number_text(value, step)}</text>'
    step = tick_step(low, high)
    for value in ticks(low, high) if names[1] else []:
        y = bottom - (value - scale.low[1]) * scale.factor[1]
        yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick side" x="{left - 6:.1f}" y="{y + 4:.1f}">{number_text(value, step)}</text>'
    yield f'<text class="axis" x="{left + width / 2:.1f}" y="{scale.height - 4}">{escape(names[0])}</text>'
    middle = top + height / 2
    yield f'<text class="axis" transform="translate(11 {middle:.1f}) rotate(-90)">{escape(names[1])}</text>'


def _regions(state: dict[str, Any]) -> Iterator[str]:
    for region, cluster in zip(state["regions"], state["colours"], strict=False):
        if region:
            yield f'<polygon class="c{mark_of(cluster)[0]}" points="{region}"/>'


def _points(scene: Scene, scale: Scale, size: float) -> Iterator[str]:
    labels = [UNASSIGNED] * len(scene.points) if scene.labels is None else scene.labels.tolist()
    for label, (x, y) in zip(labels, scale.to_drawing(scene.points).tolist(), strict=True):
        yield use(label, round(x, 1), round(y, 1), size)


def _trails(state: dict[str, Any]) -> Iterator[str]:
    for trail in state["trails"]:
        old, new = trail[: max(len(trail) - _FADING, 1)], trail[max(len(trail) - _FADING - 1, 0) :]
        if len(old) > 1:
            yield f'<polyline points="{_line(old)}" opacity="{_FAINTEST}"/>'
        for index, ends in enumerate(pairwise(new), 1):
            opacity = _FAINTEST + (1 - _FAINTEST) * index / (len(new) - 1)
            yield f'<polyline points="{_line(list(ends))}" opacity="{opacity:.2f}"/>'


def _centroids(state: dict[str, Any], names: Sequence[str] | None) -> Iterator[str]:
    size = _size(len(state["colours"]), _CENTROID_SIZES)
    numbered = len(state["colours"]) <= _MAX_NUMBERED
    shown = state["colours"] if names is None else names
    for colour, name, (x, y) in zip(state["colours"], shown, state["centroids"], strict=True):
        number = f'<text x="{x + 13:.1f}" y="{y - 11:.1f}">{name}</text>' if numbered else ""
        yield use(colour, x, y, size) + number


def _size(count: int, sizes: Sequence[tuple[int, float]]) -> float:
    return next(size for most, size in sizes if count <= most)


def _rounded(places: Points) -> Any:
    return places.round(1).tolist()


def _way(places: list[list[float]]) -> list[list[float]]:
    """Return the places without those where no visible movement happened."""
    return [index for index, before in zip(places, [None, *places], strict=False) if index != before]


def _line(places: list[list[float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in places)
