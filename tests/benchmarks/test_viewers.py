"""The suites of the dashboard's viewers and of comparisons: their figures and processes."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import pytest

import shoal
from benchmarks.comparing import blobs
from benchmarks.processes import Process, peak_mib
from benchmarks.results import Limit, Target
from benchmarks.viewers import lags, longest_still
from benchmarks.viewing import Sighting, query_of, version_in
from shoal.testing import LocalDashboard, LocalServer

PAGE = """
      const app = createApp(parseElements(String.raw`{"1": {"tag": "div"}}`), {
        prefix: "",
        query: {'client_id': '3f2a', 'next_message_id': 7, 'implicit_handshake': True},
        extraHeaders: {},
      });
"""
RECEIVED = {"one": {4: 10.0, 5: 11.0}, "other": {4: 20.0}}


def test_the_query_of_the_websocket_is_read_from_the_page() -> None:
    assert query_of(PAGE) == {"client_id": "3f2a", "next_message_id": "7", "implicit_handshake": "true"}


def test_a_page_without_a_websocket_query_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no query for a socket: <h1>Not found"):
        query_of("<h1>Not found</h1>")


@pytest.mark.parametrize(
    ("html", "version"),
    [('<svg role="img" aria-label="centroids of version 1234"><g/></svg>', 1234), ("<svg/>", None)],
)
def test_the_version_of_an_update_is_read_from_its_centroids(html: str, version: int | None) -> None:
    assert version_in({"12": {"props": {"innerHTML": html}}, "_id": 3}) == version


def test_a_lag_is_the_time_from_the_producers_result_to_a_viewers_first_update() -> None:
    sightings = [
        Sighting(0, "one", 4, 10.25),
        Sighting(0, "one", 4, 10.75),  # the same centroids over other points
        Sighting(1, "one", 5, 10.5),  # before the producer
        Sighting(2, "other", 4, 20.5),
    ]

    assert lags(sightings, RECEIVED) == [250.0, -500.0, 500.0]


def test_versions_without_a_producers_result_have_no_lag() -> None:
    assert lags([Sighting(0, "one", 3, 9.0), Sighting(0, "another", 4, 9.0)], RECEIVED) == []


def test_the_longest_pause_is_between_two_updates_of_one_viewer() -> None:
    sightings = [
        Sighting(0, "one", 3, 1.0),  # before the pour
        Sighting(0, "one", 4, 10.0),
        Sighting(1, "other", 4, 30.0),
        Sighting(0, "one", 5, 10.5),
    ]

    assert longest_still(sightings, RECEIVED) == 500.0
    assert longest_still(sightings[:1], RECEIVED) == 0.0


def test_a_figure_meets_its_limit_up_to_the_limit() -> None:
    limit = Limit("1 s", 1000.0, "ms")

    below, above = limit.row("lag", [250.0]), limit.row("lag", [900.0, 1100.0, 1200.0])

    assert (below.ratio.median, above.ratio.median) == (0.25, 1.1)
    assert below.target == Target(1.0, "at most")
    assert [row.target.met(row.ratio) for row in (below, above) if row.target] == [True, False]
    assert limit.row("lag", [250.0], aimed=False).target is None


def test_blobs_have_the_requested_centres_and_are_repeatable() -> None:
    points = blobs(500, 2, 5)

    assert points.shape == (500, 2)
    np.testing.assert_array_equal(points, blobs(500, 2, 5))


def test_viewers_are_ready_once_each_has_received_centroids(server: LocalServer) -> None:
    name = f"viewed-{uuid.uuid4().hex[:8]}"
    with shoal.connect(server.target) as client, LocalDashboard(server.target) as dashboard:
        client.create_session(name, 2, init=[[0.0, 0.0], [1.0, 1.0]]).push([[0.5, 0.5]])

        with Process("viewing", dashboard.url, "2", name) as viewers:
            sightings = [Sighting(*each) for each in json.loads(viewers.end())]

        assert {(each.viewer, each.session, each.version) for each in sightings} == {(0, name, 1), (1, name, 1)}
        assert peak_mib(dashboard.pid) > 1


def test_the_comparing_process_runs_comparisons(server: LocalServer, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", blobs(100, 2, 3))

    with Process("crowd", "compare", server.target, str(tmp_path / "points.npy"), "3") as comparer:
        assert comparer.said == "at work"
