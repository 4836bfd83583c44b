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

from shoal_dashboard.drawing import HEIGHT, MARGIN, WIDTH, Frame, Scene, draw
from shoal_dashboard.parameters import EXAMPLES, Parameters
from shoal_dashboard.plane import plane_for
from shoal_dashboard.player import Player
from shoal_dashboard.texts import TextError, format_points, parse_points

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 5))
VALUES = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: float(f"{value:.6g}"))


@given(points=npst.arrays(np.float64, SHAPES, elements=VALUES), between=st.sampled_from(["\n", ";"]))
def test_points_are_read_as_they_were_written(points: Any, between: str) -> None:
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
    ],
)
def test_points_are_read_as_people_write_them(text: str, points: Any) -> None:
    assert parse_points(text).tolist() == points


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there are no points yet"),
        ("x,y", "there are no points yet"),
        ("1,2\n3,four", "row 2 of the points: 'four' at place 2 is not a finite number"),
        ("1,2\n3", "row 2 of the points has 1 number, the first one has 2"),
        ("1,nan", "'nan' at place 2 is not a finite number"),
    ],
)
def test_what_is_no_points_is_told_by_row_and_place(text: str, says: str) -> None:
    with pytest.raises(TextError, match=re.escape(says)):
        parse_points(text)


@given(
    example=st.one_of(st.none(), st.sampled_from(sorted(EXAMPLES))),
    init=st.sampled_from(["k-means++", "random", "given"]),
    random_state=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
    engines=st.lists(st.sampled_from(["scipy", "sklearn", "numba"]), min_size=1, unique=True).map(tuple),
    n_clusters=st.integers(1, 9),
)
def test_a_link_makes_the_same_comparison_again(
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


def test_more_points_than_a_link_carries_have_none() -> None:
    points = np.arange(402.0).reshape(201, 2)

    assert Parameters(init="random").with_points(points).query() == ""


def test_two_columns_are_shown_as_they_are() -> None:
    plane = plane_for(np.array([[1.0, 2], [3, 4]]), None)

    assert plane.show(np.array([[5, 6]])).tolist() == [[5, 6]]


@given(seed=st.integers(0, 1000), d=st.integers(3, 9), k=st.integers(1, 12))
def test_a_plane_stays_while_it_serves_and_never_turns_over(seed: int, d: int, k: int) -> None:
    random = np.random.default_rng(seed)
    centroids = random.normal(size=(k, d)) * np.arange(d, 0, -1) ** 2
    before = plane_for(centroids, None)

    assert plane_for(centroids * (1 + 1e-3), before) is before
    after = plane_for(random.permuted(centroids, axis=1), before)
    assert ((after.axes * before.axes).sum(axis=0) >= -1e-9).all()


@given(seed=st.integers(0, 1000), k=st.integers(1, 9))
def test_the_shaded_regions_are_what_is_nearest_to_each_centroid(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    points, centroids = random.normal(size=(30, 2)), random.normal(size=(k, 2))
    frame = Frame.around(np.concatenate([points, centroids]))
    scene = Scene("some", points, [0] * 30, centroids, range(k), [centroids[:0]] * k, regions=True)

    drawn = draw(scene, frame)

    polygons = [
        np.array([list(map(float, place.split(","))) for place in path.split()])
        for path in re.findall(r'class="region" points="([^"]*)"', drawn)
    ]
    areas = [_area(polygon) for polygon in polygons]
    assert sum(areas) == pytest.approx((WIDTH - 2 * MARGIN) * (HEIGHT - 2 * MARGIN), rel=1e-2)
    for polygon, place in zip(polygons, range(k), strict=False):
        middle = np.array(frame.point_at(*polygon.mean(axis=0)))
        if len(polygons) == k:
            distances = ((centroids - middle) ** 2).sum(axis=1)
            assert distances[place] <= distances.min() * (1 + 1e-3) + 1e-3


def _area(polygon: Any) -> float:
    x, y = polygon.T
    return float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)


@given(across=st.floats(0, 560), down=st.floats(0, 420))
def test_a_place_on_the_drawing_is_a_point_and_back(across: float, down: float) -> None:
    frame = Frame.around(np.array([[0.0, -5], [10, 5]]))

    place = frame.place(np.array([frame.point_at(across, down)]))[0]

    assert place.tolist() == pytest.approx([across, down])


def test_a_player_goes_to_the_end_and_stops() -> None:
    seen: list[tuple[int, bool]] = []
    player = Player(lambda: seen.append((player.place, player.playing)))
    player.load(3)

    player.toggle()
    for _ in range(5):
        player.tick()

    assert seen == [(0, False), (0, True), (1, True), (2, False)]


def test_a_player_at_the_end_plays_from_the_beginning() -> None:
    player = Player(lambda: None)
    player.load(3)
    player.go_to(9)

    player.toggle()

    assert (player.place, player.playing) == (0, True)


def test_a_player_with_one_step_has_nothing_to_play() -> None:
    player = Player(lambda: None)
    player.load(1)

    player.toggle()

    assert not player.playing
