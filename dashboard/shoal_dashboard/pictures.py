"""The drawings of a live session, made once for all viewers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal_dashboard.charts import MAX_BARS, Line, bar_chart, line_chart, palette
from shoal_dashboard.event_marks import draw_marks
from shoal_dashboard.projection import plane_for
from shoal_dashboard.slots import ClusterSlots
from shoal_presentation.drawing import Scale, Scene, draw, draw_centroids, scale_around
from shoal_presentation.views.projection import Projection

_HEIGHT = 420  # of the drawing: it stays when the scale changes
_MAX_CENTROIDS = 256  # that are drawn, the heaviest
_COLUMNS_OF_A_COLOUR = 3
_MAX_COLOURS = 256  # of a palette
_MAX_LEVEL = 255
_MAX_NAMED = 20  # clusters whose labels are listed

_NOTHING = Scene(np.empty((0, 2)), None, np.empty((0, 2)), np.empty(0, np.int32))


@dataclass(frozen=True)
class Sample:
    """The figures of the session at one time."""

    rows_per_second: float
    inertia_per_point: float | None  # as it was measured in the newest batch; None: there was none
    estimated_inertia_per_point: float | None  # per point, that the last refinement expects; None: there was none
    events: Counter[str]  # of each kind since the sample before


class Pictures:
    """The newest drawings, each as HTML or SVG; empty until there is something to draw."""

    def __init__(self) -> None:
        self.title = "Centroids over recent points"
        self.points = self.centroids = self.palette = ""
        self.weights = self.movement = self.rate = self.inertia = self.labels = ""
        self._slots = ClusterSlots()
        self._plane: Projection | None = None
        self._scale: Scale | None = None

    def draw_update(self, update: shoal.CentroidUpdate) -> None:
        """Draw the centroids of a newer version, where the points below them are drawn."""
        if self._scale is None or self._plane is None or len(self._plane.origin) != update.centroids.shape[1]:
            return  # nothing is drawn yet, or it is of another session that had the name
        heaviest = np.sort(np.argsort(-update.weights, kind="stable")[:_MAX_CENTROIDS])
        places = self._plane.project(update.centroids[heaviest])
        slots, names = self._slots.of(update.ids)[heaviest], [str(cluster) for cluster in update.ids[heaviest].tolist()]
        scene = Scene(_NOTHING.points, None, places, slots, names=names)
        self.centroids = draw_centroids(scene, self._scale, f"centroids of version {update.version}")

    def draw_bars(self, update: shoal.CentroidUpdate) -> None:
        """Draw the figures of each cluster, each in its slot."""
        slots = self._slots.of(update.ids)
        order = np.argsort(slots)[:MAX_BARS]
        ids, places = update.ids[order].tolist(), slots[order].tolist()
        weights = list(zip(ids, places, update.weights[order].tolist(), strict=True))
        movement = list(zip(ids, places, update.movement[order].tolist(), strict=True))
        self.weights = bar_chart("Weights", weights, len(slots))
        self.movement = bar_chart("Movement", movement, len(slots))
        self.labels = _labels_text(update.ids)

    def draw_lines(self, samples: Sequence[Sample]) -> None:
        """Draw figures over time."""
        self.rate = line_chart("rows/s", [Line("rows/s", [each.rows_per_second for each in samples])], "{:,.0f}".format)
        lines = [Line("measured in each second's newest batch", [each.inertia_per_point for each in samples])]
        estimated = Line(
            "of the stream so far, estimated by the last refinement",
            [each.estimated_inertia_per_point for each in samples],
            "dashed",
        )
        if any(value is not None for value in estimated.values):
            lines.append(estimated)
        self.inertia = line_chart("inertia per point", lines, marks=draw_marks([each.events for each in samples]))

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
        labels = self._slots.of(update.ids)[_nearest(rows, update.centroids)] if len(rows) else None
        scene = Scene(shown, labels, _NOTHING.centroids, _NOTHING.colours)
        names = (plane.axes[0].name, plane.axes[1].name)
        self.points = draw(scene, self._scale, f"{len(rows)} recent points by their cluster", names)
        self.title = _title(len(rows), len(update.centroids), names)
        self.draw_update(update)
        self.palette = self._palette_of(update) if _are_colours(points) else ""

    def _palette_of(self, update: shoal.CentroidUpdate) -> str:
        order = np.argsort(self._slots.of(update.ids))[:_MAX_COLOURS]
        return palette(list(zip(update.ids[order].tolist(), update.centroids[order].tolist(), strict=True)))


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


def _labels_text(ids: NDArray[np.int64]) -> str:
    """Return which label each cluster has, where a number on the page isn't the label; empty if all are."""
    if np.array_equal(ids, np.arange(len(ids))):
        return ""
    if len(ids) > _MAX_NAMED:
        return "The numbers are ids of clusters, not labels."
    pairs = ", ".join(f"{label} is cluster {cluster}" for label, cluster in enumerate(ids.tolist()))
    return f"The numbers are ids of clusters, not labels: label {pairs}."
