"""The panel of an engine in a comparison, at a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from shoal_presentation.drawing.scales import Scale
from shoal_presentation.drawing.scene import Scene, state_of
from shoal_presentation.views import Frame, Plot


def panel_scene(plot: Plot, frame: Frame | None, *, has_trails: bool = True) -> Scene:
    """Return what an engine's panel shows.

    Parameters
    ----------
    plot, frame
        Of a run, and of one of its steps; None: the engine has not begun.
    has_trails
        Whether it shows where the centroids have been.
    """
    if frame is None:
        return Scene(plot.points, None, np.empty((0, 2)), np.empty(0, np.int32))
    trails = [trail.places for trail in frame.trails] if has_trails else []
    return Scene(plot.points, frame.point_colours, frame.centroids, frame.colours, trails, plot.shows_nearness)


class PanelStates:
    """What `panel.js` needs to show the steps of a run, in the drawing's coordinates.

    Where centroids are at the same places again, in whatever engine, their regions are those found before: of two
    steps one moves none.
    """

    def __init__(self, plot: Plot, scale: Scale) -> None:
        self._plot, self._scale = plot, scale
        self._regions: dict[bytes, list[str]] = {}  # by the centroids

    def of(self, frame: Frame, *, has_trails: bool) -> dict[str, Any]:
        """Return the state of a step; without trails they are left out."""
        places = frame.centroids.tobytes()
        scene = panel_scene(self._plot, frame, has_trails=has_trails)
        state = state_of(scene, self._scale, self._regions.get(places))
        self._regions[places] = state["regions"]
        return state
