"""Points and centroids as SVG: one drawing for the report, for the dashboard's comparisons and for its live sessions.

`draw` writes a whole drawing; `state_of` is what `panel.js` needs to turn a drawing that is there into another.
"""

import json
from importlib.resources import files

from shoal_presentation.drawing.marks import COLOURS, definitions, mark_name
from shoal_presentation.drawing.marks import stylesheet as _mark_stylesheet
from shoal_presentation.drawing.panels import PanelStateEncoder, panel_scene
from shoal_presentation.drawing.scales import Scale, scale_around
from shoal_presentation.drawing.scene import Scene, draw, draw_centroids, is_shaded, look, state_of

__all__ = [
    "COLOURS",
    "PanelStateEncoder",
    "Scale",
    "Scene",
    "definitions",
    "draw",
    "draw_centroids",
    "is_shaded",
    "mark_name",
    "panel_scene",
    "scale_around",
    "script",
    "state_of",
    "stylesheet",
]


def stylesheet() -> str:
    """Return the styles of a drawing; the page defines the variables --surface, --text, --muted and --grid."""
    return files(__package__).joinpath("drawing.css").read_text("utf-8") + _mark_stylesheet()


def script() -> str:
    """Return the script that redraws panels, and draws the line from a point to its centroid under the pointer."""
    code = files(__package__).joinpath("panel.js").read_text("utf-8")
    return f"const SHOAL_LOOK = {json.dumps(look())};\n{code}"
