"""Reclustering a session, and describing its clusters."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import shoal
import shoal.aio
from shoal.testing import LocalServer
from tests.client.drivers import Driver
from tests.client.fake_server import FakeServer

BLOBS = np.random.default_rng(0).normal(size=(900, 2)) + np.repeat([[0, 0], [20, 0], [0, 20]], 300, axis=0)


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    """A refined session of four clusters that has three blobs."""
    session = client.create_session(name, 4, random_state=1, update_rule="refined")
    session.push(BLOBS)
    return session


def cost(centroids: Any) -> float:
    return float(((BLOBS[:, None] - centroids) ** 2).sum(axis=2).min(axis=1).sum())


def test_recluster_with_one_number_returns_its_clustering(session: shoal.Session) -> None:
    clustering = session.recluster(3)

    assert isinstance(clustering, shoal.Clustering)
    assert clustering.n_clusters == 3
    assert sorted(np.round(clustering.centroids / 20).tolist()) == [[0, 0], [0, 1], [1, 0]]
    np.testing.assert_allclose(clustering.weights, [300, 300, 300])
    assert clustering.estimated_inertia == pytest.approx(cost(clustering.centroids))
    assert clustering.standard_error == 0  # the summary has every point
    assert clustering.silhouette is not None
    assert clustering.silhouette > 0.8
    assert clustering.single_cloud_silhouette is None


def test_recluster_with_several_numbers_returns_all_clusterings_and_a_suggestion(session: shoal.Session) -> None:
    reclustering = session.recluster(range(2, 7))

    assert isinstance(reclustering, shoal.Reclustering)
    assert [each.n_clusters for each in reclustering] == [2, 3, 4, 5, 6]
    assert len(reclustering) == 5
    assert reclustering.suggested == 3
    assert reclustering.reason.startswith("the silhouette is highest at 3")
    assert reclustering.suggestion == shoal.Suggestion(3, reclustering.reason)
    assert reclustering.version == session.centroids().version
    assert (reclustering.summary_points, reclustering.weight) == (900, 900)
    inertia = [each.estimated_inertia for each in reclustering]
    assert inertia == sorted(inertia, reverse=True)
    assert all(each.single_cloud_silhouette is not None for each in reclustering)


def test_a_short_stream_gets_a_suggestion_among_as_many_clusters_as_it_has_points(
    client: shoal.Client, name: str
) -> None:
    session = client.create_session(name, 2, random_state=1, update_rule="refined")
    session.push(BLOBS[::75])

    assert session.suggest_n_clusters().n_clusters == 3
    assert [each.n_clusters for each in session.recluster()] == list(range(2, 13))
    with pytest.raises(shoal.InvalidArgumentError, match="n_clusters is 20, and the summary of the session has 12"):
        session.suggest_n_clusters(range(2, 21))


def test_recluster_takes_numbers_of_numpy_in_any_order(session: shoal.Session) -> None:
    reclustering = session.recluster(np.array([5, 2, 5]))

    assert [each.n_clusters for each in reclustering] == [2, 5]
    assert session.recluster(np.int64(2)).n_clusters == 2
    assert [each.n_clusters for each in session.recluster([4])] == [4]


def test_recluster_reports_each_clustering_as_it_comes(session: shoal.Session) -> None:
    seen: list[shoal.Clustering] = []

    reclustering = session.recluster([2, 3], progress=seen.append)

    assert tuple(seen) == reclustering.clusterings


def test_an_exception_of_progress_ends_the_call(session: shoal.Session) -> None:
    def fail(_: shoal.Clustering) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        session.recluster(range(2, 50), progress=fail)

    assert session.recluster(2).n_clusters == 2


def test_the_same_random_state_gives_the_same_clusterings(session: shoal.Session) -> None:
    one, other = session.recluster(9, random_state=5), session.recluster(9, random_state=5)

    np.testing.assert_array_equal(one.centroids, other.centroids)
    assert one.estimated_inertia == other.estimated_inertia


def test_recluster_changes_nothing(session: shoal.Session) -> None:
    before = session.centroids()

    session.recluster([2, 8])

    after = session.centroids()
    assert after.version == before.version
    np.testing.assert_array_equal(after.centroids, before.centroids)


def test_suggest_n_clusters_returns_the_suggestion(session: shoal.Session) -> None:
    assert session.suggest_n_clusters(range(2, 7)) == session.recluster(range(2, 7)).suggestion
    assert session.suggest_n_clusters().n_clusters == 3


def test_noise_gets_no_suggestion(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, random_state=0, update_rule="refined")
    session.push(np.random.default_rng(0).normal(size=(800, 2)))

    suggestion = session.suggest_n_clusters(range(2, 6))

    assert suggestion.n_clusters is None
    assert suggestion.reason.startswith("no number of clusters stands out")
    assert session.suggest_n_clusters(range(1, 6)).n_clusters == 1


def test_an_incremental_session_with_a_summary_can_be_reclustered(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, random_state=0, update_rule="incremental", summary_size=200)
    session.push(BLOBS)

    assert session.recluster(3).weights.sum() == pytest.approx(900)
    assert len(session.describe_clusters()) == 2


def test_describe_clusters_describes_each(session: shoal.Session) -> None:
    report = session.describe_clusters(n_typical=2)

    snapshot = session.centroids()
    labels = session.assign(BLOBS).labels
    assert (report.version, report.session_uid) == (snapshot.version, snapshot.session_uid)
    assert [cluster.label for cluster in report] == [0, 1, 2, 3]
    assert [cluster.id for cluster in report] == snapshot.ids.tolist()
    for cluster in report:
        own = BLOBS[labels == cluster.label]
        assert report[cluster.label] is cluster
        assert cluster.weight == pytest.approx(len(own))
        assert cluster.share == pytest.approx(len(own) / 900)
        assert cluster.summary_points == len(own)
        np.testing.assert_allclose(cluster.mean, own.mean(axis=0))
        np.testing.assert_allclose(cluster.variance, own.var(axis=0))
        apart = np.linalg.norm(snapshot.centroids - snapshot.centroids[cluster.label], axis=1)
        apart[cluster.label] = np.inf
        assert cluster.nearest == apart.argmin()
        assert cluster.nearest_distance == pytest.approx(apart.min())
        far = np.linalg.norm(own - snapshot.centroids[cluster.label], axis=1)
        assert cluster.radius == pytest.approx(np.sqrt((far**2).mean()))
        np.testing.assert_allclose(cluster.typical_points, own[np.argsort(far)[:2]])


def test_a_single_cluster_has_no_nearest(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 1, update_rule="refined")
    session.push(BLOBS)

    (cluster,) = session.describe_clusters(0)

    assert (cluster.nearest, cluster.nearest_distance) == (None, None)
    assert cluster.typical_points.shape == (0, 2)


def test_a_session_without_summary_says_how_to_get_one(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=BLOBS[:2], update_rule="incremental")
    session.push(BLOBS)

    for call in (lambda: session.recluster(2), session.describe_clusters):
        with pytest.raises(shoal.PreconditionError, match="update_rule='refined'") as refused:
            call()
        assert (refused.value.reason, refused.value.session) == ("SUMMARY_MISSING", name)


def test_a_warming_session_says_so(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 4, update_rule="refined")
    session.push(BLOBS[:3])

    for call in (lambda: session.recluster(range(2, 4)), session.describe_clusters):
        with pytest.raises(shoal.SessionWarmingError, match="3 of 12"):
            call()


def test_a_session_that_is_not_there_says_so(client: shoal.Client) -> None:
    with pytest.raises(shoal.SessionNotFoundError, match="nobody") as refused:
        client.session("nobody").recluster(2)

    assert refused.value.session == "nobody"


INVALID: list[Any] = [
    ({"n_clusters": 0}, "N_CLUSTERS_INVALID", "numbers from 1 up"),
    ({"n_clusters": []}, "N_CLUSTERS_INVALID", "at least one number"),
    ({"n_clusters": "ten"}, "N_CLUSTERS_INVALID", "range"),
    ({"n_clusters": 2.5}, "N_CLUSTERS_INVALID", "range"),
    ({"n_clusters": [2, 2.5]}, "N_CLUSTERS_INVALID", "whole number"),
    ({"n_clusters": True}, "N_CLUSTERS_INVALID", "n_clusters is True; give a whole number"),
    ({"n_clusters": [2, True]}, "N_CLUSTERS_INVALID", "n_clusters is True; give a whole number"),
    ({"n_clusters": 3, "progress": 5}, "PROGRESS_INVALID", "progress is 5; give a function"),
    ({"n_clusters": 3, "random_state": True}, "RANDOM_STATE_INVALID", "give a whole number"),
    ({"n_clusters": 2**31}, "N_CLUSTERS_INVALID", "at most"),
    ({"n_clusters": range(10**9)}, "N_CLUSTERS_INVALID", "more than 256 numbers; give 1 to 256"),
    ({"n_clusters": range(1, 258)}, "N_CLUSTERS_INVALID", "more than 256 numbers; give 1 to 256"),
    ({"n_clusters": [2, 901]}, "N_CLUSTERS_INVALID", "900 points"),
    ({"n_clusters": 2, "random_state": -1}, "RANDOM_STATE_INVALID", "at least 0"),
]


@pytest.mark.parametrize(("arguments", "reason", "says"), INVALID)
def test_invalid_arguments_of_recluster_say_what_would_be_right(
    session: shoal.Session, arguments: Any, reason: str, says: str
) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match=says) as refused:
        session.recluster(**arguments)

    assert refused.value.reason == reason


@pytest.mark.parametrize("n_typical", [-1, 1001, 2**40, "many"])
def test_an_invalid_number_of_typical_points_says_what_would_be_right(session: shoal.Session, n_typical: Any) -> None:
    says = "give a whole number" if n_typical == "many" else "use at least 0, at most 1,000$"
    with pytest.raises(shoal.InvalidArgumentError, match=says) as refused:
        session.describe_clusters(n_typical)

    assert refused.value.reason == "N_TYPICAL_INVALID"


def test_an_answer_that_ends_early_is_an_error(driver: Driver, fake: FakeServer) -> None:
    fake.plays("Recluster", lambda *_: iter(()))

    with driver.connect(fake.target) as connected:
        for numbers in (3, [2, 3]):
            with pytest.raises(shoal.InternalError) as refused:
                connected.session("any").recluster(numbers)
            assert refused.value.reason == "ANSWER_UNEXPECTED"


async def test_a_cancelled_recluster_ends_its_call(server: LocalServer, name: str) -> None:
    async with shoal.aio.connect(server.target) as client:
        session = await client.create_session(name, 4, update_rule="refined")
        await session.push(np.random.default_rng(0).normal(size=(3000, 8)))
        first = asyncio.Event()
        reclustering = asyncio.create_task(session.recluster(range(2, 250), progress=lambda _: first.set()))
        await first.wait()

        reclustering.cancel()

        with pytest.raises(asyncio.CancelledError):
            await reclustering
        assert (await session.recluster(2)).n_clusters == 2
