"""Empty clusters, equal points, and the smallest numbers of clusters and points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal import CompareEngine
from shoal_server.compare import sklearn
from shoal_server.compare.steps import Step
from shoal_server.engines.contract import max_value
from tests.compare.comparing import ALL, GIVEN, SIX_POINTS, Bench, assert_nearest

FAR_AWAY = [[0.0, 0.0], [1.0, 0.0], [900.0, 900.0]]  # of POINTS none is nearest to the last one
MOST = max_value(np.dtype(np.float64), 1)
POINTS = [[0.0, 0.0], [0.0, 1.0], [5.0, 5.0], [5.0, 6.0]]


def _last(bench: Bench, points: Any, n_clusters: int, engine: CompareEngine, **more: Any) -> Step:
    return bench.compare(points, n_clusters, engines=(engine,), **more).steps[-1]


def test_kmeans_drops_an_empty_cluster_with_a_note(bench: Bench) -> None:
    finished = bench.compare(POINTS, 3, init=FAR_AWAY, engines=("scipy",))

    update = next(step for step in finished.steps if step.action == "update")
    assert update.notes == ("no point is nearest to centroid 2, so kmeans drops it: 2 are left",)
    assert update.clusters.tolist() == [0, 1]
    assert update.centroids.shape == (2, 2)


def test_kmeans2_leaves_an_empty_cluster_in_place_with_a_note(bench: Bench) -> None:
    last = _last(bench, POINTS, 3, "scipy-kmeans2", init=FAR_AWAY)

    assert last.centroids[2].tolist() == FAR_AWAY[2]
    assert last.notes == ("no point is nearest to centroid 2, so kmeans2 leaves it where it is",)


def test_scikit_learn_moves_an_empty_cluster_to_a_point_with_a_note(bench: Bench) -> None:
    last = _last(bench, POINTS, 3, "sklearn", init=FAR_AWAY)

    assert len(np.unique(last.labels if last.labels is not None else [])) == 3
    assert last.path is not None
    assert last.path[0][2].tolist() in POINTS
    assert last.notes == (
        "no point is nearest to centroid 2 in iteration 1, so KMeans moves it to a point far from its own centroid",
    )


def test_scikit_learn_notes_that_an_empty_cluster_moves_onto_the_largest_one(bench: Bench) -> None:
    last = _last(bench, [[3.0, 3.0]] * 5, 2, "sklearn", init=[[3.0, 3.0], [9.0, 9.0]])

    assert last.path is not None
    assert last.path[0].tolist() == [[3, 3], [3, 3]]
    assert [note for note in last.notes if "moves it" in note] == [
        "no point is nearest to centroid 1 in iteration 1, so KMeans moves it onto the largest cluster"
    ]


def test_shoal_leaves_an_empty_cluster_in_place_with_a_note(bench: Bench) -> None:
    last = _last(bench, POINTS, 3, "numba", init=FAR_AWAY)

    assert last.centroids[2].tolist() == FAR_AWAY[2]
    assert last.notes == ("no point is nearest to centroid 2, so it stays where it is",)


def test_a_dropped_cluster_is_matched_with_none(bench: Bench) -> None:
    result = bench.compare(POINTS, 3, init=FAR_AWAY, engines=("scipy", "scipy-kmeans2")).result

    assert sorted(result.engines[1].matching.tolist()) == [-1, 0, 1]


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize(
    ("points", "n_clusters"),
    [
        pytest.param([[7.0]], 1, id="one point"),
        pytest.param([[7.0, -1.0, 2.0]], 1, id="one wide point"),
        pytest.param([[1.0], [2.0], [3.0]], 3, id="k is n"),
        pytest.param([[1.0], [1.0], [1.0], [1.0]], 1, id="equal points"),
        pytest.param([[1.0, 2.0]] * 5, 3, id="equal points, k above 1"),
        pytest.param([[1.0], [1.0], [9.0], [9.0]], 3, id="duplicates"),
        pytest.param([[1e-300], [3e-300]], 2, id="tiny"),
        pytest.param([[MOST], [-MOST], [MOST / 10]], 2, id="huge"),
        pytest.param([[0.1 * i, 1e9] for i in range(12)], 12, id="k is n, far away"),
    ],
)
def test_every_engine_ends_for_any_points(bench: Bench, engine: CompareEngine, points: Any, n_clusters: int) -> None:
    finished = bench.compare(points, n_clusters, engines=(engine,))

    last = finished.steps[-1]
    assert last.labels is not None
    assert last.labels.min() >= 0
    assert last.labels.max() < len(last.centroids)
    assert np.isfinite(last.centroids).all()
    assert_nearest(finished.comparison.points, last.centroids, last.labels)


@pytest.mark.parametrize("engine", ALL)
def test_inertia_is_zero_with_as_many_clusters_as_points(bench: Bench, engine: CompareEngine) -> None:
    (result,) = bench.compare([[1.0, 1.0], [2.0, 5.0], [9.0, 3.0]], 3, engines=(engine,)).result.engines

    assert (result.inertia, result.distortion) == (0, 0)


@pytest.mark.parametrize("engine", ["scipy", "scipy-kmeans2", "numba", "sklearn-minibatch"])
def test_an_engine_that_reaches_max_iter_says_that_it_was_stopped(bench: Bench, engine: CompareEngine) -> None:
    finished = bench.compare(np.arange(40.0)[:, None] ** 1.5, 4, init=[[0.0], [1.0], [2.0], [3.0]], engines=(engine,),
                             max_iter=2)  # fmt: skip

    assert finished.steps[-1].action == "stopped"
    assert (finished.result.engines[0].converged, finished.result.engines[0].iterations) == (False, 2)


@pytest.fixture(params=["path", "no path"])
def _path_or_none(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with and without the path of scikit-learn's fit, which is left out for many points."""
    if request.param == "no path":
        monkeypatch.setattr(sklearn, "_MAX_DISTANCES", 0)


@pytest.mark.usefixtures("_path_or_none")
@pytest.mark.parametrize(("max_iter", "converged"), [(1, False), (2, True), (3, True)])
def test_all_engines_report_the_same_convergence_at_the_last_allowed_iteration(
    bench: Bench, max_iter: int, *, converged: bool
) -> None:
    result = bench.compare(SIX_POINTS, 2, init=GIVEN, max_iter=max_iter).result

    said = {engine.engine: (engine.converged, engine.iterations) for engine in result.engines}
    del said["sklearn-minibatch"]  # whose counts go on, and its centroids with them
    assert set(said.values()) == {(converged, min(max_iter, 2))}


@pytest.mark.usefixtures("_path_or_none")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tol", [0.0, 0.3])
def test_all_engines_need_the_same_number_of_iterations_to_converge(bench: Bench, seed: int, tol: float) -> None:
    points = np.random.default_rng(seed).normal(size=(60, 2))
    engines: tuple[CompareEngine, ...] = ("scipy-kmeans2", "sklearn")

    first = bench.compare(points, 4, engines=engines[:1], random_state=seed, tol=tol).result.engines[0].iterations

    for max_iter in range(1, first + 2):
        result = bench.compare(points, 4, engines=engines, random_state=seed, tol=tol, max_iter=max_iter).result
        assert [engine.converged for engine in result.engines] == 2 * [max_iter >= first]


@pytest.mark.parametrize("engine", ALL)
def test_a_tolerance_ends_a_run_earlier(bench: Bench, engine: CompareEngine) -> None:
    points, initial = np.arange(60.0)[:, None] ** 1.5, [[0.0], [1.0], [2.0], [3.0]]

    patient = bench.compare(points, 4, init=initial, engines=(engine,)).result.engines[0]
    hasty = bench.compare(points, 4, init=initial, engines=(engine,), tol=20.0).result.engines[0]

    assert hasty.converged
    assert hasty.iterations < patient.iterations


def test_the_path_of_a_fit_leads_to_its_centroids(bench: Bench) -> None:
    points = np.random.default_rng(0).normal(size=(200, 3))

    (step,) = bench.compare(points, 5, engines=("sklearn",)).steps

    assert step.path is not None
    assert len(step.path) == step.iteration
    np.testing.assert_allclose(step.path[-1], step.centroids, rtol=1e-12)
