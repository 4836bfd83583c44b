"""The execution table: a row for each step, and one for the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shoal import CompareEngine, ComparisonStep
from shoal_presentation.views.numbers import NONE, centroids_text, labels_text, number_text, steps_of
from shoal_presentation.views.run import Run, engine_text

FINAL = "final centroids"


@dataclass(frozen=True)
class Cell:
    """The values of an engine at a step."""

    centroids: str
    labels: str


NOTHING = Cell(NONE, NONE)


@dataclass(frozen=True)
class Row:
    """A step of one engine; the last row is for all engines."""

    number: int
    action: str
    cells: Mapping[CompareEngine, Cell]
    engine: CompareEngine | None  # whose step it is; None: the output


def rows_of(run: Run) -> tuple[Row, ...]:
    """Return the rows of the table."""
    return (*_steps(run), _output(run))


def _steps(run: Run) -> Iterator[Row]:
    seen: set[tuple[str, str]] = set()
    told_apart = steps_of(run.start.points)
    for step in run.steps:
        cells = dict.fromkeys(run.engines, NOTHING)
        cells[step.engine] = Cell(centroids_text(step.centroids, told_apart), labels_text(step.labels))
        first = (step.engine, step.action) not in seen
        seen.add((step.engine, step.action))
        yield Row(step.number, action_text(step, run.start.tol, explained=first), cells, step.engine)


def _output(run: Run) -> Row:
    cells = {result.engine: Cell(FINAL, labels_text(result.labels)) for result in run.result.engines}
    return Row(len(run.steps) + 1, "output", cells, None)


def action_text(step: ComparisonStep, tol: float, *, explained: bool) -> str:
    """Return a description of a step.

    Parameters
    ----------
    step, tol
        The step, and the comparison's tol.
    explained
        With what that means.
    """
    match step.action:
        case "assign":
            return "assign to the nearest centroid" if explained else "assign"
        case "update":
            return "update to the mean of the assigned points" if explained else "update"
        case "converged":
            return "converged: nothing moved" if tol == 0 else f"converged: moved by no more than {number_text(tol)}"
        case "stopped":
            return f"stopped: {step.iteration} iterations are as many as it may make"
        case "fit":
            return f"the {engine_text(step.engine).library} fit completes"
        case action:
            return action
