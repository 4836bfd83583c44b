"""Sessions that get another number of clusters while they run, on a real server, over the wire."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal

K = 8


def blobs(seed: int, rows: int = 800) -> NDArray[np.float32]:
    """Return points around K middles on a circle."""
    random = np.random.default_rng(seed)
    angles = 2 * np.pi * random.integers(0, K, rows) / K
    middles = 20 * np.column_stack((np.cos(angles), np.sin(angles)))
    return (middles + random.normal(size=(rows, 2))).astype(np.float32)


def test_a_session_changes_its_number_of_clusters_between_two_batches(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 5, random_state=0, update_rule="refined")
    session.push(blobs(0))
    before = session.centroids()

    description = session.update(n_clusters=K)

    after = session.centroids()
    assert description.config.n_clusters == K
    assert after.version == before.version + 1
    assert after.centroids.shape == (K, 2)
    np.testing.assert_allclose(after.weights.sum(), 800)
    assert session.assign(blobs(1)).labels.max() == K - 1
    session.delete()


@pytest.mark.parametrize("engine", ["sklearn", "scipy"])
def test_sessions_of_other_engines_change_their_number_of_clusters(
    client: shoal.Client, name: str, engine: shoal.Engine
) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined", engine=engine)
    session.push(blobs(0))

    session.update(n_clusters=3)
    session.push(blobs(1))

    assert session.centroids().centroids.shape == (3, 2)
    np.testing.assert_allclose(session.centroids().weights.sum(), 1600)
    session.delete()


def test_a_watch_with_deltas_gets_all_centroids_when_their_number_changes(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined")
    session.push(blobs(0))
    watch = session.watch(delta=True, min_shift=1e-9)
    next(watch)

    for n_clusters in (12, 4):
        session.update(n_clusters=n_clusters)
        newest = session.centroids()
        update = next(each for each in watch if each.version == newest.version)
        np.testing.assert_array_equal(update.centroids, newest.centroids)

    watch.close()
    session.delete()


def test_a_warming_session_takes_another_number_of_clusters(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 400, random_state=0, update_rule="refined")
    session.push(blobs(0))

    session.update(n_clusters=K)
    session.push(blobs(1))

    assert session.centroids().centroids.shape == (K, 2)
    np.testing.assert_allclose(session.centroids().weights.sum(), 1600)
    session.delete()


@pytest.mark.parametrize(
    ("n_clusters", "message"),
    [(0, "use a number from 1 up"), (2**31 - 1, "n_clusters can be 131,072 at most$"), (10**6, "may have 262,144")],
)
def test_a_number_of_clusters_that_no_session_can_have_is_refused_and_the_session_lives_on(
    client: shoal.Client, name: str, n_clusters: int, message: str
) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined")
    session.push(blobs(0))
    before = session.centroids()

    with pytest.raises(shoal.ShoalError, match=message):
        session.update(n_clusters=n_clusters)

    assert session.describe().config.n_clusters == K
    assert session.push(blobs(1)).version > before.version
    session.delete()


def test_a_session_without_a_summary_keeps_its_number_of_clusters(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="incremental")
    session.push(blobs(0))

    with pytest.raises(shoal.PreconditionError, match="keeps no summary"):
        session.update(n_clusters=K + 1)

    assert session.describe().config.n_clusters == K
    session.delete()


def test_more_clusters_than_the_summary_has_points_are_refused(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined")
    session.push(blobs(0, rows=300))

    with pytest.raises(shoal.InvalidArgumentError, match="the session has 300 points: use that many at most"):
        session.update(n_clusters=500)

    assert session.update(n_clusters=300).config.n_clusters == 300
    session.delete()


def test_more_clusters_than_a_given_summary_has_points_are_refused(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined", summary_size=100)
    session.push(blobs(0))

    with pytest.raises(shoal.InvalidArgumentError, match="summary_size is 100; with n_clusters 101"):
        session.update(n_clusters=101)

    session.delete()
