"""The quiz: one option of each question is right, for any run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_presentation.views import Question, Run, convergence_step, key_facts_of, quiz_of
from shoal_presentation.views.numbers import labels_text
from tests.effort import examples, seeds
from tests.views.builders import FAR_AWAY, FEW, Compare, blobs, compare_arguments


def _right(question: Question) -> str:
    return question.options[question.answer]


def test_quiz_answers_of_the_six_points_match_the_table(six: Run) -> None:
    labels, settling, random_state = quiz_of(six)

    assert "Step 2: which labels does SciPy give the points?" in labels.text
    assert _right(labels) == "[1 1 1 0 0 0]"
    assert _right(settling) == "step 3"
    assert _right(random_state) == "nothing: the centroids and the labels stay the same"


def test_random_state_question_names_every_engine_when_the_start_is_drawn(compare: Compare) -> None:
    run = compare(blobs(0), 3, init="k-means++", engines=("scipy", "sklearn"))

    assert _right(quiz_of(run)[2]) == "the centroids and the labels of every engine"


def test_results_depend_on_random_state_when_the_start_is_drawn(compare: Compare) -> None:
    ends = {
        tuple(run.result.engines[place].labels.tolist())
        for seed in range(10)
        for place in (0, 1)
        for run in [compare(blobs(0), 3, init="k-means++", engines=("scipy", "sklearn"), random_state=seed)]
    }

    assert len(ends) > 1


@pytest.mark.parametrize(
    ("points", "k"), [([[1.0], [2.0], [9.0]], 1), ([[4.0, 4.0]] * 5, 3)], ids=["one cluster", "equal points"]
)
def test_random_state_question_answers_nothing_when_every_start_leads_to_one_result(
    compare: Compare, points: Any, k: int
) -> None:
    runs = [compare(points, k, init="random", random_state=seed) for seed in range(5)]

    assert {_right(quiz_of(run)[2]) for run in runs} == {"nothing: the centroids and the labels stay the same"}
    ends = {(result.engine, str(result.centroids), str(result.labels)) for run in runs for result in run.result.engines}
    assert len(ends) == len(runs[0].engines)


@pytest.mark.parametrize("points", [blobs(1), FEW], ids=["blobs", "an empty cluster"])
def test_random_state_question_names_only_mini_batches_when_the_start_is_given(compare: Compare, points: Any) -> None:
    runs = [compare(points, 3, init=FAR_AWAY, random_state=seed) for seed in range(8)]

    assert "MiniBatch" in _right(quiz_of(runs[0])[2])
    for place, engine in enumerate(runs[0].engines):
        ends = {str(run.result.engines[place].centroids) for run in runs}
        assert len(ends) == 1 or engine == "sklearn-minibatch"


def test_quiz_does_not_always_put_the_right_option_at_the_same_letter(compare: Compare) -> None:
    runs = [compare(blobs(seed), 3, init="k-means++", engines=("scipy",)) for seed in range(25)]

    for place in range(3):
        assert {quiz_of(run)[place].answer for run in runs} == {0, 1, 2, 3}


def test_the_same_run_has_the_same_quiz(compare: Compare) -> None:
    once, again = (compare(blobs(0), 3, init="random", engines=("scipy", "sklearn")) for _ in range(2))

    assert quiz_of(once) == quiz_of(again)


def _settled(run: Run) -> int:
    """The slow way: from each step on, are the centroids those of the end?"""
    steps = run.steps_of(run.engines[0])
    end = steps[-1].centroids
    for step in steps:
        later = [other.centroids for other in steps if other.number >= step.number]
        if all(other.shape == end.shape and np.allclose(other, end, rtol=1e-9, atol=1e-12) for other in later):
            return step.number
    raise AssertionError("the last step has the last centroids")


@examples(200)
@given(arguments=compare_arguments())
def test_options_are_distinct_and_exactly_one_is_right(compare: Compare, arguments: dict[str, Any]) -> None:
    run = compare(**arguments)

    labels, settling, random_state = quiz_of(run)

    for question in (labels, settling, random_state):
        assert len(question.options) == len(set(question.options)) == 4
        assert 0 <= question.answer < 4
    first = next(step for step in run.steps if step.labels is not None)
    assert first.labels is not None
    right = labels_text(first.labels[:12])
    assert [option == right for option in labels.options].index(True) == labels.answer
    assert _right(settling) == f"step {convergence_step(run, run.engines[0]).number}"
    drawn = arguments["init"] in ("k-means++", "random") if isinstance(arguments["init"], str) else False
    assert drawn or "every engine" not in _right(random_state)


@pytest.mark.parametrize("seed", seeds(20))
def test_convergence_step_is_the_first_with_the_final_centroids(compare: Compare, seed: int) -> None:
    run = compare(blobs(seed), 4, init="random", random_state=seed, engines=("scipy", "sklearn"))

    assert _right(quiz_of(run)[1]) == f"step {_settled(run)}"


@pytest.mark.parametrize("engine", ["scipy", "sklearn", "numba"])
def test_quiz_asks_for_the_final_centroids_of_an_engine_stopped_by_max_iter(compare: Compare, engine: str) -> None:
    run = compare(blobs(0), 4, init="random", engines=(engine,), max_iter=2)

    question = quiz_of(run)[1]

    assert "has its final centroids?" in question.text
    assert "2 iterations are all that it may make; another one might still move them." in question.explanation
    assert _right(question) == f"step {_settled(run)}"


def test_engine_that_stops_within_tol_has_not_converged(compare: Compare) -> None:
    run = compare(blobs(0), 4, init="random", engines=("scipy",), tol=5.0)

    question = quiz_of(run)[1]

    assert run.steps[-1].action == "converged"
    assert "they moved by no more than 5." in question.explanation
    assert _right(question) == f"step {run.steps[-1].number}"


@pytest.mark.parametrize("seed", seeds(12))
def test_engine_that_would_still_move_has_not_converged(compare: Compare, seed: int) -> None:
    run = compare(blobs(seed), 4, init="random", random_state=seed, engines=("scipy",), max_iter=2)

    (end,) = run.result.engines
    once_more = compare(blobs(seed), len(end.centroids), init=end.centroids, engines=("scipy",), max_iter=1)
    if once_more.steps[-1].action == "stopped":
        assert "no longer change" not in quiz_of(run)[1].text
        assert "no longer changed" not in " ".join(key_facts_of(run))


@examples(150)
@given(arguments=compare_arguments(), engine=st.sampled_from(["scipy", "scipy-kmeans2", "numba"]))
def test_another_iteration_does_not_move_centroids_that_no_longer_change(
    compare: Compare, arguments: dict[str, Any], engine: str
) -> None:
    run = compare(**{**arguments, "engines": (engine,)})

    claims = ["no longer change" in quiz_of(run)[1].text, "no longer changed" in " ".join(key_facts_of(run))]

    assert claims[0] == claims[1]
    if claims[0]:
        (end,) = run.result.engines
        k = len(end.centroids)
        once_more = compare(arguments["points"], k, init=end.centroids, engines=(engine,), max_iter=1)
        assert once_more.steps[-1].centroids == pytest.approx(end.centroids, rel=1e-9, abs=1e-12)


def test_dropping_a_centroid_counts_as_a_change_of_the_centroids(compare: Compare) -> None:
    run = compare([[0.0, 0.0], [2.0, 0.0]], 2, init=[[1.0, 0.0], [90.0, 0.0]], engines=("scipy",))

    assert [step.action for step in run.steps[:3]] == ["initialise", "assign", "update"]
    assert _right(quiz_of(run)[1]) == "step 3"
