from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal
from tests.client.drivers import PATIENCE
from tests.versions import newest_version

CENTROIDS = [[0.0, 0.0], [10.0, 10.0]]
POINTS = np.array([[0.0, 1.0], [10.0, 9.0], [1.0, 0.0]])


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    return client.create_session(name, 2, init=CENTROIDS)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def test_the_current_centroids_come_first_and_each_newer_version_follows(session: shoal.Session) -> None:
    updates = session.watch()

    first = next(updates)
    session.push(POINTS)
    second = next(updates)

    assert isinstance(first, shoal.CentroidUpdate)
    assert (first.version, second.version, second.points_accepted) == (0, 1, 3)
    np.testing.assert_array_equal(first.centroids, CENTROIDS)
    np.testing.assert_array_equal(second.centroids, session.centroids().centroids)
    np.testing.assert_array_equal(second.movement, session.centroids().movement)
    assert second.session_uid == session.describe().uid


def test_the_watch_ends_with_the_session(session: shoal.Session, threads: ThreadPoolExecutor) -> None:
    updates = session.watch()
    next(updates)

    rest = threads.submit(list[Any], updates)
    session.delete()

    assert rest.result(PATIENCE) == []


def test_a_session_does_not_expire_under_a_watch(session: shoal.Session) -> None:
    updates = session.watch()
    next(updates)

    session.update(idle_ttl=0.001)  # long over when the next call comes

    assert session.push(POINTS).version == 1
    assert next(updates).version == 1


def test_watch_of_an_unknown_session_raises(client: shoal.Client, name: str) -> None:
    with pytest.raises(shoal.SessionNotFoundError):
        next(client.session(name).watch())


def test_watch_after_a_future_version_is_refused(session: shoal.Session) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="after_version"):
        next(session.watch(after_version=5))


def test_watch_with_after_version_yields_only_newer_versions(session: shoal.Session) -> None:
    for _ in range(3):
        session.push(POINTS)
    seen = session.describe().version
    updates = session.watch(after_version=seen)

    result = session.push(POINTS)

    assert result.version == seen + 1
    assert next(updates).version in (result.version, newest_version([result]))


def test_watched_versions_only_grow_and_the_newest_is_never_missed(
    session: shoal.Session, threads: ThreadPoolExecutor
) -> None:
    def watch_until(points: int) -> list[int]:
        versions = []
        for update in session.watch():
            versions.append(update.version)
            if update.points_accepted == points:
                break
        return versions

    seen = threads.submit(watch_until, 300 * len(POINTS))
    results = list(session.ingest(POINTS for _ in range(300)))

    versions = seen.result(PATIENCE)
    assert all(older < newer for older, newer in pairwise(versions))
    assert versions[-1] in (results[-1].version, newest_version(results))


def test_delta_watch_yields_the_same_centroids_as_a_whole_watch(client: shoal.Client, name: str) -> None:
    rng = np.random.default_rng(0)
    k = 20
    session = client.create_session(name, k, init=rng.normal(size=(k, 3)), update_rule="incremental")  # one a push
    whole, delta = session.watch(), session.watch(delta=True)
    assert next(whole).version == next(delta).version == 0

    for rows in rng.integers(1, 4, size=60):  # few rows move few centroids
        session.push(rng.normal(size=(rows, 3)))
        expected, rebuilt = next(whole), next(delta)

        assert rebuilt.version == expected.version
        for field in ("centroids", "weights", "movement"):
            np.testing.assert_array_equal(getattr(rebuilt, field), getattr(expected, field))
        assert not rebuilt.centroids.flags.writeable


def test_progress_messages_yield_no_update(session: shoal.Session, threads: ThreadPoolExecutor) -> None:
    updates = session.watch(after_version=0, progress_interval=1)
    update = threads.submit(next, updates)

    with pytest.raises(TimeoutError):
        update.result(1.5)  # a sign of life, no update
    session.push(POINTS)

    newest: shoal.CentroidUpdate = update.result(PATIENCE)
    assert newest.version == 1


def test_min_shift_skips_small_movements(session: shoal.Session) -> None:
    far: NDArray[np.float64] = np.full((1000, 2), 100.0)
    updates = session.watch(min_shift=5.0)
    assert next(updates).version == 0

    session.push(POINTS)
    result = session.push(far)

    assert next(updates).version in (result.version, newest_version([result]))
