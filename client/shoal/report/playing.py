"""What the player needs: each step's places in the drawing, colours, and what it lights elsewhere on the page."""

from __future__ import annotations

from typing import Any

from shoal._comparison_types import ComparisonStep
from shoal.drawing import Scale, panel_state
from shoal.views import Plot, Run, Tracker, code_of, lit_by, rows_of, track, words_of
from shoal.views.numbers import number_text

_MOST_MARKS = 2_000_000  # points and centroids, over all steps: some megabytes of page


def playable(run: Run, plot: Plot, scale: Scale) -> list[dict[str, Any]]:
    """Return a step for each row of the table, or none where they would make the page too large.

    The last one belongs to no engine. The labels of a step without any are None: points look as they did.
    """
    if len(run.steps) * (len(plot.rows) + len(run.start.initial_centroids)) > _MOST_MARKS:
        return []
    lines, tracker, rows = code_of(run).lines, track(run), rows_of(run)
    steps = [
        {
            "number": step.number,
            "engine": step.engine,
            "says": f"{words_of(step.engine).library}: {row.action}",
            "lit": lit_by(step),
            "lines": lines[step.number],
            "moment": _moment(tracker, step),
            "figures": _figures(step),
            **_state(step, plot, scale),
        }
        for step, row in zip(run.steps, rows, strict=False)
    ]
    end = {"number": rows[-1].number, "engine": None, "says": "output: the final centroids and labels", "lit": ["stop"]}
    return [*steps, {**end, "lines": lines[rows[-1].number], "moment": len(tracker.moments) - 1}]


def _state(step: ComparisonStep, plot: Plot, scale: Scale) -> dict[str, Any]:
    state = panel_state(plot, plot.frames[step.number], scale)
    if step.labels is None:
        state["labels"] = None
    if step.action != "fit":
        state["trails"] = None  # the player knows them from the steps before
    return state


def _moment(tracker: Tracker, step: ComparisonStep) -> int:
    """Return the last moment of the tracker that is not after a step."""
    reached = [place for place, moment in enumerate(tracker.moments) if (moment.step or step.number + 1) <= step.number]
    return reached[-1] if reached else 0


def _figures(step: ComparisonStep) -> str | None:
    if step.inertia is None or step.distortion is None:
        return None
    return f"inertia {number_text(step.inertia)} · mean distance {number_text(step.distortion)}"
