"""What the player needs: each step's places in the drawing, colours, and what it lights elsewhere on the page."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.cli.report.marks import CENTROID_SIZE, MOST_NUMBERED, mark_of
from shoal.cli.report.scales import scale_of
from shoal.views import Plot, Run, code_of, lit_by, rows_of, words_of

_MOST_COLOURS = 1_000_000  # of points, over all steps: a few megabytes of page


def playable(run: Run, plot: Plot) -> dict[str, Any]:
    """Return the steps, or none where they would make the page too large.

    The points of a step without labels are None: they look as they did.
    """
    if len(run.steps) * len(plot.rows) > _MOST_COLOURS:
        return {"steps": []}
    scale, lines, actions = scale_of(plot), code_of(run).lines, {row.number: row.action for row in rows_of(run)}
    steps = []
    for step in run.steps:
        frame = plot.frames[step.number]
        colours = None if step.labels is None else frame.point_colours
        steps.append(
            {
                "number": step.number,
                "engine": step.engine,
                "says": f"{words_of(step.engine).library}: {actions[step.number]}",
                "lit": lit_by(step),
                "lines": lines[step.number],
                "points": None if colours is None else colours.tolist(),
                "colours": frame.colours.tolist(),
                "centroids": _rounded(scale.place(frame.centroids)),
                # Of others the player knows it from the steps before.
                "trails": [_rounded(scale.place(trail.places)) for trail in frame.trails]
                if step.action == "fit"
                else None,
            }
        )
    return {
        "steps": steps,
        "marks": [mark_of(cluster) for cluster in range(len(run.start.initial_centroids))],
        "size": CENTROID_SIZE,
        "mostNumbered": MOST_NUMBERED,
    }


def _rounded(places: NDArray[np.float64]) -> Any:
    return places.round(1).tolist()
