"""The parts of the dashboard that need no browser."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from shoal_dashboard.parameters import EXAMPLES, Parameters
from shoal_dashboard.parsing import ParseError, format_points, half_life_text, parse_half_life, parse_points
from shoal_dashboard.pictures import Pictures
from shoal_dashboard.projection import plane_for

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 5))
VALUES = st.floats(allow_nan=False, allow_infinity=False)


@given(points=npst.arrays(np.float64, SHAPES, elements=VALUES), between=st.sampled_from(["\n", ";"]))
def test_formatted_points_are_parsed_unchanged(points: Any, between: str) -> None:
    assert parse_points(format_points(points, between)).tolist() == points.tolist()


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("1,2\n3,4", [[1, 2], [3, 4]]),
        ("x,y\n1,2", [[1, 2]]),
        ("1\t2\n\n3 4\n", [[1, 2], [3, 4]]),
        ("[1, 2]; (3, 4)", [[1, 2], [3, 4]]),
        ("1e3, -.5", [[1000, -0.5]]),
        ("7", [[7]]),
        ("\ufeff1,2\n3,4", [[1, 2], [3, 4]]),
        ("[[1,2],[3,4]]", [[1, 2], [3, 4]]),
        ("[[5.5, 3],\n [1, 2]]", [[5.5, 3], [1, 2]]),
        ("[[5.5 3] [1 2]]", [[5.5, 3], [1, 2]]),
        ('"1","2"\n"3","4"', [[1, 2], [3, 4]]),
        ("x;y\n1;2\n3;4", [[1, 2], [3, 4]]),
        ("1,2;3,4", [[1, 2], [3, 4]]),
    ],
)
def test_points_are_parsed_in_common_notations(text: str, points: Any) -> None:
    assert parse_points(text).tolist() == points


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there are no points yet"),
        ("x,y", "there are no points yet"),
        ("1,2\n3,four", "row 2 of the points: 'four' at place 2 is not a finite number"),
        ("1,2\n3", "row 2 of the points has 1 number, the first one has 2"),
        ("1,nan", "'nan' at place 2 is not a finite number"),
        ("1,,2\n3,4,5", "row 1 of the points: place 2 is empty"),
        ("1,5;2,5\n3,5;4,5", "row 1 of the points has commas and semicolons"),
    ],
)
def test_invalid_points_are_reported_by_row_and_place(text: str, says: str) -> None:
    with pytest.raises(ParseError, match=re.escape(says)):
        parse_points(text)


@given(
    example=st.one_of(st.none(), st.sampled_from(sorted(EXAMPLES))),
    init=st.sampled_from(["k-means++", "random", "given"]),
    random_state=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    engines=st.lists(st.sampled_from(["scipy", "sklearn", "numba"]), min_size=1, unique=True).map(tuple),
    n_clusters=st.integers(1, 9),
)
def test_a_link_repeats_its_comparison(
    example: Any, init: str, random_state: Any, engines: Any, n_clusters: int
) -> None:
    wanted = Parameters(
        example, "" if example else "1, 2\n3, 4", n_clusters, init, "1, 2\n3, 4", random_state, engines, 7
    )

    again = Parameters.of(dict(parse_qsl(wanted.query())))

    first, second = wanted.request(), again.request()
    assert {name: np.asarray(value).tolist() for name, value in second.items()} == {
        name: np.asarray(value).tolist() for name, value in first.items()
    }


def test_points_too_large_for_a_link_have_no_link() -> None:
    many = "\n".join(f"{place}.125, {place}.25" for place in range(800))

    assert Parameters(example=None, points=many, init="random").query() == ""
    assert Parameters(example=None, points=many[:2000], init="random").query() != ""


@pytest.mark.parametrize("text", ["1000 points", " 1.5e2batches ", "3 seconds", ""])
def test_a_formatted_half_life_is_parsed_unchanged(text: str) -> None:
    read = parse_half_life(text)

    assert parse_half_life(half_life_text(read)) == read
    assert (read is None) == (text == "")


@pytest.mark.parametrize("text", ["points", "1e points", "1-2 points", ".. points", "1000", "5 rows"])
def test_an_invalid_half_life_is_reported(text: str) -> None:
    with pytest.raises(ParseError, match="such as 1000 points"):
        parse_half_life(text)


def test_points_of_two_columns_are_drawn_without_projection() -> None:
    plane = plane_for(np.array([[1.0, 2], [3, 4]]), None)

    assert plane.project(np.array([[5, 6]])).tolist() == [[5, 6]]


@given(seed=st.integers(0, 1000), d=st.integers(3, 9), k=st.integers(1, 12))
def test_the_plane_stays_while_it_fits_and_never_flips(seed: int, d: int, k: int) -> None:
    random = np.random.default_rng(seed)
    centroids = random.normal(size=(k, d)) * np.arange(d, 0, -1) ** 2
    before = plane_for(centroids, None)

    assert plane_for(centroids * (1 + 1e-3), before) is before
    after = plane_for(random.permuted(centroids, axis=1), before)
    assert ((after.components * before.components).sum(axis=0) >= -1e-9).all()


def test_too_few_own_points_are_reported_with_the_number_missing() -> None:
    asked = Parameters(example=None, points="1, 2", n_clusters=3)

    assert asked.missing_points() == "Click into the plot, or type rows: 2 more points, and k = 3 clusters can be found"
    assert Parameters(example=None, points="1, 2", n_clusters=1).missing_points() == ""
    assert Parameters(n_clusters=9).missing_points() == ""


class _Update:
    """The drawn part of an update."""

    def __init__(self, centroids: Any, version: int = 1) -> None:
        self.centroids, self.version = np.asarray(centroids, np.float64), version
        self.weights = np.arange(len(self.centroids), 0, -1.0)
        self.movement = np.zeros(len(self.centroids))
        self.ids = np.arange(len(self.centroids))


def _pictures(centroids: Any, *samples: Any, is_cosine: bool = False) -> Pictures:
    pictures = Pictures()
    for points in samples:
        update = _Update(centroids)
        plane = pictures.plane_for(update)  # type: ignore[arg-type]  # what is drawn of it
        pictures.draw_recent(update, np.asarray(points), plane, of_length_one=is_cosine)  # type: ignore[arg-type]
    return pictures


def test_recent_points_have_the_mark_of_the_nearest_centroid() -> None:
    pictures = _pictures([[1e6, 0], [1e6 + 9, 9]], [[1e6 + 1, 1], [1e6 + 8, 8], [1e6, 0.5]])

    assert re.findall(r'class="c\d" data-c="(\d)"', pictures.points) == ["0", "1", "0"]


def test_a_live_plot_keeps_its_scale_while_it_fits() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(200, 2))
    ticks = [
        re.findall(r'<text class="tick[^>]*>[^<]*', _pictures([[0, 0]], *samples).points)
        for samples in ((first,), (first, first * 0.9), (first, first * 9))
    ]

    assert ticks[1] == ticks[0]
    assert ticks[2] != ticks[0]


def test_points_are_drawn_with_length_one_under_cosine() -> None:
    centroids, points = np.array([[1.0, 0], [0, 1]]), np.array([[1000.0, 0], [0, 0.001], [5, 0]])

    places = re.findall(r"<use [^>]*translate\(([^)]*)\)", _pictures(centroids, points, is_cosine=True).points)

    assert places[0] == places[2]
    assert _pictures(centroids, points, is_cosine=True).title == _pictures(centroids, points / 7).title


def test_only_the_heaviest_of_very_many_centroids_are_drawn() -> None:
    pictures = _pictures(np.random.default_rng(0).normal(size=(300, 2)), np.zeros((1, 2)))

    assert pictures.centroids.count("<use") == 256
    assert pictures.title == "The 256 heaviest centroids over 1 recent points, by column 1 and column 2"


def test_points_of_three_colour_columns_have_a_palette() -> None:
    colours = [[255.0, 0.2, 16.4], [0, 0, 0]]

    assert "#ff0010" in _pictures(colours, [[255, 0, 16]]).palette
    assert _pictures(colours, [[0.5, 0, 16]]).palette == ""
