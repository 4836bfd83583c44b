"""Which cluster is which after the centroids have been fitted anew."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from shoal_server.clustering.events import MAX_LISTED, MAX_SINGLE_EVENTS, cluster_events
from shoal_server.clustering.identity import MAX_EXACT, Change, Succession, match, overlaps, succeed
from shoal_server.engines.contract import Halted, run_in_order


def after(table: Any, ids: Any = None, ids_given: int = 100) -> Succession:
    """Return what becomes of old clusters, the rows of a table, that share its weights with new ones, its columns."""
    weights = np.asarray(table, np.float64)
    old, new = (labels.ravel().astype(np.int32) for labels in np.indices(weights.shape))
    k_before, k_after = weights.shape
    known = np.arange(k_before) if ids is None else np.asarray(ids)
    return succeed(known, ids_given, old, new, weights.ravel(), k_after, run_in_order)


def shared_weight(table: NDArray[np.float64]) -> float:
    """Return how much weight the matched pairs of a table share."""
    old, new = (labels.ravel().astype(np.int32) for labels in np.indices(table.shape))
    partners = result(match(result(overlaps(old, new, table.ravel() / table.max(), *table.shape))))
    matched = partners >= 0
    assert len(set(partners[matched])) == matched.sum()
    return float(table[matched, partners[matched]].sum())


def result(steps: Generator[None, None, Any]) -> Any:
    """Return what is computed in steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def best_weight(table: NDArray[np.float64]) -> float:
    return float(table[linear_sum_assignment(table, maximize=True)].sum())


def random_table(seed: int, size: int, filled: float) -> NDArray[np.float64]:
    """Return weights of which some share is above 0, and few are much larger than the others."""
    random = np.random.default_rng(seed)
    weights = random.pareto(0.7, (size, size)) * (random.random((size, size)) < filled)
    weights[0, 0] = 1.0
    return weights


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12), st.floats(0.02, 1.0))
def test_old_and_new_clusters_are_matched_as_well_as_can_be(seed: int, size: int, filled: float) -> None:
    table = random_table(seed, size, filled)

    assert shared_weight(table) == pytest.approx(best_weight(table), rel=1e-9)


def test_many_tangled_clusters_are_matched_half_as_well_at_least() -> None:
    table = 1 + random_table(0, MAX_EXACT + 50, 1.0)

    assert best_weight(table) / 2 <= shared_weight(table) <= best_weight(table)


@pytest.mark.parametrize("k", [1, 5, 300])
def test_clusters_that_only_change_their_labels_get_their_places_back(k: int) -> None:
    places = np.random.default_rng(0).permutation(k)
    table = np.zeros((k, k))
    table[np.arange(k), places] = np.random.default_rng(1).exponential(size=k)

    succession = after(table, ids=10 + np.arange(k))

    assert succession.order.tolist() == places.tolist()
    assert succession.ids.tolist() == list(range(10, 10 + k))
    assert (succession.ids_given, succession.changes) == (100, [])


def test_a_cluster_that_is_split_in_two_lives_on_as_the_larger_part() -> None:
    # The third cluster joins the second, and the first becomes two.
    succession = after([[40, 0, 60], [0, 50, 0], [0, 20, 0]])

    assert succession.ids.tolist() == [0, 1, 100]
    assert succession.order.tolist() == [2, 1, 0]
    assert succession.changes == [Change("split", 100, 0), Change("merged", 2, 1)]


def test_a_cluster_that_scatters_is_retired_and_one_of_many_parts_is_born() -> None:
    succession = after([[20, 0, 0, 5], [0, 20, 0, 5], [0, 0, 20, 5], [5, 5, 5, 0]])

    assert succession.ids.tolist() == [0, 1, 2, 100]
    assert succession.changes == [Change("born", 100, None), Change("retired", 3, None)]


def test_a_cluster_without_weight_whose_centroid_is_moved_is_reseeded() -> None:
    succession = after([[60, 40], [0, 0]])

    assert succession.ids.tolist() == [0, 100]
    assert succession.changes == [Change("split", 100, 0), Change("reseeded", 1, 100)]


def test_a_cluster_of_a_thousandth_of_the_weight_is_not_called_starving() -> None:
    succession = after([[599, 400], [1, 0]])

    assert succession.changes == [Change("split", 100, 0), Change("merged", 1, 0)]


def test_clusters_without_weight_that_stay_so_keep_their_ids_and_places() -> None:
    # Four clusters without weight; the one in the middle gets some.
    succession = after([[9, 0, 0, 6, 0], *np.zeros((4, 5))])

    assert succession.ids.tolist() == [0, 1, 2, 100, 4]
    assert succession.order.tolist() == [0, 1, 2, 3, 4]
    assert succession.changes == [Change("split", 100, 0), Change("reseeded", 3, 100)]


def test_a_cluster_lives_on_that_shrinks_to_a_quarter_or_grows_fourfold_and_no_further() -> None:
    assert after([[25, 75, 0], [0, 300, 0]]).ids.tolist() == [0, 1, 100]
    assert after([[24, 76, 0], [0, 300, 0]]).ids.tolist() == [100, 1, 101]
    assert after([[25, 0], [75, 900]]).ids.tolist() == [0, 1]
    assert after([[24, 0], [76, 900]]).ids.tolist() == [100, 1]


def test_more_and_fewer_clusters_keep_the_ids_of_the_others() -> None:
    more = after([[30, 0, 20, 0], [0, 40, 0, 9]])
    fewer = after([[30, 0], [0, 1], [0, 40]])

    assert more.ids.tolist() == [0, 1, 100, 101]
    assert more.changes == [Change("split", 100, 0), Change("split", 101, 1)]
    assert fewer.ids.tolist() == [0, 2]
    assert fewer.changes == [Change("merged", 1, 2)]


def test_ids_are_never_used_again() -> None:
    one = after([[60, 40], [0, 0]], ids=[0, 1], ids_given=2)
    other = after([[60, 40], [0, 0]], ids=one.ids, ids_given=one.ids_given)

    assert one.ids.tolist() == [0, 2]
    assert other.ids.tolist() == [0, 3]


def test_weights_of_any_scale_are_compared() -> None:
    table = np.array([[40, 0, 60], [0, 50, 0], [0, 20, 0]])

    for scale in (1e-300, 1e300):
        assert after(table * scale).changes == after(table).changes


@pytest.mark.parametrize(("k_before", "k_after"), [(1, 1), (3, 5), (400, 300), (70_000, 2)])
def test_the_weight_that_clusters_share_is_added_up_over_many_pieces(k_before: int, k_after: int) -> None:
    random, m = np.random.default_rng(0), 100_000
    old, new = random.integers(k_before, size=m).astype(np.int32), random.integers(k_after, size=m).astype(np.int32)
    weights = random.exponential(size=m) * (random.random(m) < 0.9)

    shared = result(overlaps(old, new, weights, k_before, k_after))

    table = np.zeros((k_before, k_after))
    np.add.at(table, (old, new), weights / weights.max())
    np.testing.assert_array_equal(np.stack([shared.old, shared.new]), np.nonzero(table))
    np.testing.assert_allclose(shared.weight, table[table > 0], rtol=1e-12)
    np.testing.assert_allclose(shared.old_weight, table.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(shared.new_weight, table.sum(axis=0), rtol=1e-12)


def test_the_shared_weight_of_many_points_is_found_without_a_look_at_all_of_them_in_each_piece() -> None:
    looked_at = 0

    class Counted(np.ndarray[Any, Any]):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
            nonlocal looked_at
            looked_at += self.size
            plain = [np.asarray(each) if isinstance(each, Counted) else each for each in inputs]
            return getattr(ufunc, method)(*plain, **options)

    m = 1 << 19
    labels = np.random.default_rng(0).integers(16, size=m).astype(np.int32)

    shared = result(overlaps(labels.view(Counted), labels.view(Counted), np.ones(m), 16, 16))

    assert len(shared.old) == 16
    assert 0 < looked_at < 10 * m


def test_matching_many_clusters_lets_others_go_first() -> None:
    pauses = 0

    def run(task: Any, count: int) -> None:
        nonlocal pauses
        for index in range(count):
            for _ in task(index):
                pauses += 1
                if pauses > 8:
                    raise Halted

    k = 4 * MAX_EXACT
    random = np.random.default_rng(0)
    old, new = random.integers(0, k, (2, 50 * k)).astype(np.int32)

    with pytest.raises(Halted):
        succeed(np.arange(k), k, old, new, np.ones(50 * k), k, run)


def test_very_many_changes_are_told_in_one_event_of_each_kind() -> None:
    changes = [Change("split", number, 1) for number in range(MAX_SINGLE_EVENTS)]
    changes += [Change("retired", number, None) for number in range(5)]

    split, retired = cluster_events(Succession(np.arange(1), np.arange(1), 1, changes))

    assert (split.kind, split.cluster_count, split.other) == ("split", MAX_SINGLE_EVENTS, None)
    assert split.clusters == tuple(range(MAX_LISTED))
    assert (retired.kind, retired.cluster_count, retired.clusters) == ("retired", 5, (0, 1, 2, 3, 4))
