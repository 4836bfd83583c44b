"""Notes beside the tables: why the comparison is fair, and what the libraries did that may surprise you."""

from __future__ import annotations

from shoal_presentation.views.numbers import number_text
from shoal_presentation.views.run import Run, engine_text


def notes_of(run: Run) -> tuple[str, ...]:
    """Return the notes, the one on fairness first."""
    return (_fairness(run), *_of_steps(run), *_own_figures(run))


def _fairness(run: Run) -> str:
    start = run.start
    rule = "no centroid moves" if start.tol == 0 else f"all centroids together move by at most {number_text(start.tol)}"
    return (
        f"The same for all: {len(start.points):,} points, {len(start.initial_centroids)} initial centroids, "
        f"at most {start.max_iter} iterations, and a stop when {rule}. Inertia and mean distance are computed in the "
        "same way."
    )


def _of_steps(run: Run) -> list[str]:
    return [
        f"Step {step.number}, {engine_text(step.engine).library}: {note}." for step in run.steps for note in step.notes
    ]


def _own_figures(run: Run) -> list[str]:
    return [
        f"{engine_text(step.engine).library} returns {figure.name} {number_text(figure.value)}: {figure.meaning}."
        for step in run.steps
        for figure in step.own_figures
    ]
