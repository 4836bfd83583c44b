"""The choice of initial centroids equals scikit-learn's, and is made in pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus as sklearn_kmeans_plusplus

from shoal_server.clustering import initialisation as module
from shoal_server.clustering.initialisation import MAX_SHUFFLED, draw_rows, initial_rows, kmeans_plusplus
from shoal_server.engines.contract import Float64Array, Halted, Task, run_in_order


def drawn(rows: int, columns: int, seed: int = 0) -> tuple[Float64Array, Float64Array]:
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, columns)), random.exponential(size=rows)


def sklearns(points: Float64Array, weight: Float64Array, n_clusters: int) -> NDArray[np.intp]:
    _, chosen = sklearn_kmeans_plusplus(points, n_clusters, sample_weight=weight, random_state=np.random.RandomState(3))
    return np.asarray(chosen, dtype=np.intp)


@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 1000), st.data())
def test_kmeans_plusplus_chooses_the_points_that_scikit_learn_chooses(
    rows: int, columns: int, seed: int, data: st.DataObject
) -> None:
    points, weight = drawn(rows, columns, seed)
    n_clusters = data.draw(st.integers(1, rows))

    chosen = kmeans_plusplus(points, weight, n_clusters, np.random.RandomState(3), run_in_order)

    np.testing.assert_array_equal(chosen, sklearns(points, weight, n_clusters))


def test_kmeans_plusplus_chooses_the_points_that_scikit_learn_chooses_from_many() -> None:
    points, weight = drawn(3072, 16)

    chosen = kmeans_plusplus(points, weight, 1024, np.random.RandomState(3), run_in_order)

    np.testing.assert_array_equal(chosen, sklearns(points, weight, 1024))


def test_kmeans_plusplus_chooses_the_same_points_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    points, weight = drawn(1000, 3)
    expected = sklearns(points, weight, 50)
    monkeypatch.setattr(module, "BLOCK_VALUES", 500)

    chosen = kmeans_plusplus(points, weight, 50, np.random.RandomState(3), run_in_order)

    np.testing.assert_array_equal(chosen, expected)


def test_kmeans_plusplus_stops_between_two_centroids() -> None:
    points, weight = drawn(100, 2)
    pieces = 0

    def run_a_few(task: Task, _: int) -> None:
        nonlocal pieces
        for _piece in task(0) or ():
            pieces += 1
            if pieces == 5:
                raise Halted

    with pytest.raises(Halted):
        initial_rows(points, weight, 50, "k-means++", 100, 0, run_a_few)

    assert pieces == 5


@pytest.mark.parametrize("count", [1, 1000, MAX_SHUFFLED // 2, MAX_SHUFFLED, MAX_SHUFFLED + 1])
def test_drawn_rows_are_distinct_and_as_many_as_requested(count: int) -> None:
    rows = draw_rows(np.random.RandomState(0), MAX_SHUFFLED + 1, count)

    assert len(np.unique(rows)) == len(rows) == count
    assert rows.min() >= 0
    assert rows.max() <= MAX_SHUFFLED


@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_rows_are_drawn_equally_often_from_each_part_of_very_many(share: float) -> None:
    rows = 10 * MAX_SHUFFLED
    count = int(share * rows)

    drawn_rows = draw_rows(np.random.RandomState(1), rows, count)

    parts = np.bincount(drawn_rows // MAX_SHUFFLED, minlength=10) / count
    np.testing.assert_allclose(parts, 0.1, atol=0.005)
