"""Key moments: when they appear, and that the libraries do what they claim."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans, kmeans2, vq
from sklearn.cluster import KMeans, MiniBatchKMeans

from shoal_presentation.views import Run, key_moments
from tests.compare.comparing import GIVEN, SIX_POINTS
from tests.views.builders import FAR_AWAY, FEW, Compare, blobs

X, START = np.array(SIX_POINTS, float), np.array(GIVEN, float)
EMPTY_X, EMPTY_START = np.array(FEW), np.array(FAR_AWAY)
UNSETTLED = ([[1.0], [6.0], [8.0], [1.0]], [[4.0], [14.0], [5.0]])  # fit ends with labels that aren't the nearest


def _told(run: Run, question: str) -> str:
    (text,) = [moment.explanation for moment in key_moments(run) if question in moment.question]
    return text


def _questions(run: Run) -> str:
    return "\n".join(moment.question for moment in key_moments(run))


# What the libraries do


def test_kmeans_returns_centroids_and_a_distortion_and_vq_labels_and_distances() -> None:
    centroids, distortion = kmeans(X, START)
    labels, distances = vq(X, centroids)

    assert (centroids.shape, np.ndim(distortion)) == ((2, 2), 0)
    assert labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert distances.tolist() == np.linalg.norm(X - centroids[labels], axis=1).tolist()


def test_vq_encodes_other_points_and_moves_no_centroid() -> None:
    centroids, _ = kmeans(X, START)
    before = centroids.copy()

    labels, _ = vq(np.array([[9.0, 9.0]]), centroids)

    assert labels.tolist() == [0]
    assert centroids.tolist() == before.tolist()


def test_the_labels_of_kmeans2_are_those_before_its_last_update() -> None:
    points = np.array([[0.0], [4.0], [6.0], [20.0]])
    start = np.array([[0.0], [7.0]])

    centroids, labels = kmeans2(points, start, iter=1, minit="matrix")

    assert labels.tolist() == vq(points, start)[0].tolist() == [0, 1, 1, 1]
    assert vq(points, centroids)[0].tolist() != labels.tolist()


def test_fit_returns_a_model_with_all_results_that_can_predict() -> None:
    model = KMeans(2, init=START, n_init=1)

    assert model.fit(X) is model
    assert (model.cluster_centers_.tolist(), model.labels_.tolist()) == ([[10, 2], [1, 2]], [1, 1, 1, 0, 0, 0])
    assert (model.inertia_, model.n_iter_) == (16, 2)
    assert model.predict([[9.0, 9.0]]).tolist() == [0]


def test_kmeans_from_another_start_may_end_in_other_clusters() -> None:
    points = blobs(0)

    inertias = {round(KMeans(5, init="random", n_init=1, random_state=seed).fit(points).inertia_) for seed in range(9)}

    assert len(inertias) > 1


def test_the_libraries_draw_different_numbers_from_one_seed() -> None:
    points = blobs(0)

    def ends(seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
        one, _ = kmeans2(points, 3, iter=1, minit="++", rng=seed)
        model = KMeans(3, init="k-means++", n_init=1, max_iter=1, random_state=seed).fit(points)
        return one, model.cluster_centers_

    assert any(not np.allclose(*ends(seed)) for seed in range(5))


def test_libraries_with_their_own_stopping_rules_make_different_numbers_of_iterations() -> None:
    points, start = blobs(0), blobs(0)[:4]

    lengths = [KMeans(4, init=start, n_init=1, tol=tol).fit(points).n_iter_ for tol in (0, 1e-1)]

    assert lengths[0] > lengths[1]


def test_the_tol_of_scikit_learn_is_relative_and_the_thresh_of_scipy_absolute() -> None:
    points, start = blobs(1, n=400), blobs(1, n=400)[:6]
    thresh = 0.02

    iterations = [KMeans(6, init=start * unit, n_init=1, tol=0.01).fit(points * unit).n_iter_ for unit in (1, 1000)]
    coarse, fine = (kmeans(points * unit, start * unit, thresh=thresh)[0] / unit for unit in (1, 1000))
    settled = kmeans(points * 1000, start * 1000, thresh=0)[0] / 1000

    assert iterations[0] == iterations[1]
    assert not np.allclose(coarse, fine, atol=1e-3)
    assert np.linalg.norm(fine - settled) < np.linalg.norm(coarse - settled)


def test_scikit_learn_compares_the_squared_movements_with_tol_times_the_mean_variance() -> None:
    points, start = blobs(1, n=400), blobs(1, n=400)[:6]
    first = KMeans(6, init=start, n_init=1, max_iter=1, tol=0).fit(points).cluster_centers_
    moved = ((first - start) ** 2).sum() / points.var(axis=0).mean()

    lengths = [KMeans(6, init=start, n_init=1, tol=moved * times).fit(points).n_iter_ for times in (0.999, 1.001)]

    assert lengths[0] > 1
    assert lengths[1] == 1


def test_kmeans_stops_by_the_change_of_the_mean_distance() -> None:
    points, start = blobs(1, n=400), blobs(1, n=400)[:6]
    before = vq(points, start)[1].mean()
    once = kmeans2(points, start, iter=1, minit="matrix")[0]
    twice = kmeans2(points, start, iter=2, minit="matrix")[0]
    change = abs(vq(points, once)[1].mean() - before)

    centroids, _ = kmeans(points, start, thresh=change * 1.001)

    assert centroids.tolist() == twice.tolist()
    assert kmeans(points, start, thresh=change * 0.999)[0].tolist() != twice.tolist()


def test_distortion_is_a_mean_of_distances_and_inertia_a_sum_of_squares() -> None:
    _, distortion = kmeans(X, START)
    distances = vq(X, np.array([[10.0, 2.0], [1.0, 2.0]]))[1]

    assert distortion == distances.mean()
    assert KMeans(2, init=START, n_init=1).fit(X).inertia_ == (distances**2).sum()


def test_inertia_never_rises_but_the_mean_distance_may(compare: Compare) -> None:
    rises = 0
    for seed in range(40):
        run = compare(blobs(seed) ** 3, 3, init="random", engines=("scipy-kmeans2",), random_state=seed)
        measured = [step for step in run.steps if step.inertia is not None]
        inertias = [step.inertia or 0.0 for step in measured]
        assert all(later <= sooner * (1 + 1e-12) for sooner, later in pairwise(inertias))
        rises += bool((np.diff([step.distortion or 0.0 for step in measured]) > 1e-9).any())

    assert rises > 0


def test_libraries_draw_nothing_when_the_start_is_given() -> None:
    points, start = blobs(2), blobs(2)[:3]

    models = [KMeans(3, init=start, n_init=1, random_state=seed) for seed in (0, 1)]
    fits = {model.fit(points).cluster_centers_.tobytes() for model in models}
    codebooks = {kmeans(points, start, rng=seed)[0].tobytes() for seed in (0, 1)}
    others = {kmeans2(points, start, minit="matrix", rng=seed)[0].tobytes() for seed in (0, 1)}

    assert [len(fits), len(codebooks), len(others)] == [1, 1, 1]


def test_random_state_repeats_the_same_draws() -> None:
    points = blobs(2)

    fits = {KMeans(3, n_init=1, random_state=7).fit(points).cluster_centers_.tobytes() for _ in range(3)}
    codebooks = {kmeans(points, 3, rng=7)[0].tobytes() for _ in range(3)}

    assert [len(fits), len(codebooks)] == [1, 1]


def test_partial_fit_may_move_a_centroid_with_few_points_at_random() -> None:
    def end(seed: int) -> bytes:
        model = MiniBatchKMeans(3, init=EMPTY_START, n_init=1, random_state=seed)
        return bytes(model.partial_fit(EMPTY_X).cluster_centers_.tobytes())

    assert len({end(seed) for seed in range(8)}) > 1


def test_a_centroid_of_partial_fit_is_the_mean_of_all_points_it_was_given() -> None:
    model = MiniBatchKMeans(1, init=np.array([[0.0]]), n_init=1)

    model.partial_fit(np.array([[1.0], [3.0]])).partial_fit(np.array([[8.0]]))

    assert model.cluster_centers_.tolist() == [[4.0]]


def test_kmeans_drops_an_empty_cluster_kmeans2_leaves_it_and_scikit_learn_moves_it() -> None:
    dropped, _ = kmeans(EMPTY_X, EMPTY_START)
    with pytest.warns(UserWarning, match="empty"):
        left, _ = kmeans2(EMPTY_X, EMPTY_START, minit="matrix")
    moved = KMeans(3, init=EMPTY_START, n_init=1).fit(EMPTY_X)

    assert len(dropped) == 2
    assert left[2].tolist() == EMPTY_START[2].tolist()
    assert sorted(set(moved.labels_.tolist())) == [0, 1, 2]


def test_kmeans2_raises_on_an_empty_cluster_with_missing_raise() -> None:
    with pytest.raises(Exception, match="empty"):
        kmeans2(EMPTY_X, EMPTY_START, minit="matrix", missing="raise")


def test_scikit_learn_moves_an_empty_cluster_to_the_point_that_is_farthest_from_its_centroid() -> None:
    points, start = np.array([[0.0], [1.0], [10.0]]), np.array([[0.0], [900.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one iteration isn't enough
        model = KMeans(2, init=start, n_init=1, max_iter=1).fit(points)

    assert sorted(model.cluster_centers_.ravel().tolist()) == [0.5, 10.0]


def test_the_distortion_of_kmeans_may_belong_to_another_codebook() -> None:
    points, start = blobs(0), blobs(0)[:4]

    centroids, distortion = kmeans(points, start, thresh=0.5)

    assert abs(distortion - vq(points, centroids)[1].mean()) > 1e-3


def test_the_distortion_of_kmeans_belongs_to_its_codebook_when_nothing_moved() -> None:
    for seed in range(20):
        points = blobs(seed)
        centroids, distortion = kmeans(points, points[:3], thresh=0)
        assert distortion == pytest.approx(vq(points, centroids)[1].mean(), rel=1e-12)


def test_predict_returns_the_nearest_labels_when_fit_does_not() -> None:
    points, start = (np.array(values) for values in UNSETTLED)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its labels only two clusters have any
        model = KMeans(3, init=start, n_init=1, tol=0).fit(points)

    nearest = np.abs(points - model.cluster_centers_.T).argmin(axis=1)
    assert model.labels_.tolist() != nearest.tolist()
    assert model.predict(points).tolist() == nearest.tolist()


# When they appear


def test_key_moments_answer_the_three_beginner_questions(six: Run) -> None:
    questions = _questions(six)

    assert "Why does SciPy take two functions" in questions
    assert "Why may the centroids of two libraries differ" in questions
    assert "Why is one call enough with scikit-learn?" in questions


def test_key_moments_leave_out_libraries_that_are_not_in_the_run(compare: Compare) -> None:
    questions = _questions(compare(engines=("numba",)))

    assert "SciPy" not in questions
    assert "scikit-learn" not in questions
    assert "What is the engine called Shoal?" in questions


def test_key_moments_leave_out_events_that_did_not_happen(six: Run) -> None:
    assert "no point is nearest" not in _questions(six)
    assert "finished" not in _questions(six)
    assert "disagree" not in _questions(six)


def test_key_moments_explain_an_empty_cluster(compare: Compare) -> None:
    run = compare(FEW, 3, init=FAR_AWAY, engines=("scipy", "sklearn"))

    assert "kmeans drops the centroid" in _told(run, "no point is nearest to")
    assert "disagree" in _questions(run)
    (agreement,) = run.result.agreements
    assert f"disagree on {agreement.points_that_differ} point" in _questions(run)


def test_key_moments_explain_labels_that_are_not_the_nearest(compare: Compare) -> None:
    run = compare(UNSETTLED[0], 3, init=UNSETTLED[1], engines=("sklearn",))

    assert "predict on the same points" in _told(run, "not name the nearest")


def test_key_moments_name_an_engine_stopped_by_max_iter(compare: Compare) -> None:
    run = compare(blobs(0), 4, init="random", engines=("scipy", "sklearn"), max_iter=1)

    assert "SciPy and scikit-learn reached max_iter = 1, and" in _told(run, "finished")


def test_key_moments_have_the_figures_of_the_run(six: Run, compare: Compare) -> None:
    assert "In this run matched centroids are the same to the last digit." in _told(six, "differ a little")
    assert f"which is {six.start.points.var(axis=0).mean():.6g} here" in _told(six, "tolerance")
    assert "both are 1.33333" in _told(six, "distortion that kmeans returns")
    assert "the start was given" in _told(six, "random_state")
    drawn = compare(init="k-means++", random_state=9, engines=("scipy", "sklearn"))
    assert "random_state 9 drew the start" in _told(drawn, "random_state")


def test_key_moments_show_both_distortions_when_they_differ(compare: Compare) -> None:
    run = compare(blobs(4), 4, init="random", engines=("scipy",), tol=1.0)

    (figure,) = run.steps[-1].own_figures
    text = _told(run, "distortion that kmeans returns")
    assert f"has {run.steps[-1].distortion:.6g}, and kmeans says {figure.value:.6g}." in text
