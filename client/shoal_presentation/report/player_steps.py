"""The steps for the player: positions and colours in the drawing, and the highlighted parts of the page."""

from __future__ import annotations

from typing import Any

from shoal import ComparisonStep
from shoal_presentation.drawing import PanelStateEncoder, Scale, is_shaded, panel_scene
from shoal_presentation.views import PanelState, Plot, Run, Tracker, active_stages, code_of, engine_text, rows_of, track
from shoal_presentation.views.numbers import number_text

_MOST = 4_000_000  # characters, over all steps
_LABEL, _CENTROID, _REGION = 3, 16, 80  # about how many characters each takes


def player_steps(run: Run, plot: Plot, scale: Scale) -> list[dict[str, Any]]:
    """Return a step for each row of the table, or none if they would make the page too large.

    The last one belongs to no engine. The labels of a step without any are None: points look as they did.
    """
    if sum(_length(step, plot) for step in run.steps) > _MOST:
        return []
    lines, tracker, rows = code_of(run).lines, track(run), rows_of(run)
    encoder = PanelStateEncoder(plot, scale)
    steps = [
        {
            "number": step.number,
            "engine": step.engine,
            "says": f"{engine_text(step.engine).library}: {row.action}",
            "lit": active_stages(step),
            "lines": lines[step.number],
            "column": _column(tracker, step),
            "figures": _figures(step),
            **_state(step, plot.states[step.number], encoder),
        }
        for step, row in zip(run.steps, rows, strict=False)
    ]
    end = {"number": rows[-1].number, "engine": None, "says": "output: the final centroids and labels", "lit": ["stop"]}
    return [*steps, {**end, "lines": lines[rows[-1].number], "column": len(tracker.columns) - 1}]


def _length(step: ComparisonStep, plot: Plot) -> int:
    """Return roughly the number of characters of a step's state."""
    state = plot.states[step.number]
    labels = 0 if step.labels is None else len(plot.rows)
    places = len(state.centroids) + (int(state.reached.sum()) if step.action == "fit" else 0)
    regions = len(state.centroids) if is_shaded(panel_scene(plot, state, has_trails=False)) else 0
    return _LABEL * labels + _CENTROID * places + _REGION * regions


def _state(step: ComparisonStep, state: PanelState, encoder: PanelStateEncoder) -> dict[str, Any]:
    has_trails = step.action == "fit"  # the player knows the others from the steps before
    encoded = encoder.encode(state, has_trails=has_trails)
    return {
        **encoded,
        "labels": None if step.labels is None else encoded["labels"],
        "trails": encoded["trails"] if has_trails else None,
    }


def _column(tracker: Tracker, step: ComparisonStep) -> int:
    """Return the last column of the tracker that isn't after a step."""
    reached = [index for index, column in enumerate(tracker.columns) if (column.step or step.number + 1) <= step.number]
    return reached[-1] if reached else 0


def _figures(step: ComparisonStep) -> str | None:
    if step.inertia is None or step.distortion is None:
        return None
    return f"inertia {number_text(step.inertia)} · mean distance {number_text(step.distortion)}"
