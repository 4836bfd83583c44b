"""Key facts and the transcript: figures of the run in sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from shoal_presentation.views import Run, key_facts_of, key_moments, transcript_of
from tests.effort import examples
from tests.views.builders import FAR_AWAY, FEW, Compare, blobs, compare_arguments

# ruff: noqa: E501  (whole sentences)
TRANSCRIPT = """\
Step 1. SciPy begins with 2 centroids, given: [[5.5 3] [1 2]].
Step 2. SciPy assigns each point to its nearest centroid: [1 1 1 0 0 0]. The inertia is 79.75, the mean distance 3.10465.
Step 3. SciPy moves each centroid to the mean of its points: [[10 2] [1 2]]. Centroid 0 has moved the farthest, by 4.60977.
Step 4. SciPy assigns each point to its nearest centroid: [1 1 1 0 0 0]. The inertia is 16, the mean distance 1.33333.
Step 5. SciPy updates once more, and has converged after 2 iterations: [[10 2] [1 2]]. No centroid has moved.
Step 6. scikit-learn makes 2 iterations in one call, and comes to the centroids [[10 2] [1 2]] and the labels [1 1 1 0 0 0]. The inertia is 16, the mean distance 1.33333.
At the end SciPy has the centroids [[10 2] [1 2]] and the labels [1 1 1 0 0 0], with inertia 16; it has converged after 2 iterations.
At the end scikit-learn has the centroids [[10 2] [1 2]] and the labels [1 1 1 0 0 0], with inertia 16; it has converged after 2 iterations.
SciPy and scikit-learn have the same clusters; matched centroids are equal.
"""


def test_key_facts_of_the_six_points_match(six: Run) -> None:
    assert key_facts_of(six) == (
        "6 points in 2 columns, k = 2, initial centroids given.",
        "k-means repeats two steps: it assigns points to their nearest centroids, and moves these to the means.",
        "SciPy made 2 iterations; after step 3 its centroids no longer changed.",
        "SciPy’s clusters have 3 and 3 points.",
        "Inertia 16 with every engine: all fit equally well.",
        "All engines put the points into the same clusters, with centroids that are equal.",
    )


def test_transcript_of_the_six_points_matches(six: Run) -> None:
    assert transcript_of(six) == tuple(TRANSCRIPT.splitlines())


def test_key_facts_and_transcript_mention_the_notes(compare: Compare) -> None:
    run = compare(FEW, 3, init=FAR_AWAY, engines=("scipy", "sklearn"))

    assert "Of note: no point is nearest to centroid 2, so kmeans drops it: 2 are left." in transcript_of(run)[2]
    assert any("2 things that may surprise you" in line for line in key_facts_of(run))


def test_key_facts_name_engines_that_disagree(compare: Compare) -> None:
    run = compare(FEW, 3, init=FAR_AWAY, engines=("scipy", "sklearn"))

    (agreement,) = run.result.agreements
    differ = agreement.points_that_differ
    assert f"SciPy and scikit-learn disagree on {differ} of 4 points." in key_facts_of(run)
    best = min(result.inertia for result in run.result.engines)
    assert any(
        line.startswith(f"Inertia from {best:.6g} (scikit-learn, the best fit) to ") for line in key_facts_of(run)
    )
    assert transcript_of(run)[-1].startswith(f"SciPy and scikit-learn differ on {differ} point")


def test_key_facts_of_one_engine_compare_nothing(compare: Compare) -> None:
    lines = key_facts_of(compare(engines=("sklearn",)))

    assert "Only one engine ran. Add a second one to compare them." in lines
    assert "scikit-learn made 2 iterations; after step 1 its centroids no longer changed." in lines


def test_key_facts_and_transcript_do_not_say_that_a_stopped_engine_converged(compare: Compare) -> None:
    run = compare(blobs(0), 4, init="random", engines=("scipy", "numba"), max_iter=2)

    assert "SciPy made 2 iterations and was stopped: its centroids might still move." in key_facts_of(run)
    assert not any("no longer changed" in line for line in key_facts_of(run))
    assert "Stopped by max_iter = 2, perhaps before converging: SciPy and Shoal." in key_facts_of(run)
    texts = " ".join(transcript_of(run))
    assert "has made all 2 iterations that it may" in texts
    assert "converged" not in texts


def test_key_facts_say_how_little_an_engine_moved_when_it_stops_within_tol(compare: Compare) -> None:
    run = compare(blobs(0), 4, init="random", engines=("scipy",), tol=5.0)

    assert any("; the last moved its centroids by no more than 5." in line for line in key_facts_of(run))


def test_centroids_that_differ_by_rounding_are_called_equal_but_for_rounding(compare: Compare) -> None:
    run = compare(blobs(0), 3, init="k-means++", engines=("scipy", "sklearn"))
    (agreement,) = run.result.agreements

    texts = {}
    for distance in (0.0, 1.79018e-15, 1e-9):
        result = replace(run.result, agreements=(replace(agreement, largest_difference=distance),))
        apart = replace(run, result=result)
        texts[distance] = (key_facts_of(apart)[5], transcript_of(apart)[-1], key_moments(apart)[2].explanation)

    for distance, words in ((0.0, "equal"), (1.79018e-15, "equal but for rounding"), (1e-9, "at most 1e-09 apart")):
        snapshot, transcript, moment = texts[distance]
        assert snapshot.endswith(f"with centroids that are {words}.")
        assert transcript.endswith(f"; matched centroids are {words}.")
        assert distance == 0 or moment.endswith(f" In this run matched centroids are {words}.")


@pytest.mark.parametrize("k", [1, 9, 20])
def test_key_facts_list_the_cluster_sizes(compare: Compare, k: int) -> None:
    lines = key_facts_of(compare(blobs(0), k, init="k-means++", engines=("scipy",)))

    expected = "SciPy has one cluster, with all points." if k == 1 else f"SciPy’s {k} clusters have from "
    assert any(line.startswith(expected) for line in lines)


@examples(100)
@given(arguments=compare_arguments())
def test_every_run_has_five_to_eight_key_facts_and_a_text_for_each_step(
    compare: Compare, arguments: dict[str, Any]
) -> None:
    run = compare(**arguments)

    assert 5 <= len(key_facts_of(run)) <= 8
    pairs = len(run.engines) * (len(run.engines) - 1) // 2
    texts = transcript_of(run)
    assert len(texts) == len(run.steps) + len(run.engines) + pairs
    assert all(text.endswith((".", ".)")) and "None" not in text for text in (*texts, *key_facts_of(run)))
