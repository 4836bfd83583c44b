"""Numbers as text: enough digits to distinguish different values, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_presentation.report.tables import tracker
from shoal_presentation.views import Run, rows_of, track
from shoal_presentation.views.numbers import centroids_text, number_text, steps_of
from tests.views.builders import Compare


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.5, "5.5"),
        (1 / 3, "0.333333"),
        (-0.0, "0"),
        (1234567, "1234567"),
        (1234567.89, "1234568"),
        (999999.7, "1000000"),
        (-123456789012345.0, "-123456789012345"),
        (1e15, "1e+15"),
        (1.5e-12, "1.5e-12"),
    ],
)
def test_number_text_has_six_digits_and_every_digit_before_the_point(value: float, text: str) -> None:
    assert number_text(value) == text


@given(offset=st.sampled_from([0.0, 1e3, 1e6, -1e7]), seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1, 1e3]))
def test_different_centroids_have_different_texts_at_any_offset(offset: float, seed: int, scale: float) -> None:
    points = offset + scale * np.random.default_rng(seed).normal(size=(50, 2))
    steps = steps_of(points)
    centroids = points[:2]

    moved = centroids_text(centroids + 2 * steps, steps)

    assert moved != centroids_text(centroids, steps)
    read = np.array([float(number) for number in moved.strip("[]").replace("] [", " ").split()]).reshape(2, 2)
    assert read == pytest.approx(centroids + 2 * steps, abs=steps.max(), rel=0)


def test_centroid_texts_show_small_differences_at_a_large_offset() -> None:
    centroids = np.array([[1000000.25, 2.0], [1000001.5, 3.0]])

    assert centroids_text(centroids, steps_of(centroids)) == "[[1000000.25 2] [1000001.5 3]]"


def test_centroid_texts_add_no_digits_for_a_column_equal_but_for_rounding() -> None:
    points = np.full((3, 1), 1 / 3)

    assert centroids_text(points + 1e-16, steps_of(points)) == "[[0.333333] [0.333333] [0.333333]]"


def test_the_table_of_the_six_points_has_their_figures(six: Run) -> None:
    assert [row.cells["scipy"].centroids for row in rows_of(six)] == [
        "[[5.5 3] [1 2]]",
        "[[5.5 3] [1 2]]",
        "[[10 2] [1 2]]",
        "[[10 2] [1 2]]",
        "[[10 2] [1 2]]",
        "–",
        "final centroids",
    ]


def test_tracker_marks_what_changed_for_the_six_points(six: Run) -> None:
    tracked = track(six)

    changes = dict(zip([name for name, _ in tracked.variables], tracked.changes, strict=True))
    assert [column.name for column in tracked.columns] == ["start", "after 1", "after 3", "after 5", "end"]
    assert changes == {
        "SciPy centroids": (False, True, True, False, False),
        "SciPy labels": (False, False, True, False, False),
        "scikit-learn centroids": (False, False, False, False, True),
        "scikit-learn labels": (False, False, False, False, True),
    }


def test_tracker_marks_a_change_even_if_its_text_is_the_same(compare: Compare) -> None:
    # An outlier far away: next to it the moves of the others can't be read. Of 60 labels those inside aren't shown.
    points = np.concatenate([np.linspace(1, 2, 59)[:, None] / 1e5 + 1, [[1e6]]])
    run = compare(points, 3, init=[[1 + 1e-5], [1 + 2e-5], [1e6]], engines=("scipy",))

    tracked = track(run)

    for (_, values), changes in zip(tracked.variables, tracked.changes, strict=True):
        assert True in changes
        assert tracker(run).count("class=new") == sum(sum(each) for each in tracked.changes)
        assert len(values) == len(changes)
    (centroids, *_), texts = tracked.changes, tracked.variables[0][1]
    assert any(new and text == before for new, before, text in zip(centroids[1:], texts, texts[1:], strict=False))


def test_tracker_does_not_mark_rounding_as_a_change(compare: Compare) -> None:
    points = np.random.default_rng(0).normal(size=(500, 2)) + 0.1
    run = compare(points, 1, init=[[0.1, 0.1]], engines=("numba",))

    (changes, _) = track(run).changes
    assert changes == (False, True, True, False, False)
