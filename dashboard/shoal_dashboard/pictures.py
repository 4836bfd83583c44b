"""The drawings of a live session, made once for all viewers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal_dashboard.charts import bar_chart, line_chart, palette
from shoal_dashboard.projection import plane_for
from shoal_presentation.drawing import Scale, Scene, draw, draw_centroids, scale_around
from shoal_presentation.views.projection import Projection

_HEIGHT = 420  # of the drawing: it stays when the scale changes
_MAX_CENTROIDS = 256  # that are drawn, the heaviest
_COLUMNS_OF_A_COLOUR = 3
_MAX_COLOURS = 256  # of a palette
_MAX_LEVEL = 255

_NOTHING = Scene(np.empty((0, 2)), None, np.empty((0, 2)), np.empty(0, np.int32))


class Pictures:
    """The newest drawings, each as HTML or SVG; empty until there is something to draw."""

    def __init__(self) -> None:
        self.title = "Centroids over recent points"
        self.points = self.centroids = self.palette = ""
        self.weights = self.movement = self.rate = self.inertia = ""
        self._plane: Projection | None = None
        self._scale: Scale | None = None

    def draw_update(self, update: shoal.CentroidUpdate) -> None:
        """Draw the centroids of a newer version, where the points below them are drawn."""
        if self._scale is None or self._plane is None or len(self._plane.origin) != update.centroids.shape[1]:
            return  # nothing is drawn yet, or it is of another session that had the name
        heaviest = np.sort(np.argsort(-update.weights, kind="stable")[:_MAX_CENTROIDS])
        places = self._plane.project(update.centroids[heaviest])
        scene = Scene(_NOTHING.points, None, places, heaviest.astype(np.int32))
        self.centroids = draw_centroids(scene, self._scale, f"centroids of version {update.version}")

    def draw_bars(self, update: shoal.CentroidUpdate) -> None:
        """Draw the figures of each cluster."""
        self.weights = bar_chart("Weights", update.weights.tolist())
        self.movement = bar_chart("Movement", update.movement.tolist())

    def draw_lines(self, rows_per_second: Sequence[float], inertia_per_point: Sequence[float]) -> None:
        """Draw figures over time."""
        self.rate = line_chart("rows/s", rows_per_second, "{:,.0f}".format)
        self.inertia = line_chart("inertia per point", inertia_per_point)

    def plane_for(self, update: shoal.CentroidUpdate) -> Projection:
        """Return the plane on which to draw: the previous one, if it still fits."""
        return plane_for(update.centroids, self._plane)

    def draw_recent(
        self, update: shoal.CentroidUpdate, points: NDArray[Any], plane: Projection, *, of_length_one: bool
    ) -> None:
        """Draw recent points (m, d) with the centroids above them on a plane, and the palette if they are colours.

        `of_length_one`: scale the points to length 1, as the cosine metric does.
        """
        self._plane = plane
        rows = points.astype(np.float64)
        if of_length_one:
            rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        shown = plane.project(rows) if len(rows) else np.empty((0, 2))
        self._scale = _scale_for(np.concatenate([shown, plane.project(update.centroids)]), self._scale)
        labels = _nearest(rows, update.centroids) if len(rows) else None
        scene = Scene(shown, labels, _NOTHING.centroids, _NOTHING.colours)
        names = (plane.axes[0].name, plane.axes[1].name)
        self.points = draw(scene, self._scale, f"{len(rows)} recent points by their cluster", names)
        self.title = _title(len(rows), len(update.centroids), names)
        self.draw_update(update)
        are_colours = _are_colours(points)
        self.palette = palette(update.centroids[:_MAX_COLOURS].tolist()) if are_colours else ""


def _scale_for(places: NDArray[np.float64], before: Scale | None) -> Scale:
    """Return the previous scale if it still fits, so that points which haven't moved stay in place."""
    low, high = places.min(axis=0), places.max(axis=0)
    return before if before is not None and before.serves(low, high) else scale_around(low, high, _HEIGHT)


def _nearest(points: NDArray[np.float64], centroids: NDArray[np.float64]) -> NDArray[np.int32]:
    # Without the squares of the points, which are the same for each centroid; near 0, where no digits are lost.
    origin = centroids.mean(axis=0)
    inside = centroids - origin
    distances = (inside**2).sum(axis=1) - 2 * (points - origin) @ inside.T
    labels: NDArray[np.int32] = distances.argmin(axis=1).astype(np.int32)
    return labels


def _title(points: int, centroids: int, axes: tuple[str, str]) -> str:
    some = f"The {_MAX_CENTROIDS} heaviest centroids" if centroids > _MAX_CENTROIDS else "Centroids"
    return f"{some} over {points:,} recent points, by {' and '.join(filter(None, axes))}"


def _are_colours(points: NDArray[Any]) -> bool:
    """Return whether points look like colours: three columns of whole numbers up to 255."""
    if points.shape[1] != _COLUMNS_OF_A_COLOUR or not len(points):
        return False
    return bool((points == points.round()).all() and points.min() >= 0 and 1 < points.max() <= _MAX_LEVEL)
