"""The panel of an engine in a comparison, at a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from shoal.drawing.scales import Scale
from shoal.drawing.scene import Scene, state_of
from shoal.views import Frame, Plot


def panel_scene(plot: Plot, frame: Frame | None) -> Scene:
    """Return what an engine's panel shows.

    Parameters
    ----------
    plot, frame
        Of a run, and of one of its steps; None: the engine has not begun.
    """
    if frame is None:
        return Scene(plot.points, None, np.empty((0, 2)), np.empty(0, np.int32))
    trails = [trail.places for trail in frame.trails]
    return Scene(plot.points, frame.point_colours, frame.centroids, frame.colours, trails, plot.shows_nearness)


def panel_state(plot: Plot, frame: Frame, scale: Scale) -> dict[str, Any]:
    """Return what `panel.js` needs to show a step, in the drawing's coordinates."""
    return state_of(panel_scene(plot, frame), scale)
