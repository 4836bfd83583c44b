"""Which number of clusters is suggested, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from shoal_server.clustering.silhouette import Silhouette
from shoal_server.clustering.suggestion import Candidate, Suggestion, suggest


def suggestion(
    silhouettes: Mapping[int, float | None], *, inertia: Mapping[int, float] | None = None, cloud: float = 0.2
) -> Suggestion:
    """Return what is suggested for silhouettes of standard error 0.005, and inertia that falls by a tenth each time."""
    return suggest(
        [
            Candidate(
                k,
                0.9**k if inertia is None else inertia[k],
                None if mean is None else Silhouette(mean, 0.005),
                cloud,
            )
            for k, mean in silhouettes.items()
        ]
    )


def test_the_highest_silhouette_wins() -> None:
    found = suggestion({7: 0.5, 8: 0.71, 9: 0.66})

    assert found == Suggestion(8, "the silhouette is highest at 8 (0.71); the next best is 9 (0.66)")


def test_a_silhouette_that_is_highest_at_the_largest_number_says_that_more_may_be_better() -> None:
    found = suggestion({18: 0.67, 19: 0.71, 20: 0.75})

    assert found == Suggestion(
        20, "the silhouette is highest at 20 (0.75), the largest number tried, and still rises: try more"
    )


def test_the_largest_number_with_a_silhouette_is_not_the_largest_tried() -> None:
    found = suggestion({4: 0.6, 5: 0.7, 6: None})

    assert found == Suggestion(5, "the silhouette is highest at 5 (0.70); the next best is 4 (0.60)")


def test_the_least_number_within_the_uncertainty_of_the_highest_wins() -> None:
    found = suggestion({8: 0.40, 9: 0.495, 10: 0.48, 11: 0.5})

    assert found == Suggestion(9, "the silhouette is highest at 11 (0.50), and its uncertainty includes 9 (0.49)")


def test_the_number_at_which_the_inertia_stops_falling_wins_over_nearly_equal_silhouettes() -> None:
    found = suggestion({48: 0.68, 49: 0.70, 50: 0.69, 51: 0.66}, inertia={48: 2.0, 49: 1.8, 50: 1.6, 51: 1.59})

    assert found == Suggestion(50, "the silhouette is highest at 49 (0.70), and the inertia stops falling at 50 (0.69)")


def test_a_bend_of_the_inertia_before_the_highest_silhouette_is_nothing() -> None:
    found = suggestion({2: 0.3, 3: 0.685, 4: 0.66, 5: 0.7, 6: 0.4}, inertia={2: 9.0, 3: 2.0, 4: 1.5, 5: 1.0, 6: 0.6})

    assert found == Suggestion(5, "the silhouette is highest at 5 (0.70); the next best is 3 (0.69)")


def test_a_bend_of_the_inertia_far_below_the_highest_silhouette_is_nothing() -> None:
    found = suggestion({2: 0.3, 3: 0.5, 4: 0.7, 5: 0.3}, inertia={2: 2.0, 3: 1.0, 4: 0.99, 5: 0.9})

    assert found.n_clusters == 4


@pytest.mark.parametrize(("first", "expected"), [(1, 1), (2, None)])
def test_silhouettes_like_those_of_a_single_cloud_suggest_nothing_or_1(first: int, expected: int | None) -> None:
    silhouettes = {k: None if k == 1 else 0.24 for k in range(first, 6)}

    found = suggestion(silhouettes)

    assert found.n_clusters == expected
    assert found.reason == (
        "no number of clusters stands out: the highest silhouette is 0.24 at 2, and a single cloud of this extent, cut "
        "into 2, has 0.20"
    )


def test_without_silhouettes_nothing_is_suggested() -> None:
    found = suggestion({1: None, 4000: None})

    assert found == Suggestion(1, "there is no silhouette, which needs 2 clusters, and points that differ")


def test_a_single_number_with_a_silhouette_is_suggested_for_want_of_others() -> None:
    assert (
        suggestion({1: None, 3: 0.6}).reason == "the silhouette is highest at 3 (0.60), and no other number was tried"
    )
