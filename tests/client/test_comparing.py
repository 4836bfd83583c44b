"""A comparison as the client sees it."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal

X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
GIVEN = np.array([[5.5, 3.0], [1.0, 2.0]])
LABELS = [1, 1, 1, 0, 0, 0]


def test_comparison_steps_match_the_reference_table(client: shoal.Client) -> None:
    steps = list(client.compare(X, n_clusters=2, init=GIVEN, random_state=0))

    start, end = GIVEN.tolist(), [[10.0, 2.0], [1.0, 2.0]]
    assert [
        (step.number, step.engine, step.action, step.centroids.tolist(), _list(step.labels)) for step in steps
    ] == [
        (1, "scipy", "initialise", start, None),
        (2, "scipy", "assign", start, LABELS),
        (3, "scipy", "update", end, None),
        (4, "scipy", "assign", end, LABELS),
        (5, "scipy", "converged", end, LABELS),
        (6, "sklearn", "fit", end, LABELS),
    ]  # fmt: skip


def test_comparison_start_has_the_values_that_the_server_chose(client: shoal.Client) -> None:
    comparison = client.compare(example="six-points", n_clusters=3)
    assert comparison.start is None

    next(comparison)

    start = comparison.start
    assert start is not None
    assert (start.points.tolist(), start.example) == (X.tolist(), "six-points")
    assert start.initial_centroids.shape == (3, 2)
    assert (start.engines, start.max_iter, start.tol) == (("scipy", "sklearn"), 100, 0)
    assert start.init == "k-means++"
    comparison.close()


@pytest.mark.parametrize(("init", "expected"), [(GIVEN, "given"), ("random", "random"), ("k-means++", "k-means++")])
def test_comparison_start_says_whether_the_initial_centroids_were_given(
    client: shoal.Client, init: Any, expected: str
) -> None:
    with closing(client.compare(X, n_clusters=2, init=init)) as comparison:
        next(comparison)

    assert comparison.start is not None
    assert comparison.start.init == expected


def test_the_drawn_random_state_repeats_the_comparison(client: shoal.Client) -> None:
    first = client.compare(example="blobs", n_clusters=5)
    steps = list(first)
    assert first.start is not None

    again = list(client.compare(example="blobs", n_clusters=5, random_state=first.start.random_state))

    assert [step.centroids.tolist() for step in again] == [step.centroids.tolist() for step in steps]


def test_the_result_comes_with_the_last_step(client: shoal.Client) -> None:
    comparison = client.compare(X, n_clusters=2, init=GIVEN, engines=("scipy", "sklearn", "numba"))
    assert comparison.result is None

    steps = list(comparison)

    result = comparison.result
    assert result is not None
    assert [engine.engine for engine in result.engines] == ["scipy", "sklearn", "numba"]
    assert all(agreement.adjusted_rand_index == 1 for agreement in result.agreements)
    assert all(engine.elapsed > 0 for engine in result.engines)
    assert steps[5].own_figures[0].name == "inertia_"


def test_comparison_names_its_engines(client: shoal.Client) -> None:
    engines = ("numba", "sklearn-minibatch", "scipy-kmeans2")

    steps = list(client.compare(X, n_clusters=2, engines=engines, random_state=1))  # type: ignore[arg-type]  # literals

    assert list(dict.fromkeys(step.engine for step in steps)) == list(engines)


@pytest.mark.parametrize(
    ("arguments", "reason", "says"),
    [
        ({}, "POINTS_MISSING", "one of the two"),
        ({"X": X, "example": "blobs"}, "POINTS_MISSING", "one of the two"),
        ({"X": [1, 2, 3]}, "SHAPE_INVALID", "reshape"),
        ({"X": X, "engines": "scipy"}, "ENGINES_INVALID", "('scipy',)"),
        ({"X": X, "engines": ()}, "ENGINES_INVALID", "engines is empty; choose of scipy"),
        ({"X": X, "max_iter": 0}, "MAX_ITER_INVALID", "use a number from 1 on"),
        ({"X": X, "engines": ("numpy",)}, "ENGINES_UNKNOWN", "scipy-kmeans2"),
        ({"X": X, "n_clusters": 2.5}, "N_CLUSTERS_INVALID", "whole number"),
        ({"X": X, "tol": "small"}, "TOL_INVALID", "give a number"),
        ({"X": X, "init": "best"}, "INIT_UNKNOWN", "k-means++"),
    ],
)
def test_invalid_comparison_arguments_are_refused_before_the_first_step(
    client: shoal.Client, arguments: dict[str, Any], reason: str, says: str
) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match=re.escape(says)) as refused:
        client.compare(**arguments)

    assert refused.value.reason == reason


def test_comparison_refused_by_the_server_raises_with_the_first_step(client: shoal.Client) -> None:
    comparison = client.compare(X, n_clusters=7)

    with pytest.raises(shoal.InvalidArgumentError, match="n_clusters is 7, and there are 6 points"):
        next(comparison)


def test_closed_comparison_makes_room_for_another(client: shoal.Client) -> None:
    for _ in range(20):
        with client.compare(example="blobs", n_clusters=4, random_state=0) as comparison:
            next(comparison)

        assert [step.number for step in _patiently(client)][:2] == [1, 2]


def test_a_closed_client_ends_its_comparison(client: shoal.Client) -> None:
    comparison = client.compare(example="blobs", n_clusters=4)
    next(comparison)

    client.close()

    with pytest.raises(shoal.ClientClosedError):
        list(comparison)


def _list(labels: NDArray[np.int32] | None) -> list[int] | None:
    return None if labels is None else labels.tolist()


def _patiently(client: shoal.Client) -> list[shoal.ComparisonStep]:
    """Compare, and retry while the server is still busy with the cancelled comparison."""
    while True:
        try:
            return list(client.compare(X, n_clusters=2))
        except shoal.LimitExceededError as busy:
            if busy.reason != "COMPARISONS_BUSY" or not busy.retry_after:
                raise
