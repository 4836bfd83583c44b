from __future__ import annotations

import numpy as np
import pytest

import shoal
from tests.versions import newest_version

CENTROIDS = [[0.0, 0.0], [10.0, 10.0]]


def test_recent_points_are_those_that_were_pushed_oldest_first(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    points = np.arange(40, dtype=np.float32).reshape(20, 2)
    results = [session.push(part) for part in np.split(points, 4)]

    recent = session.recent_points()
    newest = session.recent_points(max_points=3)

    assert isinstance(recent, shoal.RecentPoints)
    assert recent.version == newest.version == newest_version(results)
    assert recent.points.dtype == np.float32
    np.testing.assert_array_equal(recent.points, points)
    np.testing.assert_array_equal(newest.points, points[-3:])
    np.testing.assert_array_equal(session.recent_points(0).points, points)


def test_warming_session_returns_its_recent_points(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2)
    before = session.recent_points()
    session.push([[1, 2], [3, 4]])

    recent = session.recent_points()

    assert (before.points.size, before.version) == (0, 0)
    assert (recent.points.tolist(), recent.version) == ([[1, 2], [3, 4]], 0)


def test_recent_points_returns_at_most_max_points(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    batches = np.random.default_rng(0).normal(size=(400, 32, 2))

    list(session.ingest(batches))
    recent = session.recent_points()

    assert 0 < len(session.recent_points(100).points) <= 100
    assert 0 < len(recent.points) <= 1024
    assert {*map(tuple, recent.points)} <= {*map(tuple, batches.reshape(-1, 2))}


@pytest.mark.parametrize("max_points", [-1, 1.5, 2**40])
def test_invalid_max_points_is_refused(client: shoal.Client, name: str, max_points: int) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)

    with pytest.raises(shoal.InvalidArgumentError, match="max_points"):
        session.recent_points(max_points)


def test_recent_points_of_an_unknown_session_raises(client: shoal.Client, name: str) -> None:
    with pytest.raises(shoal.SessionNotFoundError):
        client.session(name).recent_points()
