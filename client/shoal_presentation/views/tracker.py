"""The variable tracker: what each variable holds at the start, after steps that move centroids, and at the end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shoal import ComparisonStep
from shoal_presentation.views.convergence import differ_beyond_rounding
from shoal_presentation.views.numbers import NONE, centroids_text, labels_text, steps_of
from shoal_presentation.views.run import Run, engine_text

_CHANGING = {"initialise", "update", "converged", "stopped"}


@dataclass(frozen=True)
class TrackerColumn:
    """A moment at which the variables are shown."""

    name: str
    step: int | None  # the step it comes after; None: the start, or the end


@dataclass(frozen=True)
class Tracker:
    """The tracker: a row for each variable, a column for each moment."""

    columns: tuple[TrackerColumn, ...]
    variables: tuple[tuple[str, tuple[str, ...]], ...]  # name, and its value at each column
    changes: tuple[tuple[bool, ...], ...]  # of each variable: whether its value is another than at the column before


def track(run: Run) -> Tracker:
    """Return each engine's centroids and labels in each column; NONE before they exist."""
    after = [step.number for step in run.steps if step.action in _CHANGING]
    columns = (
        TrackerColumn("start", None),
        *(TrackerColumn(f"after {number}", number) for number in after),
        TrackerColumn("end", None),
    )
    ends, told_apart = [0, *after, len(run.steps)], steps_of(run.start.points)
    variables, changes = [], []
    for engine in run.engines:
        name, steps = engine_text(engine).library, run.steps_of(engine)
        seen = _last(steps, ends)
        texts = tuple(centroids_text(step.centroids, told_apart) if step else NONE for step in seen)
        variables.append((f"{name} centroids", texts))
        changes.append(_changes(seen, _have_other_centroids))
        seen = _last([step for step in steps if step.labels is not None], ends)
        variables.append((f"{name} labels", tuple(labels_text(step.labels) if step else NONE for step in seen)))
        changes.append(_changes(seen, _have_other_labels))
    return Tracker(columns, tuple(variables), tuple(changes))


def _last(steps: Sequence[ComparisonStep], ends: Sequence[int]) -> list[ComparisonStep | None]:
    """Return the last step up to each end; None before the first."""
    numbers = [step.number for step in steps]
    reached = [bisect_right(numbers, end) for end in ends]
    return [steps[count - 1] if count else None for count in reached]


def _changes(
    seen: Sequence[ComparisonStep | None], differ: Callable[[ComparisonStep, ComparisonStep], bool]
) -> tuple[bool, ...]:
    return (False, *(_has_changed(before, step, differ) for before, step in pairwise(seen)))


def _has_changed(
    before: ComparisonStep | None,
    step: ComparisonStep | None,
    differ: Callable[[ComparisonStep, ComparisonStep], bool],
) -> bool:
    if before is None or step is None:
        return before is not step
    return before is not step and differ(before, step)


def _have_other_centroids(before: ComparisonStep, step: ComparisonStep) -> bool:
    return before.centroids.shape != step.centroids.shape or differ_beyond_rounding(before.centroids, step.centroids)


def _have_other_labels(before: ComparisonStep, step: ComparisonStep) -> bool:
    return not np.array_equal(before.labels, step.labels)  # type: ignore[arg-type]  # both have some
