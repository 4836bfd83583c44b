"""The panel of an engine in a comparison, at a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from shoal_presentation.drawing.scales import Scale
from shoal_presentation.drawing.scene import Scene, state_of
from shoal_presentation.views import PanelState, Plot


def panel_scene(plot: Plot, state: PanelState | None, *, has_trails: bool = True) -> Scene:
    """Return the scene of an engine's panel.

    Parameters
    ----------
    plot, state
        Of a run, and of one of its steps; None: the engine has not begun.
    has_trails
        Whether it shows where the centroids have been.
    """
    if state is None:
        return Scene(plot.points, None, np.empty((0, 2)), np.empty(0, np.int32))
    trails = [trail.places for trail in state.trails] if has_trails else []
    return Scene(plot.points, state.point_colours, state.centroids, state.colours, trails, plot.preserves_distances)


class PanelStateEncoder:
    """The data with which `panel.js` shows the steps of a run, in the drawing's coordinates.

    Where centroids are at the same places again, in whatever engine, their regions are those found before: of two
    steps one moves none.
    """

    def __init__(self, plot: Plot, scale: Scale) -> None:
        self._plot, self._scale = plot, scale
        self._regions: dict[bytes, list[str]] = {}  # by the centroids

    def encode(self, state: PanelState, *, has_trails: bool) -> dict[str, Any]:
        """Return the state of a step; without trails they are left out."""
        key = state.centroids.tobytes()
        scene = panel_scene(self._plot, state, has_trails=has_trails)
        encoded = state_of(scene, self._scale, self._regions.get(key))
        self._regions[key] = encoded["regions"]
        return encoded
