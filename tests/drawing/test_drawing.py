"""Points and centroids as SVG."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_presentation.drawing import Scene, draw, draw_centroids, mark_name, regions, scale_around, state_of
from shoal_presentation.drawing.regions import regions_of
from shoal_presentation.drawing.scales import tick_step, ticks
from shoal_presentation.views.numbers import number_text

SIZES = st.floats(1e-3, 1e3)


@given(seed=st.integers(0, 1000), k=st.integers(1, 9))
def test_the_region_of_a_centroid_holds_the_points_nearest_to_it(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    centroids, low, high = random.normal(size=(k, 2)), np.array([-2.0, -1]), np.array([1.0, 3])

    found = regions_of(centroids, low, high)

    assert sum(map(_area, found)) == pytest.approx(12)
    for place, region in enumerate(found):
        for weights in random.dirichlet(np.ones(len(region)), 5) if len(region) else []:
            distances = ((centroids - weights @ region) ** 2).sum(axis=1)  # of any point within it
            assert distances[place] <= distances.min() + 1e-9


@given(seed=st.integers(0, 1000), k=st.integers(1, 40), spread=st.sampled_from([0.1, 1.0, 5.0]))
def test_regions_leave_out_no_centroid_that_cuts_them(seed: int, k: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    centroids = (random.normal(size=(k, 2)) * spread).round(1)  # some equal, some out of the rectangle
    low, high = np.array([-2.0, -1]), np.array([1.0, 3])

    found = regions_of(centroids, low, high)

    for place, region in enumerate(found):
        expected = _cut_by_all(place, centroids, low, high)
        assert _area(region) == pytest.approx(_area(expected), abs=1e-9)


def _cut_by_all(place: int, centroids: Any, low: Any, high: Any) -> Any:
    """The slow way: cut by the line half way to every other one."""
    polygon, own = [low, np.array([high[0], low[1]]), high, np.array([low[0], high[1]])], centroids[place]
    for row, other in enumerate(centroids):
        if row < place and (other == own).all():
            return np.empty((0, 2))
        sides = [float((corner - (other + own) / 2) @ (other - own)) for corner in polygon]
        kept = []
        for here, corner in enumerate(polygon):
            there = (here + 1) % len(polygon)
            kept += [corner] if sides[here] <= 0 else []
            if sides[here] * sides[there] < 0:
                kept.append(corner + sides[here] / (sides[here] - sides[there]) * (polygon[there] - corner))
        polygon = kept
    return np.array(polygon).reshape(-1, 2)


def test_region_search_skips_distant_centroids(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=2).reshape(-1, 2)
    cut, cuts = regions._cut, []
    monkeypatch.setattr(regions, "_cut", lambda *given: cuts.append(1) or cut(*given))  # type: ignore[func-returns-value]

    found = regions_of(grid, np.full(2, -0.5), np.full(2, 19.5))

    assert [_area(region) for region in found] == pytest.approx([1.0] * 400)
    assert len(cuts) < 30 * len(grid)  # not 399 times


def test_the_smallest_centroids_have_separate_regions() -> None:
    found = regions_of(np.array([[0.0, 0], [1e-200, 0]]), np.full(2, -1e-200), np.full(2, 2e-200))

    assert [region[:, 0].max() for region in found] == pytest.approx([0.5e-200, 2e-200], rel=1e-9, abs=0)


def _area(polygon: Any) -> float:
    if not len(polygon):
        return 0.0
    x, y = polygon.T
    return float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)


def test_the_first_of_equal_centroids_has_the_region() -> None:
    found = regions_of(np.zeros((3, 2)), np.array([-1.0, -1]), np.array([1.0, 1]))

    assert [len(region) for region in found] == [4, 0, 0]


@given(width=SIZES, height=SIZES, x=st.floats(0, 1), y=st.floats(0, 1), fixed=st.sampled_from([None, 420]))
def test_scale_maps_points_to_the_drawing_and_back(width: float, height: float, x: float, y: float, fixed: Any) -> None:
    low, high = np.array([5.0, -3]), np.array([5 + width, height - 3])
    scale = scale_around(low, high, fixed)
    left, top, inner_width, inner_height = scale.plot_area

    point = low + np.array([x, y]) * (high - low)
    across, down = scale.to_drawing(point[None])[0]

    assert scale.to_plot(across, down) == pytest.approx(point.tolist(), rel=1e-6, abs=1e-9)
    assert left <= across <= left + inner_width
    assert top <= down <= top + inner_height


@given(width=SIZES, height=SIZES)
def test_axes_have_equal_scales_unless_the_drawing_would_be_very_wide_or_high(width: float, height: float) -> None:
    scale = scale_around(np.zeros(2), np.array([width, height]))

    if 240 < scale.height < 460:
        assert scale.factor[0] == pytest.approx(scale.factor[1], rel=1e-2)


@pytest.mark.parametrize("value", [0.0, 7.0, 1e-12, 1e12, 1e-320])
def test_identical_points_have_a_scale(value: float) -> None:
    scale = scale_around(np.full(2, value), np.full(2, value))

    assert np.isfinite(scale.to_drawing(np.full((1, 2), value))).all()
    assert scale.serves(np.full(2, value), np.full(2, value)) is False  # it fills nothing of it


def test_a_scale_fits_a_rectangle_that_is_inside_and_fills_half_of_it() -> None:
    scale = scale_around(np.zeros(2), np.full(2, 10.0))

    assert scale.serves(np.zeros(2), np.full(2, 9.0))
    assert not scale.serves(np.zeros(2), np.full(2, 12.0))
    assert not scale.serves(np.zeros(2), np.full(2, 4.0))


@pytest.mark.parametrize("size", [1e-320, 1e-307, 1e-200, 1e200])
def test_the_tiniest_and_the_largest_points_have_a_drawing(size: float) -> None:
    points = np.array([[0.0, 0], [1, 3], [2, 1]]) * size
    scale = scale_around(points.min(axis=0), points.max(axis=0))

    drawn = draw(_scene(points=points, centroids=points[:2], has_regions=True), scale, "", ("x", "y"))

    assert not re.search(r"\b(nan|inf)\b", drawn)
    assert ((scale.to_drawing(points) >= 0) & (scale.to_drawing(points) <= 520)).all()


def test_ticks_far_from_zero_have_different_texts() -> None:
    scale = scale_around(np.array([1e6 - 3, 0]), np.array([1e6 + 3, 1e-3]))

    drawn = draw(_scene(), scale, "", ("x", "y"))

    assert re.findall(r'class="tick"[^>]*>([^<]*)', drawn) == ["999998", "1000000", "1000002"]
    assert re.findall(r'class="tick side"[^>]*>([^<]*)', drawn)[:3] == ["0", "0.0002", "0.0004"]


@given(low=st.floats(-1e9, 1e9), extent=st.floats(1e-3, 1e6))
def test_all_ticks_of_an_axis_have_different_texts(low: float, extent: float) -> None:
    step, found = tick_step(low, low + extent), ticks(low, low + extent)

    assert len({number_text(tick, step) for tick in found}) == len(found)


@pytest.mark.parametrize("third", [999.9999999999999, 1000.0, 9.999999999999999e-5, 1e-320])
def test_the_step_of_ticks_is_at_most_a_third_of_the_axis(third: float) -> None:
    assert 0 < tick_step(0.0, 3 * third) <= third


@given(low=st.floats(-1e6, 1e6), extent=st.floats(1e-3, 1e6))
def test_ticks_are_a_few_round_numbers_within_the_axis(low: float, extent: float) -> None:
    found = ticks(low, low + extent)

    assert 3 <= len(found) <= 8
    assert all(low - 1e-6 * extent <= tick <= low + extent * (1 + 1e-6) for tick in found)


def _scene(**changes: Any) -> Scene:
    points = np.array([[0.0, 0], [1, 1], [9, 9]])
    given: dict[str, Any] = {
        "points": points,
        "labels": np.array([0, 0, 1], np.int32),
        "centroids": np.array([[0.5, 0.5], [9.0, 9]]),
        "colours": np.array([0, 1], np.int32),
        **changes,
    }
    return Scene(**given)


SCALE = scale_around(np.zeros(2), np.full(2, 10.0))


def test_a_drawing_is_well_formed_and_says_what_it_shows() -> None:
    drawn = ET.fromstring(draw(_scene(has_regions=True), SCALE, "<two> clusters", ("a & b", "c")))  # noqa: S314  (our own)

    assert drawn.get("aria-label") == "<two> clusters"
    counts = {part.get("class"): len(part) for part in drawn if part.tag == "g"}
    assert counts == {"regions": 2, "points": 3, "trails": 0, "centroids": 4}  # with their numbers
    assert [text.text for text in drawn if text.get("class") == "axis"] == ["a & b", "c"]


def test_points_without_clusters_are_grey_and_have_no_number() -> None:
    drawn = draw(_scene(labels=None), SCALE, "", ("", ""))

    assert drawn.count('class="unassigned"') == 3


def test_a_trail_fades_with_age_and_keeps_its_whole_length() -> None:
    way = np.column_stack([np.linspace(0, 10, 15), np.zeros(15)])

    drawn = draw(_scene(trails=[way, way[:1]]), SCALE, "", ("", ""))

    opacities = [float(found) for found in re.findall(r'<polyline [^>]*opacity="([\d.]+)"', drawn)]
    assert len(opacities) == 9  # the eight newest lines, and what is older
    assert opacities == sorted(opacities)
    assert (opacities[0], opacities[-1]) == (0.25, 1.0)


def test_unmoved_centroid_has_no_trail() -> None:
    still = np.array([[1.0, 1], [1 + 1e-9, 1], [2, 2]])

    assert len(state_of(_scene(trails=[still, still[:2]]), SCALE)["trails"][0]) == 2
    assert draw(_scene(trails=[still[:2], still[:2]]), SCALE, "", ("", "")).count("<polyline") == 0


def test_many_centroids_have_no_numbers() -> None:
    many = np.random.default_rng(0).normal(size=(21, 2))

    drawn = draw_centroids(_scene(centroids=many, colours=np.arange(21, dtype=np.int32)), SCALE, "21 centroids")

    assert drawn.count("<use") == 21
    assert "<text" not in drawn


def test_the_first_64_clusters_have_marks_of_their_own() -> None:
    assert len({mark_name(cluster) for cluster in range(64)}) == 64
