"""The kernels of the search for better centroids, against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.numba.partition import Partition
from shoal_server.engines.numba.search import NumbaSearch
from tests import naive
from tests.effort import examples
from tests.engines import naive_search
from tests.engines.builders import WIDTHS, row_counts
from tests.warm import warm_engine

DTYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]
DATA_TYPES = pytest.mark.parametrize("dtype", DTYPES, ids=str)
REACH = np.ones((1, NumbaSearch.candidates))
ENOUGH = 1 << 60  # multiplications


def partition_of(points: NDArray[Any], weights: NDArray[Any], centroids: NDArray[Any]) -> Partition:
    """Return a partition in which the nearest two of all points are known."""
    search = warm_engine().search
    partition = search.partition(points, weights, len(centroids))
    search.pack(partition, 0, len(partition.lanes))
    partition.centroids[...] = centroids
    search.find_nearest_two(partition, 0, len(partition.lanes))
    return partition


def check_nearest_two(partition: Partition) -> None:
    points, centroids = partition.points.astype(np.float64), partition.centroids.astype(np.float64)
    squares = naive.squared_distances(points, centroids)
    rounding = (points.shape[1] + 4) * float(np.finfo(partition.points.dtype).eps)
    ranks = min(len(centroids), 2)
    found = partition.squares[:ranks, : len(points)].astype(np.float64)
    np.testing.assert_allclose(found, np.sort(squares, axis=1)[:, :ranks].T, rtol=rounding)
    of_labels = np.take_along_axis(squares, partition.labels[:ranks, : len(points)].T.astype(np.intp), axis=1)
    np.testing.assert_allclose(of_labels.T, found, rtol=rounding)


@DATA_TYPES
@pytest.mark.parametrize("d", WIDTHS)
def test_the_nearest_two_of_every_point_are_found(dtype: Any, d: int) -> None:
    random = np.random.default_rng(d)
    for n in row_counts(dtype):
        for k in (1, 2, 3, 4, 5, 9):
            points, centroids = random.normal(size=(n, d)).astype(dtype), random.normal(size=(k, d)).astype(dtype)

            partition = partition_of(points, np.ones(n), centroids)

            check_nearest_two(partition)
            if k == 1:
                assert np.isinf(partition.squares[1]).all()
            else:
                assert (partition.labels[0] != partition.labels[1]).all()


@DATA_TYPES
def test_the_nearest_two_are_found_among_centroids_far_from_the_origin(dtype: Any) -> None:
    random = np.random.default_rng(0)
    groups = np.array([[-3e5, 3e5], [3e5, 2e5]])
    centroids = (groups[:, None] + random.normal(size=(2, 5, 2))).reshape(-1, 2).astype(dtype)
    points = (centroids[random.integers(10, size=300)] + random.normal(size=(300, 2))).astype(dtype)

    check_nearest_two(partition_of(points, np.ones(300), centroids))


def test_of_equally_near_centroids_the_first_is_the_nearest() -> None:
    partition = partition_of(np.zeros((3, 2), np.float32), np.ones(3), np.ones((6, 2)))

    np.testing.assert_array_equal(partition.labels[0], 0)
    np.testing.assert_array_equal(partition.labels[1], 1)


@DATA_TYPES
@pytest.mark.parametrize("d", [1, 3, 17])
def test_members_are_added_up(dtype: Any, d: int) -> None:
    random = np.random.default_rng(d)
    points, weights = random.normal(size=(150, d)).astype(dtype), random.exponential(size=150)
    partition = partition_of(points, weights, random.normal(size=(7, d)))
    counts, sums = np.zeros(7), np.zeros((7, d))
    search = warm_engine().search

    inertia = sum(search.add_members(partition, first, last, counts, sums) for first, last in ((0, 64), (64, 150)))

    expected, totals = naive.added(points.astype(np.float64), weights, partition.labels[0, :150], 7)
    np.testing.assert_allclose(counts, expected, rtol=1e-12)
    np.testing.assert_allclose(sums, totals, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(inertia, weights @ partition.squares[0, :150].astype(np.float64), rtol=1e-12)


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 5)),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
@examples(100)
def test_greedy_seeding_chooses_what_the_oracle_chooses(dtype: Any, shape: tuple[int, int], k: int, seed: int) -> None:
    # Whole numbers, and draws that are sums of powers of two: every sum is exact.
    random = np.random.default_rng(seed)
    points, weights = random.integers(-4, 5, shape).astype(dtype), random.integers(0, 4, shape[0]).astype(np.float64)
    weights[0] = 1
    draws = random.integers(0, 1024, (k, NumbaSearch.candidates)) / 1024
    search = warm_engine().search
    partition = search.partition(points, weights, k)
    search.pack(partition, 0, len(partition.lanes))
    chosen = np.empty(k, np.int64)

    search.seed(partition, draws, chosen, 0, k // 2)
    search.seed(partition, draws, chosen, k // 2, k)

    assert chosen.tolist() == naive_search.seeds(points.astype(np.float64), weights, draws)
    assert (weights[chosen] > 0).all()


@given(
    n=st.integers(2, 300),
    d=st.sampled_from([1, 2, 3, 8, 17]),
    k=st.integers(2, 30),
    reach=st.sampled_from([1.0, 0.25]),
    allowed=st.sampled_from([0.0, 0.5]),
    cosine=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@examples(200)
def test_a_swap_does_what_the_oracle_does(
    n: int, d: int, k: int, reach: float, allowed: float, cosine: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    points, weights = random.normal(size=(n, d)), random.exponential(size=n) * (random.random(n) < 0.9)
    weights[0] = 1.0
    centroids = random.normal(size=(k, d)) + 0.5
    if cosine:
        points, centroids = naive.unit(points), naive.unit(centroids)
    partition = partition_of(points, weights, centroids)
    draws = random.random((1, NumbaSearch.candidates))

    following, kept, _ = warm_engine().search.try_swaps(
        partition, draws, reach * REACH, 0, ENOUGH, allowed=allowed, cosine=cosine
    )

    expected = naive_search.after_swap(points, weights, centroids, draws[0], reach, allowed=allowed, cosine=cosine)
    assert (following, kept) == (1, expected is not None)
    np.testing.assert_allclose(partition.centroids, centroids if expected is None else expected, rtol=1e-8, atol=1e-8)
    check_nearest_two(partition)


@DATA_TYPES
@pytest.mark.parametrize(("k", "d"), [(2, 1), (9, 3), (70, 2), (40, 40)])
def test_swaps_lower_the_inertia_and_keep_the_partition_up_to_date(dtype: Any, k: int, d: int) -> None:
    random = np.random.default_rng(k)
    points, weights = random.normal(size=(1000, d)).astype(dtype), random.exponential(size=1000)
    partition = partition_of(points, weights, points[:k])
    before = inertia_of(partition)

    _, kept, _ = warm_engine().search.try_swaps(
        partition, random.random((60, NumbaSearch.candidates)), REACH, 0, ENOUGH, allowed=0.0, cosine=False
    )

    assert kept > 0
    assert inertia_of(partition) < before
    again = partition_of(points, weights, partition.centroids)
    np.testing.assert_array_equal(partition.squares[:, :1000], again.squares[:, :1000])
    np.testing.assert_array_equal(partition.labels[:, :1000], again.labels[:, :1000])


def test_swaps_stop_after_the_work_that_they_may_do_and_go_on_from_there() -> None:
    random = np.random.default_rng(0)
    points, draws = random.normal(size=(700, 3)), random.random((40, NumbaSearch.candidates))
    whole, parts = (partition_of(points, np.ones(700), points[:20]) for _ in range(2))
    search = warm_engine().search
    expected = search.try_swaps(whole, draws, REACH, 0, ENOUGH, allowed=0.1, cosine=False)
    following = kept = work = calls = 0

    while following < len(draws):
        following, more, done = search.try_swaps(parts, draws, REACH, following, 1 << 18, allowed=0.1, cosine=False)
        kept, work, calls = kept + more, work + done, calls + 1

    assert calls > 3
    assert (following, kept, work) == expected
    np.testing.assert_array_equal(parts.centroids, whole.centroids)


def test_points_that_all_lie_on_centroids_end_the_swaps() -> None:
    points = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    partition = partition_of(points, np.ones(15), np.concatenate([np.eye(3), np.ones((2, 3))]))
    draws = np.full((8, NumbaSearch.candidates), 0.5)

    following, kept, work = warm_engine().search.try_swaps(
        partition, draws, REACH, 0, ENOUGH, allowed=0.0, cosine=False
    )

    assert (following, kept, work) == (8, 0, 0)


def test_the_search_needs_compiled_kernels() -> None:
    with pytest.raises(RuntimeError, match="warm_up"):
        _ = NumbaEngine().search


def inertia_of(partition: Partition) -> float:
    return float(partition.weights @ partition.squares[0].astype(np.float64))
