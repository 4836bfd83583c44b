"""Other numbers of clusters from the summary of a stream."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from shoal_server.clustering.config import HalfLife, ModelConfig
from shoal_server.clustering.description import describe_bytes, describe_clusters
from shoal_server.clustering.model import new_model
from shoal_server.clustering.recluster import Reclusterer, recluster_bytes, recluster_work
from shoal_server.clustering.search import Search
from shoal_server.clustering.summarised import check_summarised, max_points, summarised_rows
from shoal_server.engines.contract import Frame, Halted, Task, run_in_order, to_sphere
from shoal_server.errors import DomainError, Reason
from tests.clustering.analysis_builders import as_rows, inertia, reclustered, rows_of, spread_blobs, streamed
from tests.warm import warm_engine

Array = NDArray[Any]


def sorted_by_first_column(points: Array) -> Array:
    return points[np.argsort(points[:, 0], kind="stable")]


def normal(n: int, d: int, *widths: float) -> Array:
    return (np.random.default_rng(1).normal(size=(n, d)) * (widths or 1.0)).astype(np.float32)


KNOWN: list[Any] = [
    pytest.param(lambda: spread_blobs(4, 2, 2, 12_000, 6.0), range(2, 9), {2}, id="2 blobs"),
    pytest.param(lambda: spread_blobs(16, 2, 8, 12_000, 4.0), range(2, 9), {2}, id="2 blobs that overlap"),
    pytest.param(lambda: spread_blobs(16, 8, 2, 12_000, 8.0), range(2, 13), {8}, id="8 blobs"),
    pytest.param(lambda: spread_blobs(16, 8, 2, 12_000, 4.0), range(2, 13), {8}, id="8 blobs that overlap"),
    pytest.param(lambda: spread_blobs(64, 8, 8, 12_000, 3.0), range(2, 13), {8}, id="8 blobs that overlap, d=8"),
    pytest.param(lambda: spread_blobs(80, 20, 4, 20_000, 4.5), range(16, 25), {20}, id="20 blobs that overlap"),
    pytest.param(
        lambda: sorted_by_first_column(spread_blobs(7, 20, 4, 20_000, 8.0)), range(16, 25), {20}, id="20 sorted blobs"
    ),
    pytest.param(lambda: spread_blobs(320, 20, 16, 20_000, 6.0), range(16, 25), {20}, id="20 blobs d=16"),
    pytest.param(lambda: spread_blobs(400, 50, 8, 20_000, 7.0), range(46, 54), {50}, id="50 blobs"),
    pytest.param(lambda: spread_blobs(200, 50, 4, 20_000, 6.0), range(46, 54), {50}, id="50 blobs that touch"),
    pytest.param(lambda: load_digits().data.astype(np.float32), range(2, 21), {9, 10}, id="digits"),
    pytest.param(lambda: spread_blobs(1000, 2, 2, 6000, 3.5), range(1, 9), {2}, id="2 blobs that touch"),
    pytest.param(lambda: normal(12_000, 2), range(1, 9), {1}, id="one normal cloud"),
    pytest.param(
        lambda: np.random.default_rng(500).standard_t(5, size=(6000, 5)), range(1, 9), {1}, id="one heavy-tailed cloud"
    ),
    pytest.param(lambda: normal(12_000, 16), range(1, 9), {1}, id="one normal cloud d=16"),
    pytest.param(lambda: normal(12_000, 4, 10, 3, 1, 1), range(1, 9), {1}, id="one long cloud"),
    pytest.param(lambda: np.random.default_rng(1).uniform(size=(12_000, 2)), range(1, 9), {1}, id="uniform noise"),
    pytest.param(lambda: normal(60, 2), range(1, 9), {1}, id="a small cloud"),
]


@pytest.mark.parametrize(("draw", "numbers", "right"), KNOWN)
def test_the_number_that_the_stream_has_is_suggested(draw: Any, numbers: range, right: set[int]) -> None:
    points = draw()
    model = streamed(points, 6)

    clusterings, suggestion = reclustered(rows_of(model), numbers)

    assert suggestion.n_clusters in right, suggestion.reason
    assert [each.n_clusters for each in clusterings] == list(numbers)


def test_noise_gets_no_suggestion_where_1_was_not_asked_for() -> None:
    _, suggestion = reclustered(rows_of(streamed(normal(5000, 2), 3)), range(2, 6))

    assert suggestion.n_clusters is None
    assert suggestion.reason.startswith("no number of clusters stands out")


def test_centroids_are_near_an_offline_fit_whatever_number_the_session_has() -> None:
    points = sorted_by_first_column(spread_blobs(0, 12, 3, 15_000, 5.0))
    rows = rows_of(streamed(points, 30))

    (clustering,), _ = reclustered(rows, [12])

    offline = KMeans(12, n_init=10, random_state=0).fit(points.astype(np.float64)).inertia_
    assert inertia(points, clustering.centroids) < 1.01 * offline
    assert clustering.weights.sum() == pytest.approx(15_000)
    assert clustering.estimated_inertia == pytest.approx(offline, rel=0.03)
    assert clustering.silhouette is not None
    assert clustering.single_cloud_silhouette is None


def test_one_cluster_is_the_mean_and_has_no_silhouette() -> None:
    points = normal(3000, 3)

    (clustering,), _ = reclustered(rows_of(streamed(points, 4)), [1])

    np.testing.assert_allclose(clustering.centroids[0], points.mean(axis=0), atol=1e-5)
    assert clustering.silhouette is None
    assert clustering.estimated_inertia == pytest.approx(inertia(points, clustering.centroids), rel=0.01)


def test_as_many_clusters_as_points_cost_nothing() -> None:
    points = np.random.default_rng(0).normal(size=(20, 2))

    clusterings, suggestion = reclustered(as_rows(points), [2, 20])

    assert clusterings[1].estimated_inertia == pytest.approx(0, abs=1e-9)
    assert clusterings[1].silhouette is None
    assert suggestion.n_clusters in {2, None}


def test_points_far_from_zero_are_fitted_as_well() -> None:
    points = spread_blobs(0, 5, 2, 5000, 6.0).astype(np.float64) + 1e6

    (clustering,), _ = reclustered(rows_of(streamed(points, 3)), [5])

    assert inertia(points - 1e6, clustering.centroids - 1e6) < 1.01 * 2 * 5000


def test_directions_keep_length_1() -> None:
    points = to_sphere(spread_blobs(0, 6, 5, 9000, 8.0).astype(np.float64)).astype(np.float32)

    clusterings, suggestion = reclustered(rows_of(streamed(points, 4, metric="cosine")), range(2, 10))

    for clustering in clusterings:
        np.testing.assert_allclose(np.linalg.norm(clustering.centroids, axis=1), 1)
        assert clustering.estimated_inertia == pytest.approx(inertia(points, clustering.centroids), rel=0.05)
    assert suggestion.n_clusters == 6


def test_forgotten_points_count_as_the_session_says() -> None:
    points = normal(9000, 2)
    points[:4500] += 50  # weigh 0.5 ** 15 in the end
    rows = rows_of(streamed(points, 2, batch_rows=100, half_life=HalfLife(300.0, "points")))

    (clustering,), _ = reclustered(rows, [2])

    ages = np.arange(8900, -1, -100) / 300  # in half-lives, of each batch
    assert clustering.weights.sum() == pytest.approx(100 * (0.5**ages).sum(), rel=0.01)
    assert (np.abs(clustering.centroids) < 5).all()


def test_sample_weights_count() -> None:
    points, weights = normal(4000, 2), np.random.default_rng(0).uniform(0.1, 5, size=4000)

    (clustering,), _ = reclustered(rows_of(streamed(points, 3, weights=weights)), [4])

    assert clustering.weights.sum() == pytest.approx(weights.sum())
    assert clustering.estimated_inertia == pytest.approx(inertia(points, clustering.centroids, weights), rel=0.03)


def test_an_incremental_session_with_a_summary_can_be_reclustered() -> None:
    points = spread_blobs(0, 7, 3, 6000, 8.0)
    model = streamed(points, 3, update_rule="incremental", summary_size=1000)

    _, suggestion = reclustered(rows_of(model), range(4, 10))

    assert suggestion.n_clusters == 7


def test_reclustering_changes_no_bit_of_the_model() -> None:
    model = streamed(normal(5000, 3), 4)
    before = model.state

    reclustered(rows_of(model), range(2, 6))

    assert model.state == before


def test_the_same_summary_and_random_state_give_the_same_clusterings_in_any_pieces() -> None:
    rows = rows_of(streamed(normal(5000, 12), 4))

    def reclusterer() -> Reclusterer:
        return Reclusterer(rows, [3, 9], 7, warm_engine().search)

    def interrupted(task: Task, count: int) -> None:
        for index in range(count):
            pieces: Iterable[None] = task(index) or ()
            for number, _ in enumerate(pieces):
                if number == 2:
                    Reclusterer(rows, [5], 1, warm_engine().search).fit(5, run_in_order)

    one, other = reclusterer(), reclusterer()
    for k in (3, 9):
        first, second = one.fit(k, run_in_order), other.fit(k, interrupted)
        np.testing.assert_array_equal(first.centroids, second.centroids)
        assert first.estimated_inertia == second.estimated_inertia
        assert (first.silhouette, first.single_cloud_silhouette) == (second.silhouette, second.single_cloud_silhouette)


def test_reclustering_stops_between_two_pieces() -> None:
    rows, pieces = rows_of(streamed(normal(5000, 12), 4)), 0

    def halted(task: Task, count: int) -> None:
        nonlocal pieces
        for index in range(count):
            for _ in task(index) or ():
                pieces += 1
                if pieces == 9:
                    raise Halted

    with pytest.raises(Halted):
        Reclusterer(rows, [2, 3], None, warm_engine().search).fit(3, halted)


@pytest.mark.parametrize(("m", "k", "d"), [(300, 2, 2), (2000, 40, 3), (1500, 16, 64)])
def test_no_more_work_is_done_than_is_announced(m: int, k: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[Search] = []
    made = Search.__init__

    def noted(self: Search, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        searches.append(self)

    monkeypatch.setattr(Search, "__init__", noted)
    random = np.random.default_rng(0)
    rows = as_rows(random.normal(size=(m, d)), scatter=random.uniform(size=m))

    reclustered(rows, [k, k + 1])

    assert sum(search.work for search in searches) <= recluster_work(m, [k, k + 1], d)


def test_a_summary_has_no_more_points_than_announced() -> None:
    for rows in (10, 500, 3000, 20_000):
        model = streamed(normal(rows, 3), 3, batch_rows=137, summary_size=500)
        assert len(summarised_rows(model, warm_engine(), run_in_order).points.weights) <= max_points(model)


@pytest.mark.parametrize(
    ("config", "points", "reason"),
    [
        (ModelConfig(2), None, Reason.SUMMARY_MISSING),
        (ModelConfig(2, update_rule="refined"), None, Reason.SESSION_WARMING),
        (ModelConfig(2, update_rule="refined", init=np.eye(2)), None, Reason.SUMMARY_EMPTY),
    ],
)
def test_a_model_without_summary_centroids_or_rows_is_refused(
    config: ModelConfig, points: None, reason: Reason
) -> None:
    assert points is None

    with pytest.raises(DomainError) as refused:
        check_summarised(new_model(config))

    assert refused.value.refusal.reason is reason


@pytest.mark.parametrize(("m", "k", "d"), [(500, 2, 2), (6000, 20, 3), (3000, 40, 100), (600, 3, 700), (3000, 900, 4)])
def test_no_more_memory_is_taken_than_is_announced(m: int, k: int, d: int) -> None:
    random = np.random.default_rng(0)
    rows = as_rows(random.normal(size=(m, d)).astype(np.float32), scatter=random.uniform(size=m))
    reclusterer = Reclusterer(rows, [k - 1, k], 1, warm_engine().search)
    described = rows._replace(frame=Frame(rows.points.points[:k], np.zeros(d, np.float32), np.ones(k), cosine=False))

    assert peak(lambda: [reclusterer.fit(each, run_in_order) for each in (k - 1, k)]) < recluster_bytes(m, k, d, 4)
    assert peak(lambda: describe_clusters(described, 5, warm_engine().search, run_in_order)) < describe_bytes(
        m, k, d, 5, 4
    )


def peak(function: Callable[[], object]) -> int:
    """Return the most bytes that NumPy's arrays take while a function runs, besides those there were."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
