"""Refinements of centroids to weighted points: how good they are, what they keep, and what they cost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_sample_image

from shoal_server.clustering import search
from shoal_server.clustering.refinement import DeepRefinement, expected_work, fit, refine
from shoal_server.clustering.refinement_schedule import Depth
from shoal_server.clustering.search import Refined
from shoal_server.engines.contract import Halted, RunTasks, Task, run_in_order, to_sphere
from tests import naive
from tests.effort import examples
from tests.warm import warm_engine

Array = NDArray[np.float64]
DEPTHS: list[Depth] = ["light", "deep"]
EACH_DEPTH = pytest.mark.parametrize("depth", DEPTHS)


def refined(
    points: NDArray[Any],
    centroids: NDArray[Any],
    weights: Array | None = None,
    *,
    depth: Depth = "deep",
    fresh: bool = False,
    seed: int = 0,
    cosine: bool = False,
    run: RunTasks = run_in_order,
) -> Refined:
    """Refine, and check what holds for every refinement."""
    weights = np.ones(len(points)) if weights is None else weights
    result = refine(
        points, weights, centroids.astype(np.float64), depth=depth, fresh=fresh, seed=[seed], cosine=cosine,
        kernels=warm_engine().search, run=run,
    )  # fmt: skip
    check(result, points, weights)
    assert result.work <= expected_work(len(points), len(centroids), points.shape[1], depth, fresh=fresh)
    return result


def fitted(points: NDArray[Any], k: int, weights: Array | None = None, *, seed: int = 0, n_starts: int = 1) -> Refined:
    weights = np.ones(len(points)) if weights is None else weights
    result = fit(
        points, weights, k, seed=[seed], cosine=False, kernels=warm_engine().search, run=run_in_order, n_starts=n_starts
    )
    check(result, points, weights)
    return result


def check(result: Refined, points: NDArray[Any], weights: Array) -> None:
    assert np.isfinite(result.centroids).all()
    np.testing.assert_allclose(result.weights.sum(), weights.sum(), rtol=1e-9)
    # Centroids are rounded to the precision of the points.
    rounding = (
        4 * float(np.finfo(points.dtype).eps) ** 2 * float(weights @ (points.astype(np.float64) ** 2).sum(axis=1))
    )
    np.testing.assert_allclose(result.inertia, inertia(points, result.centroids, weights), rtol=1e-4, atol=rounding)


def inertia(points: NDArray[Any], centroids: Array, weights: Array | None = None) -> float:
    weights = np.ones(len(points)) if weights is None else weights
    blocks = np.array_split(np.arange(len(points)), max(1, len(points) * centroids.size >> 20))
    squares = [naive.squared_distances(points[rows].astype(np.float64), centroids).min(axis=1) for rows in blocks]
    return float(weights @ np.concatenate(squares))


def blobs(k: int, d: int, n: int, apart: float, seed: int = 0) -> tuple[NDArray[np.float32], Array]:
    """Return points (n, d) around k centres, and the centres."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(k, d)) * apart
    points = centres[random.integers(k, size=n)] + random.normal(size=(n, d))
    return points.astype(np.float32), centres


def pixels(count: int) -> NDArray[np.float32]:
    image = load_sample_image("china.jpg").reshape(-1, 3).astype(np.float32)
    chosen = image[np.random.default_rng(0).permutation(len(image))[:count]]
    return np.ascontiguousarray(chosen - chosen.mean(axis=0))


@given(
    shape=st.tuples(st.integers(1, 80), st.integers(1, 6)),
    k=st.integers(1, 20),
    depth=st.sampled_from(DEPTHS),
    fresh=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
    levels=st.sampled_from([1, 2, 1000]),
    cosine=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@examples(200)
def test_a_refinement_is_never_worse_than_its_start(
    shape: tuple[int, int], k: int, depth: Depth, fresh: bool, dtype: Any, levels: int, cosine: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    points = (random.integers(1, levels + 1, shape) * random.choice([-1, 1], shape)).astype(dtype)
    weights = random.exponential(size=shape[0]) * 10.0 ** random.integers(-9, 9, shape[0])
    centroids = random.normal(size=(k, shape[1])) * levels
    if cosine:
        points, centroids = to_sphere(points.astype(np.float64)).astype(dtype), to_sphere(centroids)

    result = refined(points, centroids, weights, depth=depth, fresh=fresh, seed=seed, cosine=cosine)

    before = inertia(points, centroids, weights)
    assert result.inertia <= before * (1 + 1e-5)
    if cosine:
        np.testing.assert_allclose(np.linalg.norm(result.centroids, axis=1), 1, rtol=1e-6)


@EACH_DEPTH
def test_eight_blobs_are_found_from_equal_centroids(depth: Depth) -> None:
    points, centres = blobs(8, 2, 800, 40.0)
    points = np.concatenate([np.repeat(points[:1], 24, axis=0), points])

    result = refined(points, np.repeat(points[:1], 8, axis=0), depth=depth)

    assert nearest_apart(centres, result.centroids) < 1.0
    assert result.weights.min() > 50


def nearest_apart(centres: Array, centroids: Array) -> float:
    """Return how far the centre is that has no centroid near it."""
    return float(np.sqrt(naive.squared_distances(centres, centroids).min(axis=1).max()))


@pytest.mark.parametrize("seed", range(3))
def test_a_deep_refinement_is_as_good_as_the_best_of_ten_fits(seed: int) -> None:
    random = np.random.default_rng(seed)
    tables = [
        (load_digits().data.astype(np.float32), 10, None),
        (blobs(50, 8, 4000, 6.0)[0], 50, None),
        (pixels(4000), 32, None),
        (pixels(3000), 16, random.pareto(2, 3000) + 0.1),
    ]
    for points, k, weights in tables:
        best = KMeans(k, n_init=10, random_state=0).fit(points, sample_weight=weights)
        start = points[random.choice(len(points), k, replace=False)]

        result = refined(points, start, weights, fresh=True, seed=seed)

        assert result.inertia <= 1.01 * best.inertia_


def test_fits_of_other_numbers_of_clusters_are_as_good_as_the_best_of_ten() -> None:
    points = pixels(3000)
    for k in (1, 2, 7, 40):
        best = KMeans(k, n_init=10, random_state=0).fit(points)

        result = fitted(points, k, n_starts=2)

        assert result.inertia <= 1.01 * best.inertia_


@EACH_DEPTH
@pytest.mark.parametrize("k", [1, 5, 8])
def test_as_many_centroids_as_there_are_different_points_lie_on_them(depth: Depth, k: int) -> None:
    points = np.repeat(np.arange(10.0).reshape(5, 2), [1, 2, 3, 4, 90], axis=0)
    start = np.full((k, 2), 1000.0)

    for result in (refined(points, start, depth=depth), fitted(points, k)):
        if k == 1:
            np.testing.assert_allclose(result.centroids[0], points.mean(axis=0))
        else:
            assert result.inertia == 0
            assert set(map(tuple, result.centroids)) == set(map(tuple, points))


def test_points_of_no_weight_do_not_count() -> None:
    points, _ = blobs(5, 3, 300, 10.0)
    weights = np.ones(300)
    weights[100:] = 0
    start = points[200:205]

    result = refined(points, start, weights)

    assert result.weights.sum() == 100
    np.testing.assert_allclose(result.inertia, refined(points[:100].copy(), start).inertia, rtol=0.01)


def test_without_any_weight_the_centroids_stay() -> None:
    points, start = np.ones((4, 2), np.float32), np.arange(6.0).reshape(3, 2)

    result = refined(points, start, np.zeros(4))

    np.testing.assert_array_equal(result.centroids, start)
    assert (result.weights == 0).all()
    assert (result.inertia, result.work) == (0, 0)
    with pytest.raises(ValueError, match="weight"):
        fitted(points, 2, np.zeros(4))


@EACH_DEPTH
@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e-30), (np.float32, 1e17), (np.float64, 1e90)])
def test_the_unit_of_the_points_changes_nothing(depth: Depth, dtype: Any, scale: float) -> None:
    points, _ = blobs(6, 4, 400, 3.0)
    unit = 2.0 ** round(np.log2(scale))
    points = points.astype(dtype)
    one = refined(points, points[:9], depth=depth)

    other = refined(points * dtype(unit), points[:9] * dtype(unit), depth=depth)

    np.testing.assert_array_equal(other.centroids, one.centroids * unit)


def test_weights_may_be_of_any_size() -> None:
    points, _ = blobs(6, 4, 400, 3.0)
    one = refined(points, points[:6])

    for unit in (2.0**-900, 2.0**900):
        other = refined(points, points[:6], np.full(400, unit))

        np.testing.assert_array_equal(other.centroids, one.centroids)
        np.testing.assert_allclose(other.weights, one.weights * unit)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clusters_side_by_side_are_told_apart_though_others_are_far_away(dtype: Any) -> None:
    random = np.random.default_rng(0)
    near = np.array([[0.0, 0], [40, 0], [0, 40], [40, 40]])
    centres = np.concatenate([near + 1e5, near - 1e5])
    points = (np.repeat(centres, 60, axis=0) + random.normal(size=(480, 2))).astype(dtype)

    result = refined(points, points[:8])

    assert nearest_apart(centres, result.centroids) < 1.0


@EACH_DEPTH
def test_centroids_that_only_move_keep_their_places(depth: Depth) -> None:
    points, centres = blobs(20, 3, 2000, 30.0)
    start = centres + np.random.default_rng(1).normal(size=centres.shape)

    result = refined(points, start, depth=depth)

    assert np.linalg.norm(result.centroids - centres, axis=1).max() < 1.0


def test_a_swapped_centroid_takes_the_place_of_the_one_that_it_replaces() -> None:
    points, centres = blobs(10, 2, 1000, 40.0)
    start = centres.copy()
    start[7] = centres[2] + 0.5

    result = refined(points, start, depth="light")

    moved = np.linalg.norm(result.centroids - centres, axis=1) > 1.0
    assert nearest_apart(centres, result.centroids) < 1.0
    assert np.count_nonzero(moved) <= 2  # the one that served two clusters may have gone to the other


@EACH_DEPTH
def test_under_cosine_a_mean_without_a_direction_stays(depth: Depth) -> None:
    points = np.array([[1.0, 0], [-1, 0]])

    result = refined(points, np.array([[0.0, 1.0]]), depth=depth, cosine=True)

    np.testing.assert_array_equal(result.centroids, [[0, 1]])


@EACH_DEPTH
def test_under_cosine_centroids_have_length_1_though_directions_cancel_out(depth: Depth) -> None:
    points = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])
    for k in (1, 2, 3):
        for seed in range(20):
            start = to_sphere(np.random.default_rng(seed).normal(size=(k, 2)))

            result = refined(points, start, depth=depth, fresh=True, seed=seed, cosine=True)

            np.testing.assert_allclose(np.linalg.norm(result.centroids, axis=1), 1)


@EACH_DEPTH
@pytest.mark.parametrize("fresh", [False, True])
def test_a_refinement_is_the_same_whatever_the_pieces(
    depth: Depth, fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, start = pixels(1500), pixels(30)
    whole = refined(points, start, depth=depth, fresh=fresh)
    pieces = Counting()

    monkeypatch.setattr(search, "PIECE_WORK", 1 << 16)
    cut = refined(points, start, depth=depth, fresh=fresh, run=pieces)

    assert pieces.count > 100
    np.testing.assert_array_equal(cut.centroids, whole.centroids)
    np.testing.assert_array_equal(cut.weights, whole.weights)
    assert cut.work == whole.work


def test_another_seed_draws_other_swaps() -> None:
    points, start = pixels(1500), pixels(30)

    one, other = (refined(points, start, seed=seed).centroids for seed in (0, 1))

    assert (one != other).any()


@EACH_DEPTH
def test_a_refinement_is_given_up_between_two_pieces(depth: Depth) -> None:
    points, start = pixels(1500), pixels(30)

    with pytest.raises(Halted):
        refined(points, start, depth=depth, run=halting)


def test_pieces_are_short() -> None:
    points, start = pixels(5000), pixels(64)
    pieces = Counting()

    result = refined(points, start, run=pieces)

    assert result.work / pieces.count < search.PIECE_WORK


class Counting:
    """Runs tasks in order, and counts their pieces."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, task: Task, count: int) -> None:
        for index in range(count):
            for _ in task(index) or ():
                self.count += 1


def halting(task: Task, _: int) -> None:
    pieces: Iterable[None] = task(0) or ()
    if len(list(islice(pieces, 3))) == 3:
        raise Halted


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("scale", [1.0, 2.0**40])
def test_a_deep_refinement_bit_by_bit_finds_what_one_at_once_finds(scale: float, cosine: bool) -> None:
    points, centres = blobs(20, 3, 4_000, 4.0)
    points, centres = points * np.float32(scale), centres * scale
    if cosine:
        points, centres = to_sphere(points.astype(np.float64)).astype(np.float32), to_sphere(centres)
    weights, halts = np.ones(len(points)), iter([False, True, False] * 1000)

    def halting(task: Task, count: int) -> None:
        for index in range(count):
            for _ in task(index) or ():
                if next(halts):
                    raise Halted

    at_once = refined(points, centres, fresh=True, cosine=cosine)
    deep = DeepRefinement(
        points, weights, centres, fresh=True, seed=[0], cosine=cosine, kernels=warm_engine().search
    )  # fmt: skip
    pieces, calls = 0, 0
    while deep.refined is None:
        pieces, calls = pieces + 2, calls + 1
        with suppress(Halted):
            deep.advance(pieces, halting)

    assert calls > 5
    assert deep.refined.work == at_once.work
    np.testing.assert_array_equal(deep.refined.centroids, at_once.centroids)
    assert deep.refined.inertia == at_once.inertia


def test_a_deep_refinement_keeps_no_copy_of_its_points_between_two_calls() -> None:
    points, centres = blobs(20, 64, 10_000, 4.0)
    weights, kernels = np.ones(len(points)), warm_engine().search
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        deep = DeepRefinement(points, weights, centres, fresh=True, seed=[0], cosine=False, kernels=kernels)
        for pieces in range(2, 12, 2):
            deep.advance(pieces, run_in_order)
            kept = tracemalloc.get_traced_memory()[0] - before
            assert kept < points.nbytes / 4
    finally:
        tracemalloc.stop()

    assert deep.refined is None
