"""The variable tracker: what each variable holds at the start, after steps that move centroids, and at the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shoal._comparison_types import ComparisonStep
from shoal.views.numbers import NONE, centroids_text, labels_text
from shoal.views.run import Run, words_of

_CHANGING = {"initialise", "update", "converged", "stopped"}


@dataclass(frozen=True)
class Moment:
    """When variables are looked at."""

    name: str
    step: int | None  # the step it comes after; None: the start, or the end


@dataclass(frozen=True)
class Tracker:
    """A row a variable, a column a moment."""

    moments: tuple[Moment, ...]
    variables: tuple[tuple[str, tuple[str, ...]], ...]  # name, and its value at each moment


def track(run: Run) -> Tracker:
    """Return what each engine's centroids and labels are at each moment; NONE before they exist."""
    after = [step.number for step in run.steps if step.action in _CHANGING]
    moments = (Moment("start", None), *(Moment(f"after {number}", number) for number in after), Moment("end", None))
    ends = [0, *after, len(run.steps)]
    variables = []
    for engine in run.engines:
        name = words_of(engine).library
        seen = [_last(run.steps_of(engine), end) for end in ends]
        variables.append(
            (f"{name} centroids", tuple(centroids_text(step.centroids) if step else NONE for step in seen))
        )
        variables.append((f"{name} labels", tuple(_labels(run.steps_of(engine), end) for end in ends)))
    return Tracker(moments, tuple(variables))


def _last(steps: Iterable[ComparisonStep], end: int) -> ComparisonStep | None:
    return next((step for step in reversed(list(steps)) if step.number <= end), None)


def _labels(steps: Iterable[ComparisonStep], end: int) -> str:
    with_labels = [step for step in steps if step.number <= end and step.labels is not None]
    return labels_text(with_labels[-1].labels) if with_labels else NONE
