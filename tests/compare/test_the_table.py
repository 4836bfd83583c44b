"""The execution table that the project grew from, figure for figure."""

from __future__ import annotations

from typing import Any

import pytest

from shoal_server.compare.steps import Step
from tests.compare.comparing import ALL, GIVEN, SIX_POINTS, Bench

START, END = [[5.5, 3.0], [1.0, 2.0]], [[10.0, 2.0], [1.0, 2.0]]
LABELS = [1, 1, 1, 0, 0, 0]
TABLE: list[tuple[str, str, Any, Any]] = [
    ("scipy", "initialise", START, None),
    ("scipy", "assign", START, LABELS),
    ("scipy", "update", END, None),
    ("scipy", "assign", END, LABELS),
    ("scipy", "converged", END, LABELS),
    ("sklearn", "fit", END, LABELS),
]


def _figures(step: Step) -> tuple[str, str, Any, Any]:
    labels = None if step.labels is None else step.labels.tolist()
    return step.engine, step.action, step.centroids.tolist(), labels


def test_the_steps_of_the_six_points_match_the_table(bench: Bench) -> None:
    finished = bench.compare(SIX_POINTS, 2, init=GIVEN, engines=("scipy", "sklearn"))

    assert [_figures(step) for step in finished.steps] == TABLE


def test_both_engines_have_the_same_results_on_the_six_points(bench: Bench) -> None:
    result = bench.compare(SIX_POINTS, 2, init=GIVEN, engines=("scipy", "sklearn")).result

    assert [engine.labels.tolist() for engine in result.engines] == [LABELS, LABELS]
    assert [engine.centroids.tolist() for engine in result.engines] == [END, END]
    assert [engine.inertia for engine in result.engines] == [16, 16]
    (agreement,) = result.agreements
    assert (agreement.adjusted_rand_index, agreement.points_that_differ, agreement.largest_difference) == (1, 0, 0)


def test_inertia_and_distortion_of_a_step_belong_to_its_own_centroids(bench: Bench) -> None:
    second, fourth = bench.compare(SIX_POINTS, 2, init=GIVEN, engines=("scipy",)).steps[1:4:2]

    assert second.inertia == 3 * 4.5**2 + (1 + 1 + 9) + 0 + 4 + 4
    assert fourth.inertia == 16
    assert fourth.distortion == pytest.approx(8 / 6)


@pytest.mark.parametrize("engine", ALL)
def test_every_engine_finds_the_two_groups_of_the_six_points(bench: Bench, engine: Any) -> None:
    (result,) = bench.compare(SIX_POINTS, 2, init=GIVEN, engines=(engine,)).result.engines

    assert (result.labels.tolist(), result.centroids.tolist(), result.converged) == (LABELS, END, True)
