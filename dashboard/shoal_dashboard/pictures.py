"""What is drawn of a live session: once for all who look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import shoal
from shoal_dashboard.charts import bar_chart, line_chart, palette
from shoal_dashboard.drawing import Frame, Scene, draw, draw_centroids
from shoal_dashboard.plane import Plane, plane_for

_MOST_BARS = 64
_COLUMNS_OF_A_COLOUR = 3
_MOST_LEVEL = 255


class Pictures:
    """The newest drawings, each as HTML or SVG; empty before there is anything to draw."""

    def __init__(self) -> None:
        self.title = "Centroids over recent points"
        self.points = self.centroids = self.palette = ""
        self.weights = self.movement = self.rate = self.inertia = ""
        self._plane: Plane | None = None
        self._frame: Frame | None = None

    def draw_update(self, update: shoal.CentroidUpdate) -> None:
        """Draw the centroids of a newer version, where the points below them are drawn."""
        if self._plane is not None and self._frame is not None:
            places = self._plane.show(update.centroids)
            self.centroids = draw_centroids(f"centroids of version {update.version}", places, self._frame)

    def draw_bars(self, update: shoal.CentroidUpdate) -> None:
        """Draw the figures of each cluster."""
        self.weights = bar_chart("Weights", update.weights[:_MOST_BARS].tolist())
        self.movement = bar_chart("Movement", update.movement[:_MOST_BARS].tolist())

    def draw_lines(self, rows_per_second: Sequence[float], inertia_per_point: Sequence[float]) -> None:
        """Draw figures over time."""
        self.rate = line_chart("rows/s", rows_per_second)
        self.inertia = line_chart("inertia per point", inertia_per_point)

    def draw_recent(self, update: shoal.CentroidUpdate, recent: shoal.RecentPoints) -> None:
        """Draw recent points with the centroids above them, and the palette if they are colours."""
        self._plane = plane = plane_for(update.centroids, self._plane)
        rows = np.asarray(recent.points, np.float64)
        shown = plane.show(rows) if len(rows) else np.empty((0, 2))
        self._frame = Frame.around(np.concatenate([shown, plane.show(update.centroids)]))
        labels = [-1] * len(rows)
        if len(rows):
            squares = ((rows[:, None, :] - update.centroids[None]) ** 2).sum(axis=2)
            labels = squares.argmin(axis=1).tolist()
        nothing = np.empty((0, 2))
        scene = Scene(f"{len(rows)} recent points by their cluster", shown, labels, nothing, [], [], regions=False)
        self.points = draw(scene, self._frame)
        names = " and ".join(filter(None, plane.names))
        self.title = f"Centroids over {len(rows):,} recent points, by {names}"
        self.draw_update(update)
        if _are_colours(update, recent):
            self.palette = palette(update.centroids.tolist())


def _are_colours(update: shoal.CentroidUpdate, recent: shoal.RecentPoints) -> bool:
    """Say whether points look like colours: three columns of whole numbers up to 255."""
    if update.centroids.shape[1] != _COLUMNS_OF_A_COLOUR or not len(recent.points):
        return False
    points = np.asarray(recent.points, np.float64)
    return bool((points == points.round()).all() and points.min() >= 0 and 1 < points.max() <= _MOST_LEVEL)
