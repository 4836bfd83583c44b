"""The parts of a session's page that need no browser: slots, events, charts and tables."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal_dashboard.charts import HEIGHT, Line, line_chart, polyline
from shoal_dashboard.curves import Candidate, draw_curves
from shoal_dashboard.curves import table_of as table_of_candidates
from shoal_dashboard.event_list import EventList
from shoal_dashboard.event_marks import draw_marks
from shoal_dashboard.pages.cluster_table import table_of
from shoal_dashboard.pictures import Pictures, Sample
from shoal_dashboard.slots import ClusterSlots

IDS = st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True)


class _Update:
    """The drawn part of an update."""

    def __init__(self, ids: list[int], weights: list[float]) -> None:
        self.ids, self.weights = np.array(ids), np.array(weights)
        self.movement = np.zeros(len(ids))


def _event(number: int, **fields: Any) -> shoal.Event:
    when = datetime(2026, 1, 1, 12, 0, number % 60, tzinfo=UTC)
    return shoal.Event(number, "refined", 10 * number, when, before=2.0, after=1.0, **fields)


def _description(label: int, *, columns: int = 2) -> shoal.ClusterDescription:
    values = np.arange(columns, dtype=np.float64)
    return shoal.ClusterDescription(
        label=label,
        id=100 + label,
        weight=float(label),
        share=0.25,
        summary_points=9,
        radius=1.5,
        mean=values,
        variance=values,
        nearest=None if label else 1,
        nearest_distance=None if label else 2.5,
        typical_points=values.reshape(1, -1),
    )


@given(versions=st.lists(IDS, min_size=1, max_size=6))
def test_a_cluster_keeps_its_slot_as_long_as_it_lives(versions: list[list[int]]) -> None:
    slots, before = ClusterSlots(), dict[int, int]()

    for ids in versions:
        now = dict(zip(ids, slots.of(np.array(ids)).tolist(), strict=True))

        assert len(set(now.values())) == len(ids)
        assert {cluster: now[cluster] for cluster in now if cluster in before} == {
            cluster: before[cluster] for cluster in now if cluster in before
        }
        assert set(now.values()) <= set(before.values()) | set(range(len(ids)))
        before = now


def test_bars_stay_in_place_when_clusters_change_their_labels() -> None:
    pictures = Pictures()
    pictures.draw_bars(_Update([0, 1, 2], [5, 6, 7]))  # type: ignore[arg-type]  # what is drawn of it
    before = re.findall(r'"name">(\d+)<.*?(#\w+)"', pictures.weights)

    pictures.draw_bars(_Update([2, 9, 0], [7, 1, 5]))  # type: ignore[arg-type]  # what is drawn of it
    after = re.findall(r'"name">(\d+)<.*?(#\w+)"', pictures.weights)

    assert [cluster for cluster, _ in after] == ["0", "9", "2"]
    assert [colour for _, colour in after] == [colour for _, colour in before]
    assert pictures.labels.endswith("label 0 is cluster 2, 1 is cluster 9, 2 is cluster 0.")


def test_events_and_notes_are_listed_newest_first() -> None:
    listed = EventList()
    for number in range(1, 131):
        listed.add(_event(number, missed=4 if number == 130 else 0))
    listed.note("<b> is escaped")

    first, second, *others = re.findall(r"<li>(.*?)</li>", listed.html)

    assert first.endswith("<span>&lt;b&gt; is escaped</span>")
    assert "version 1,300</span> <span>The centroids were refined" in second
    assert "(4 earlier events can&#x27;t be shown any more)" in second
    assert len(others) == 98
    assert listed.newest == 130


def test_the_events_of_a_session_are_forgotten_with_it_and_the_notes_are_not() -> None:
    listed = EventList()
    listed.add(_event(7))
    listed.note("another session has the name now")

    listed.forget_events()

    assert "refined" not in listed.html
    assert "another session" in listed.html
    assert listed.newest == 0


def test_events_are_marked_where_they_happened_each_kind_with_a_shape_of_its_own() -> None:
    counts = [Counter(), Counter(refined=2), Counter(split=1, born=1, merged=1), Counter(), Counter(drift=1)]

    marks = draw_marks(counts)

    assert re.findall(r'x1="([\d.]+%)"', marks.svg) == ["25.00%"]
    assert re.findall(r'x="([\d.]+%)".*?#s(\d)', marks.svg) == [("50.00%", "4"), ("50.00%", "7"), ("100.00%", "2")]
    assert marks.text == "Marked: 2 refinements, 2 births or splits, 1 end of a cluster, 1 drift."
    assert re.findall(r"</svg>([^<]+)</li>", marks.keys) == [
        "2 refinements",
        "2 births or splits",
        "1 end of a cluster",
        "1 drift",
    ]


def test_only_the_newest_of_very_many_marks_are_drawn() -> None:
    marks = draw_marks([Counter(refined=1)] * 240)

    assert marks.svg.count("<line") == 60
    assert 'x1="100.00%"' in marks.svg
    assert marks.text == "Marked: 240 refinements, the newest 60 marks are drawn."


def test_a_kind_of_event_that_the_page_does_not_know_has_no_mark() -> None:
    assert draw_marks([Counter({"eclipse": 1})]) == ("", "", "")


def test_a_line_leaves_out_what_is_missing_and_the_inside_of_level_parts() -> None:
    points = polyline([None, 1.0, 1.0, 1.0, 0.0], 0.0, 1.0).split()

    assert [point.split(",")[0] for point in points] == ["75.0", "225.0", "300.0"]
    assert {float(point.split(",")[1]) for point in points} <= set(np.arange(HEIGHT + 1))


def test_a_chart_without_values_and_one_of_zeros_are_drawn() -> None:
    assert "<b>–</b>" in line_chart("rows/s", [Line("rows/s", [])])
    assert 'points="0.0,82.0 300.0,82.0"' in line_chart("rows/s", [Line("rows/s", [0.0, 0.0, 0.0])])


def test_the_inertia_is_drawn_from_the_first_batch_on_and_the_estimated_one_from_the_first_refinement_on() -> None:
    pictures = Pictures()

    pictures.draw_lines([Sample(0.0, None, None, Counter())])
    assert "inertia per point <b>–</b>" in pictures.inertia

    pictures.draw_lines([Sample(1.0, 5.0, None, Counter())] * 2)
    assert "dashed" not in pictures.inertia
    assert "legend" not in pictures.inertia

    pictures.draw_lines([Sample(1.0, 5.0, None, Counter()), Sample(1.0, 6.0, 4.0, Counter(refined=1))])
    assert 'class="dashed" points="300.0,' in pictures.inertia
    assert "estimated by the last refinement: now 4" in pictures.inertia


def test_curves_are_drawn_for_numbers_of_clusters_without_silhouette_too() -> None:
    one, two = Candidate(1, 90.0, 1.0, None, None), Candidate(2, 10.0, 0.5, 0.75, 0.3)

    curves = draw_curves([one, two], 2)

    assert curves.count("<circle") == 3
    assert "silhouette over k, from k = 1 to 2, at k = 2 0.75" in curves
    assert "<polyline" in draw_curves([one])
    assert "nan" not in draw_curves([one])


def test_a_long_table_of_numbers_of_clusters_says_how_many_more_there_are() -> None:
    table = table_of_candidates([Candidate(k, 1.0, 0.1, 0.5, 0.2) for k in range(2, 102)], 3)

    assert table.count('scope="row"') == 60
    assert "and 40 more" in table
    assert re.findall(r">([0-9]+)</th>(?:(?!<tr>).)*◀ suggested", table) == ["3"]


def test_the_heaviest_of_very_many_clusters_are_described_with_a_few_columns() -> None:
    report = shoal.ClusterReport(3, "uid", tuple(_description(label, columns=100) for label in range(1000)))

    rows = re.findall(r'<th scope="row">(\d+)</th>', table_of(report))

    assert rows == [str(1099 - place) for place in range(50)]
    assert "0, 1, 2, 3, 4, 5, … (100 columns)" in table_of(report)


def test_the_nearest_other_cluster_is_named_by_its_id() -> None:
    table = table_of(shoal.ClusterReport(3, "uid", (_description(0), _description(1))))

    assert "<td>101 at 2.5</td>" in table
    assert "<td>–</td>" in table
