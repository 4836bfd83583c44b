"""Points and centroids as SVG: the same plot for a comparison's step and for a live session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from shoal_dashboard.colours import cluster_colour

WIDTH, HEIGHT, MARGIN = 560.0, 420.0, 34.0
_TICKS = 5
_RADII = ((60, 6.0), (600, 3.5), (float("inf"), 2.2))  # of points, if there are so many at most

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """The part of the plane that is shown; the same for every panel and every step."""

    low: Points  # (2,)
    high: Points  # (2,)

    @staticmethod
    def around(points: Points) -> Frame:
        """Return a frame that holds points (n, 2), with some room."""
        low, high = points.min(axis=0), points.max(axis=0)
        room = np.where(high > low, 0.08 * (high - low), 1.0)
        return Frame(low - room, high + room)

    def place(self, points: Points) -> Points:
        """Return where points (n, 2) are on the drawing."""
        share = (points - self.low) / (self.high - self.low)
        across = MARGIN + share[:, 0] * (WIDTH - 2 * MARGIN)
        down = HEIGHT - MARGIN - share[:, 1] * (HEIGHT - 2 * MARGIN)
        return np.stack([across, down], axis=1)

    def point_at(self, across: float, down: float) -> tuple[float, float]:
        """Return the point of a place on the drawing."""
        x = (across - MARGIN) / (WIDTH - 2 * MARGIN)
        y = (HEIGHT - MARGIN - down) / (HEIGHT - 2 * MARGIN)
        shown = self.low + np.array([x, y]) * (self.high - self.low)
        return float(shown[0]), float(shown[1])


@dataclass(frozen=True)
class Scene:
    """What a plot shows."""

    title: str  # for those who can't see it
    points: Points  # (n, 2)
    labels: Sequence[int]  # the cluster of each point, below 0: none
    centroids: Points  # (k, 2)
    clusters: Sequence[int]  # the cluster of each centroid
    trails: Sequence[Points]  # where each centroid has been, (m, 2) each, oldest first
    regions: bool  # whether to shade what is nearest to each centroid


def draw(scene: Scene, frame: Frame) -> str:
    """Return the plot as SVG."""
    parts = [*_axes(frame)]
    if scene.regions and len(scene.centroids):
        parts += _regions(scene, frame)
    parts += _points(scene, frame)
    parts += _trails(scene, frame)
    parts += _centroids(scene, frame)
    head = f'<svg class="plot" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(scene.title)}">'
    return f"{head}{''.join(parts)}</svg>"


def draw_centroids(title: str, centroids: Points, frame: Frame) -> str:
    """Return centroids (k, 2) alone, to be laid over a plot of the same frame."""
    scene = Scene(title, np.empty((0, 2)), [], centroids, range(len(centroids)), [], regions=False)
    head = f'<svg class="plot" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(title)}">'
    return f"{head}{''.join(_centroids(scene, frame))}</svg>"


def _axes(frame: Frame) -> Iterator[str]:
    yield f'<rect class="paper" x="0" y="0" width="{WIDTH:g}" height="{HEIGHT:g}"/>'
    for axis in (0, 1):
        for value in _ticks(frame.low[axis], frame.high[axis]):
            point = frame.low.copy()
            point[axis] = value
            x, y = frame.place(point[None])[0]
            if axis == 0:
                yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{MARGIN:g}" y2="{HEIGHT - MARGIN:g}"/>'
                yield f'<text class="tick middle" x="{x:.1f}" y="{HEIGHT - MARGIN + 16:g}">{value:g}</text>'
            else:
                yield f'<line class="grid" x1="{MARGIN:g}" x2="{WIDTH - MARGIN:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
                yield f'<text class="tick end" x="{MARGIN - 6:g}" y="{y + 4:.1f}">{value:g}</text>'


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two."""
    step = 10 ** np.floor(np.log10((high - low) / _TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= _TICKS)
    first = np.ceil(low / step)
    return [float(f"{(first + place) * step:.12g}") for place in range(int(np.floor(high / step) - first) + 1)]


def _regions(scene: Scene, frame: Frame) -> Iterator[str]:
    corners = np.array([[frame.low[0], frame.low[1]], [frame.high[0], frame.low[1]],
                        [frame.high[0], frame.high[1]], [frame.low[0], frame.high[1]]])  # fmt: skip
    for place, cluster in enumerate(scene.clusters):
        polygon = _nearest_to(place, scene.centroids, corners)
        if len(polygon):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in frame.place(polygon))
            yield f'<polygon class="region" points="{path}" fill="{cluster_colour(cluster)}"/>'


def _nearest_to(place: int, centroids: Points, polygon: Points) -> Points:
    """Cut a polygon (m, 2) down to what is nearer to one centroid than to any other (Sutherland and Hodgman 1974)."""
    own = centroids[place]
    for other in np.delete(centroids, place, axis=0):
        normal, middle = other - own, (other + own) / 2
        if not normal.any() or not len(polygon):
            continue
        beyond = (polygon - middle) @ normal
        kept = []
        for index, after in enumerate(np.roll(np.arange(len(polygon)), -1)):
            if beyond[index] <= 0:
                kept.append(polygon[index])
            if beyond[index] * beyond[after] < 0:
                share = beyond[index] / (beyond[index] - beyond[after])
                kept.append(polygon[index] + share * (polygon[after] - polygon[index]))
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def _points(scene: Scene, frame: Frame) -> Iterator[str]:
    own = {cluster: place for place, cluster in enumerate(scene.clusters)}
    ends = frame.place(scene.centroids) if len(scene.centroids) else np.empty((0, 2))
    radius = next(radius for most, radius in _RADII if len(scene.points) <= most)
    for (x, y), label in zip(frame.place(scene.points), scene.labels, strict=True):
        line = ""
        if label in own:
            cx, cy = ends[own[label]]
            line = f'<line class="reach" x1="{x:.1f}" y1="{y:.1f}" x2="{cx:.1f}" y2="{cy:.1f}"/>'
        circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{cluster_colour(label)}"/>'
        yield f'<g class="point">{line}{circle}</g>'


def _trails(scene: Scene, frame: Frame) -> Iterator[str]:
    for trail, cluster in zip(scene.trails, scene.clusters, strict=True):
        if len(trail) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in frame.place(trail))
            yield f'<polyline class="trail" points="{path}" stroke="{cluster_colour(cluster)}"/>'
            yield from (
                f'<circle class="trail" cx="{x:.1f}" cy="{y:.1f}" r="3" stroke="{cluster_colour(cluster)}"/>'
                for x, y in frame.place(trail[:-1])
            )


def _centroids(scene: Scene, frame: Frame) -> Iterator[str]:
    if not len(scene.centroids):
        return
    for (x, y), cluster in zip(frame.place(scene.centroids), scene.clusters, strict=True):
        square = (
            f'<rect x="-11" y="-11" width="22" height="22" transform="rotate(45)" fill="{cluster_colour(cluster)}"/>'
        )
        yield f'<g class="centroid" transform="translate({x:.1f} {y:.1f})">{square}<text y="5">{cluster}</text></g>'
