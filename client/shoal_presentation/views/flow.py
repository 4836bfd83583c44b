"""The flow of k-means: its stages, the arrows between them, and the stages of each step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from shoal import ComparisonStart, ComparisonStep
from shoal_presentation.views.numbers import count_text, number_text
from shoal_presentation.views.run import Run

StageName = Literal["data", "k", "start", "assign", "update", "converged", "stop"]

_LIT: dict[str, tuple[StageName, ...]] = {
    "initialise": ("start",),
    "assign": ("assign",),
    "update": ("update",),
    "converged": ("converged", "stop"),
    "stopped": ("stop",),
    "fit": ("assign", "update", "converged", "stop"),  # one call goes round the whole loop
}


@dataclass(frozen=True)
class Stage:
    """A box of the flow."""

    name: StageName
    title: str
    detail: str  # what it is in this run


@dataclass(frozen=True)
class Arrow:
    """An arrow from one stage to another."""

    source: StageName
    target: StageName
    condition: str  # of a question's answer; empty: always


@dataclass(frozen=True)
class Flow:
    """The stages in order, and the arrows: from each to the next, and back from the question to `assign`."""

    stages: tuple[Stage, ...]
    arrows: tuple[Arrow, ...]


def flow_of(run: Run) -> Flow:
    """Return the flow with this run's figures."""
    stages = _stages(run.start)
    onward = [Arrow(one.name, other.name, "yes" if other.name == "stop" else "") for one, other in pairwise(stages)]
    return Flow(stages, (*onward, Arrow("converged", "assign", "no: assign again")))


def active_stages(step: ComparisonStep) -> tuple[StageName, ...]:
    """Return the stages that a step highlights, in the order of the flow; none for an action newer than this client."""
    return _LIT.get(step.action, ())


def origin_text(start: ComparisonStart) -> str:
    """Return the origin of the initial centroids as a part of a sentence."""
    if start.init == "given":
        return "given"
    return f"drawn from the points ({_draw(start)}), once for all engines"


def _draw(start: ComparisonStart) -> str:
    way = "k-means++" if start.init == "k-means++" else "at random"
    return f"{way}, random_state {start.random_state}"


def _stages(start: ComparisonStart) -> tuple[Stage, ...]:
    rows, columns = start.points.shape
    k = len(start.initial_centroids)
    rule = "when nothing moves" if start.tol == 0 else f"when all moves together are at most {number_text(start.tol)}"
    return (
        Stage("data", "Data", f"{count_text(rows, 'point')}, {count_text(columns, 'column')}"),
        Stage("k", "Choose k", f"k = {k}"),
        Stage("start", "Initial centroids", start.init if start.init == "given" else _draw(start)),
        Stage("assign", "Assign", "each point to its nearest centroid"),
        Stage("update", "Update", "each centroid to the mean of its points"),
        Stage("converged", "Converged?", rule),
        Stage("stop", "Stop", f"at the latest after {count_text(start.max_iter, 'iteration')}"),
    )
