"""For any points, each step is consistent, and the last ones equal the result of a direct call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans, kmeans2, vq
from sklearn.cluster import KMeans, MiniBatchKMeans

from shoal import CompareEngine
from tests.compare.comparing import ALL, Bench, Finished, assert_nearest, squares
from tests.effort import examples, seeds


@st.composite
def problems(draw: st.DrawFn) -> tuple[NDArray[Any], int, int]:
    """Draw points, some of them equal, n_clusters, and a random state."""
    n, d = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = random.normal(size=(n, d)) * draw(st.sampled_from([1e-6, 1.0, 1e6])) + draw(st.sampled_from([0.0, 1e4]))
    if draw(st.booleans()):
        points = points.round(0)
    if draw(st.booleans()):
        points = points[random.integers(0, n, n)]
    return points, draw(st.integers(1, n)), draw(st.integers(0, 2**32 - 1))


def _blobs(seed: int) -> NDArray[Any]:
    random = np.random.default_rng(seed)
    return random.normal(size=(60, 2)) + 6 * random.integers(0, 3, size=(60, 1))


def _check_steps(finished: Finished) -> None:
    points = finished.comparison.points
    for step in finished.steps:
        assert np.isfinite(step.centroids).all()
        assert len(step.clusters) == len(step.centroids)
        if step.labels is not None:
            if not any("aren't the nearest" in note for note in step.notes):  # scikit-learn's fit, at times
                assert_nearest(points, step.centroids, step.labels)
            own = squares(points, step.centroids)[np.arange(len(points)), step.labels]
            assert step.inertia == pytest.approx(own.sum(), rel=1e-9, abs=1e-30)
            assert step.distortion == pytest.approx(np.sqrt(own).mean(), rel=1e-9, abs=1e-30)


def _check_scipy_updates(finished: Finished, engine: CompareEngine) -> None:
    """Check that each update is SciPy's own from the centroids before it."""
    points, before = finished.comparison.points, finished.comparison.initial_centroids
    for step in finished.steps_of(engine):
        if step.action in {"update", "converged"}:
            labels, _ = vq(points, before)
            kept = np.unique(labels) if engine == "scipy" else np.arange(len(before))
            expected, _ = kmeans2(points, before[kept], iter=1, minit="matrix")
            assert step.centroids.tobytes() == expected.tobytes()
            before = step.centroids


def _direct_kmeans(finished: Finished) -> NDArray[Any]:
    initial = finished.comparison.initial_centroids
    direct, _ = kmeans(finished.comparison.points, initial, thresh=0)
    return np.asarray(direct)


def _direct_fit(finished: Finished) -> KMeans:
    comparison = finished.comparison
    estimator = KMeans(
        len(comparison.initial_centroids),
        init=comparison.initial_centroids,
        n_init=1,
        max_iter=comparison.max_iter,
        tol=0,
        random_state=comparison.random_state,
    )
    return estimator.fit(comparison.points)


def _direct_mini_batch(finished: Finished) -> NDArray[Any]:
    comparison, (result,) = finished.comparison, finished.result.engines
    estimator = MiniBatchKMeans(
        len(comparison.initial_centroids), init=comparison.initial_centroids, n_init=1, compute_labels=False,
        random_state=comparison.random_state,
    )  # fmt: skip
    for _ in range(result.iterations):
        estimator.partial_fit(comparison.points)
    return np.asarray(estimator.cluster_centers_)


@pytest.mark.filterwarnings("ignore:One of the clusters is empty", "ignore:Number of distinct clusters")
@examples(200)
@given(problem=problems(), init=st.sampled_from(["k-means++", "random"]))
def test_every_step_is_consistent(bench: Bench, problem: tuple[NDArray[Any], int, int], init: str) -> None:
    points, n_clusters, random_state = problem

    finished = bench.compare(points, n_clusters, init=init, random_state=random_state, max_iter=15)

    _check_steps(finished)
    for engine in ("scipy", "scipy-kmeans2"):
        _check_scipy_updates(finished, engine)


@pytest.mark.parametrize("seed", seeds(200))
def test_the_last_steps_equal_the_result_of_a_direct_call(bench: Bench, seed: int) -> None:
    points, init = _blobs(seed), "random" if seed % 2 else "k-means++"

    finished = bench.compare(points, 3, init=init, random_state=seed, engines=("scipy", "scipy-kmeans2", "sklearn"))

    scipy, scipy_kmeans2, sklearn = finished.result.engines
    direct, labels = kmeans2(
        points, finished.comparison.initial_centroids, iter=scipy_kmeans2.iterations, minit="matrix"
    )
    fitted = _direct_fit(finished)
    assert scipy.centroids.tobytes() == _direct_kmeans(finished).tobytes()
    assert scipy.labels.tolist() == vq(points, scipy.centroids)[0].tolist()
    assert scipy_kmeans2.centroids.tobytes() == direct.tobytes()
    assert scipy_kmeans2.labels.tolist() == labels.tolist()
    assert sklearn.centroids.tobytes() == fitted.cluster_centers_.tobytes()
    assert sklearn.labels.tolist() == fitted.labels_.tolist()


def test_fit_may_end_with_labels_of_centroids_that_are_not_the_nearest(bench: Bench) -> None:
    points, initial = np.array([[1.0], [6.0], [8.0], [1.0]]), [[4.0], [14.0], [5.0]]

    finished = bench.compare(points, 3, init=initial, engines=("sklearn",))

    (step,) = finished.steps
    assert step.labels is not None
    assert (step.labels.tolist(), step.centroids.ravel().tolist()) == ([0, 2, 2, 0], [1, 8, 6])
    assert step.labels.tolist() == _direct_fit(finished).labels_.tolist()
    assert [
        note
        for note in step.notes
        if note.startswith("1 of the points have labels of centroids that aren't the nearest")
    ]


@pytest.mark.parametrize("seed", seeds(20))
def test_a_mini_batch_run_equals_partial_fit(bench: Bench, seed: int) -> None:
    finished = bench.compare(_blobs(seed), 3, random_state=seed, engines=("sklearn-minibatch",), max_iter=10)

    assert finished.result.engines[0].centroids.tobytes() == _direct_mini_batch(finished).tobytes()


@pytest.mark.parametrize("seed", seeds(20))
def test_engines_that_lose_no_cluster_agree(bench: Bench, seed: int) -> None:
    result = bench.compare(_blobs(seed), 3, random_state=seed, engines=("scipy", "sklearn", "numba")).result

    assert all(agreement.points_that_differ == 0 for agreement in result.agreements)
    assert all(agreement.largest_difference < 1e-12 for agreement in result.agreements)
    assert all(engine.converged for engine in result.engines)


def test_a_comparison_emits_no_warnings(bench: Bench) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finished = bench.compare([[0.0], [0.0], [0.0]], 2, engines=ALL)

    assert finished.result.engines
