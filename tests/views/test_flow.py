"""The concept flow."""

from __future__ import annotations

from itertools import pairwise

from shoal_presentation.views import Run, active_stages, flow_of
from tests.views.builders import Compare


def test_the_flow_goes_from_the_data_to_the_stop_and_back_to_assign(six: Run) -> None:
    flow = flow_of(six)

    names = [stage.name for stage in flow.stages]
    assert names == ["data", "k", "start", "assign", "update", "converged", "stop"]
    assert [(arrow.source, arrow.target) for arrow in flow.arrows[:-1]] == list(pairwise(names))
    assert (flow.arrows[-1].source, flow.arrows[-1].target) == ("converged", "assign")
    assert [arrow.condition for arrow in flow.arrows[-2:]] == ["yes", "no: assign again"]


def test_flow_stages_have_the_figures_of_the_run(compare: Compare) -> None:
    run = compare([[1.0], [2.0], [7.0]], 1, init="k-means++", random_state=5, tol=0.25, max_iter=7)

    details = {stage.name: stage.detail for stage in flow_of(run).stages}

    assert details["data"] == "3 points, 1 column"
    assert details["k"] == "k = 1"
    assert details["start"] == "k-means++, random_state 5"
    assert details["converged"] == "when all moves together are at most 0.25"
    assert details["stop"] == "at the latest after 7 iterations"


def test_each_step_highlights_its_stage_of_the_flow(six: Run) -> None:
    lit = [active_stages(step) for step in six.steps]

    loop = ("assign", "update", "converged", "stop")
    assert lit == [("start",), ("assign",), ("update",), ("assign",), ("converged", "stop"), loop]


def test_a_stopped_step_highlights_the_stop_stage(compare: Compare) -> None:
    run = compare([[0.0], [1.0], [9.0], [10.0]], 2, init=[[0.0], [1.0]], engines=("scipy",), max_iter=1)

    assert active_stages(run.steps[-1]) == ("stop",)
