"""Sessions whose centroids are refined, on a real server, over the wire."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

import shoal

K = 8


def sorted_blobs(rows: int = 16_000) -> NDArray[np.float32]:
    """Return points around K middles, ordered by their first column: the worst order for one pass."""
    random = np.random.default_rng(0)
    middles = 20 * random.normal(size=(K, 2))
    points = middles[random.integers(0, K, rows)] + random.normal(size=(rows, 2))
    return points[np.argsort(points[:, 0])].astype(np.float32)


def cut(points: NDArray[Any], rows: int) -> list[NDArray[Any]]:
    return [points[start : start + rows] for start in range(0, len(points), rows)]


def ratio(points: NDArray[Any], centroids: NDArray[Any]) -> float:
    """Return the inertia of centroids over that of an offline fit."""
    wide = points.astype(np.float64)
    offline = KMeans(K, n_init=10, random_state=0).fit(wide).inertia_
    return float(((wide[:, None] - centroids) ** 2).sum(axis=2).min(axis=1).sum() / offline)


def test_one_pass_over_sorted_points_ends_near_the_offline_fit(client: shoal.Client, name: str) -> None:
    points = sorted_blobs()
    session = client.create_session(name, K, random_state=0, update_rule="refined")

    results = list(session.ingest(cut(points, 200)))

    snapshot = session.centroids()
    assert ratio(points, snapshot.centroids) < 1.03
    np.testing.assert_allclose(snapshot.weights.sum(), len(points))
    assert [each.refined for each in results].count(True) > 3
    session.delete()


def test_each_refinement_makes_the_version_after_its_batch(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined")

    results = list(session.ingest(cut(sorted_blobs(4_000), 50)))

    for before, after in itertools.pairwise(results):
        assert after.version == before.version + 1 + before.refined
    assert session.describe().version == results[-1].version + results[-1].refined
    session.delete()


def test_a_watch_with_deltas_follows_refinements(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined")
    session.push(sorted_blobs(1_000))
    watch = session.watch(delta=True)
    refined = 0

    for batch in cut(sorted_blobs(6_000), 100):
        session.push(batch)
        newest = session.centroids()
        update = next(each for each in watch if each.version == newest.version)
        np.testing.assert_array_equal(update.centroids, newest.centroids)
        assert update.refined == newest.refined
        refined += update.refined

    assert refined > 1
    watch.close()
    session.delete()


def test_a_batch_that_is_sent_again_says_again_that_a_refinement_followed(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined")
    batches = cut(sorted_blobs(2_000), 100)
    first = list(session.ingest(batches, producer="p"))

    again = list(session.ingest(batches, producer="p"))

    assert [(each.version, each.refined) for each in again] == [(each.version, each.refined) for each in first]
    assert all(each.duplicate for each in again)
    session.delete()


def test_an_incremental_session_with_a_summary_is_never_refined(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="incremental", summary_size=200)

    results = list(session.ingest(cut(sorted_blobs(2_000), 100)))

    assert not any(each.refined for each in results)
    assert results[-1].version == len(results)
    session.delete()
