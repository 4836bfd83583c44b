"""Pruning by bounds changes no bit; and when it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.engines.contract import Frame, FusedBatches, Halted, Task, run_in_order, to_sphere
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.numba.layout import NO_AXES
from shoal_server.engines.numba.pruning_policy import SAMPLE_ROWS, PruningPolicy, best_axes, sample_rows
from tests import naive
from tests.engines.builders import both_ways, bounded, check, frame_of

DTYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]
AXES = pytest.mark.parametrize("axes", [4, 12, 32])  # fewer than a group's rows, and more
DATA_TYPES = pytest.mark.parametrize("dtype", DTYPES, ids=str)
K, D = 70, 48


def _decaying(rows: int, seed: int, d: int = D) -> naive.Array:
    """Return rows (n, d) of a spectrum that decays, as that of images does."""
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(np.random.default_rng(99).normal(size=(d, d)))
    turned: naive.Array = (random.normal(size=(rows, d)) / np.arange(1, d + 1) ** 1.5) @ turn
    return turned


def _cases(name: str, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return rows (n, d) and centroids (k, d)."""
    random = np.random.default_rng(3)
    points: NDArray[Any] = _decaying(n, 1)
    centroids: NDArray[Any] = _decaying(K, 2)
    if name == "duplicates":
        centroids[1::2] = centroids[::2]
        points = centroids[random.integers(0, K, n)]
    if name == "ties":
        points, centroids = random.integers(-1, 2, (n, D)), random.integers(-1, 2, (K, D))
    if name == "zeros":
        points[::2] = 0
        centroids[5:9] = 0
    if name == "all equal":
        points[:], centroids[:] = points[0], centroids[0]
    if name == "low rank":
        centroids = centroids[:, :2] @ random.normal(size=(2, D))
        points = (centroids[random.integers(0, K, n)] + centroids[random.integers(0, K, n)]) / 2
    if name == "far apart":
        centroids = 1e3 * _decaying(K // 2, 5).repeat(2, axis=0) + 1e-3 * centroids
        points = centroids[random.integers(0, K, n)] + 1e-3 * points
    if name == "isotropic":
        points, centroids = random.normal(size=(n, D)), random.normal(size=(K, D))
    return points, centroids


@pytest.mark.parametrize(
    "name", ["decaying", "duplicates", "ties", "zeros", "all equal", "low rank", "far apart", "isotropic"]
)
@pytest.mark.parametrize("weighted", [False, True])
@AXES
@DATA_TYPES
def test_bounds_change_no_bit_of_labels_or_sums(
    engine: NumbaEngine, name: str, weighted: bool, axes: int, dtype: Any
) -> None:
    rows, centroids = _cases(name, 333)
    points: NDArray[Any] = rows.astype(dtype)
    weight = np.random.default_rng(0).exponential(size=333) if weighted else None
    plain = frame_of(centroids.astype(dtype))
    other = bounded(plain, axes)

    contribution, assignment = both_ways(engine, points, weight, plain)
    by_bounds, assigned = both_ways(engine, points, weight, other)

    check(by_bounds, assigned, points, weight, other)
    np.testing.assert_array_equal(by_bounds.labels, contribution.labels)
    np.testing.assert_array_equal(by_bounds.sums, contribution.sums)
    np.testing.assert_array_equal(by_bounds.counts, contribution.counts)
    assert by_bounds.inertia == contribution.inertia
    np.testing.assert_array_equal(assigned.distances, assignment.distances)


@DATA_TYPES
def test_bounds_of_very_many_axes_change_no_bit(engine: NumbaEngine, dtype: Any) -> None:
    points, plain = _decaying(333, 1, 160).astype(dtype), frame_of(_decaying(K, 2, 160).astype(dtype))

    contribution, _ = both_ways(engine, points, None, plain)
    by_bounds, _ = both_ways(engine, points, None, bounded(plain, 144))

    np.testing.assert_array_equal(by_bounds.labels, contribution.labels)
    np.testing.assert_array_equal(by_bounds.sums, contribution.sums)


@AXES
@DATA_TYPES
def test_bounds_change_no_bit_under_cosine(engine: NumbaEngine, axes: int, dtype: Any) -> None:
    random = np.random.default_rng(0)
    points = (_decaying(333, 1) * 10.0 ** random.uniform(-30, 15, (333, 1))).astype(dtype)
    plain = frame_of(to_sphere(_decaying(K, 2)).astype(dtype), cosine=True)

    contribution, assignment = both_ways(engine, points, None, plain)
    by_bounds, assigned = both_ways(engine, points, None, bounded(plain, axes))

    np.testing.assert_array_equal(by_bounds.labels, contribution.labels)
    np.testing.assert_array_equal(by_bounds.sums, contribution.sums)
    assert by_bounds.inertia == contribution.inertia
    np.testing.assert_array_equal(assigned.distances, assignment.distances)


@pytest.mark.parametrize("cosine", [False, True])
@AXES
@DATA_TYPES
def test_bounds_change_no_bit_of_batches_applied_together(
    engine: NumbaEngine, cosine: bool, axes: int, dtype: Any
) -> None:
    centroids = to_sphere(_decaying(K, 2))
    batches = [_decaying(n, n).astype(dtype) for n in (1, 4, 5, 64, 150, 33)]
    plain = frame_of(centroids.astype(dtype), cosine=cosine)

    alone, by_bounds = (
        engine.apply_batches(FusedBatches(batches, np.full(6, 0.9), centroids, frame, return_labels=True), run_in_order)
        for frame in (plain, bounded(plain, axes))
    )

    np.testing.assert_array_equal(by_bounds.labels, alone.labels)
    np.testing.assert_array_equal(by_bounds.inertias, alone.inertias)
    np.testing.assert_array_equal(by_bounds.moved.centroids, alone.moved.centroids)
    np.testing.assert_array_equal(by_bounds.moved.weights, alone.moved.weights)
    np.testing.assert_array_equal(by_bounds.moved.frame.centroids, alone.moved.frame.centroids)


def test_best_axes_finds_axes_when_the_spectrum_decays() -> None:
    axes = _found_axes(_decaying(512, 2, 128), _decaying(256, 1, 128))

    assert 4 <= len(axes) < 128
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-12)


def test_best_axes_finds_none_when_all_directions_are_alike() -> None:
    random = np.random.default_rng(0)

    assert _found_axes(random.normal(size=(512, 128)), random.normal(size=(256, 128))) is NO_AXES


def test_best_axes_of_more_columns_than_are_decomposed_whole_hold_nearly_as_much_of_the_centroids() -> None:
    centroids = _decaying(512, 2, 300)

    axes = _found_axes(centroids, _decaying(256, 1, 300))

    assert 4 <= len(axes) < 300
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-12)
    most = np.linalg.eigvalsh(centroids.T @ centroids)[-len(axes) :].sum()
    assert ((centroids @ axes.T) ** 2).sum() >= 0.999 * most


@pytest.mark.parametrize(("k", "d"), [(64, 1024), (4096, 64), (20_000, 24)])
def test_a_look_for_axes_is_made_in_small_pieces(k: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    count_nonzero = np.count_nonzero

    def counted(scores: NDArray[np.bool]) -> int:
        sizes.append(scores.size)
        return int(count_nonzero(scores))

    monkeypatch.setattr(np, "count_nonzero", counted)

    pieces = sum(1 for _ in best_axes(_decaying(k, 2, d), _decaying(sample_rows(k), 1, d)))

    assert max(sizes) <= 1 << 15
    assert pieces >= k * d**2 // (1 << 26) + sample_rows(k) * k // (1 << 15)


def test_batches_whose_look_is_halted_are_not_applied_and_can_be_applied_again(engine: NumbaEngine) -> None:
    points = _decaying(64, 1, 32).astype(np.float32)
    frame = frame_of(_decaying(64, 2, 32).astype(np.float32))
    batches = FusedBatches([points], None, frame.centroids.astype(np.float64), frame, return_labels=True)
    expected = engine.apply_batches(batches, run_in_order)
    frame = frame_of(frame.centroids)
    frame.cache.get(PruningPolicy).work = 1e30

    with pytest.raises(Halted):
        engine.apply_batches(batches._replace(frame=frame), _halt)
    again = engine.apply_batches(batches._replace(frame=frame), run_in_order)

    np.testing.assert_array_equal(again.labels, expected.labels)
    np.testing.assert_array_equal(again.moved.centroids, expected.moved.centroids)


@DATA_TYPES
def test_pruning_begins_after_enough_work_and_ends_when_it_stops_paying(engine: NumbaEngine, dtype: Any) -> None:
    frame = frame_of(_decaying(512, 2, 96).astype(dtype))
    points = _decaying(2000, 1, 96).astype(dtype)
    pruning = frame.cache.get(PruningPolicy)
    assert pruning.axes is NO_AXES

    _work_until_a_look(engine, points, frame)
    assert pruning.axes is not NO_AXES

    # What lies far off all the axes has bounds that say nothing.
    engine.contribute(np.random.default_rng(0).normal(size=points.shape).astype(dtype), None, frame, run_in_order)
    assert pruning.axes is NO_AXES
    assert frame.prepared(engine._lay_out).axes is NO_AXES


def test_pruning_policy_samples_ever_less_often() -> None:
    pruning = PruningPolicy()
    random = np.random.default_rng(0)
    frame, sample = frame_of(random.normal(size=(64, 32))), random.normal(size=(256, 32))
    works = []

    for _ in range(4):
        pruning.work = 0.0
        while not pruning.is_due(64, 32):
            pruning.work = 1.5 * pruning.work + 1e6
        works.append(pruning.patience)
        run_in_order(lambda _: pruning.look(frame, sample), 1)

    assert pruning.axes is NO_AXES
    np.testing.assert_array_equal(works, works[0] * np.array([1, 2, 4, 8]))


@pytest.mark.parametrize(("k", "d"), [(31, 64), (512, 23), (512, 1025), (1, 64)])
def test_pruning_policy_never_samples_small_and_very_wide_models(k: int, d: int) -> None:
    assert not PruningPolicy(work=1e30).is_due(k, d)


def test_pruning_policy_counts_the_same_work_for_any_batch_sizes(engine: NumbaEngine) -> None:
    points = _decaying(3000, 1, 96).astype(np.float32)
    noted = []

    for cut in (3000, 3000, 100):
        frame = frame_of(_decaying(512, 2, 96).astype(np.float32))
        for start in range(0, 3000, cut):
            engine.assign(points[start : start + cut], frame, run_in_order, return_distances=False)
        noted.append(frame.cache.get(PruningPolicy).work)

    assert noted[0] > 0
    assert noted == [noted[0]] * 3


@pytest.mark.parametrize("rows", [1, 4, 5, 63])
def test_a_few_rows_do_not_change_the_pruning_axes(engine: NumbaEngine, rows: int) -> None:
    frame = frame_of(_decaying(512, 2, 96).astype(np.float32))
    points = _decaying(2000, 1, 96).astype(np.float32)
    _work_until_a_look(engine, points, frame)
    axes = frame.cache.get(PruningPolicy).axes
    assert axes is not NO_AXES

    engine.assign(points[:rows], frame, run_in_order, return_distances=False)
    engine.contribute(points[:rows], None, frame, run_in_order)

    assert frame.cache.get(PruningPolicy).axes is axes
    assert frame.prepared(engine._lay_out).axes is axes


@pytest.mark.parametrize("rows", [1, 7, 200])
def test_pruning_policy_samples_a_bounded_number_of_rows_from_many_small_batches(
    engine: NumbaEngine, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    monkeypatch.setattr(PruningPolicy, "look", lambda _self, _frame, sample: looked_at.append(len(sample)))
    frame = frame_of(_decaying(64, 2, 32).astype(np.float32))
    frame.cache.get(PruningPolicy).work = 1e30
    batches = [_decaying(rows, seed, 32).astype(np.float32) for seed in range(600)]

    engine.apply_batches(
        FusedBatches(batches, np.ones(600), frame.centroids.astype(np.float64), frame, return_labels=False),
        run_in_order,
    )

    assert len(looked_at) == 1
    assert SAMPLE_ROWS // 2 <= looked_at[0] <= SAMPLE_ROWS


def test_new_axes_take_effect_even_if_their_number_is_the_same(engine: NumbaEngine) -> None:
    frame = bounded(frame_of(_decaying(K, 2).astype(np.float32)), 12)
    points = _decaying(100, 1).astype(np.float32)
    engine.assign(points, frame, run_in_order, return_distances=False)
    turned = bounded(frame_of(_decaying(K, 7).astype(np.float32)), 12).cache.get(PruningPolicy).axes

    frame.cache.get(PruningPolicy).axes = turned
    engine.assign(points, frame, run_in_order, return_distances=False)

    assert frame.prepared(engine._lay_out).axes is turned


def test_best_axes_finds_none_when_products_of_the_centroids_are_not_finite() -> None:
    centroids = _decaying(512, 2, 128)
    centroids[3, 5] = 1e200

    assert _found_axes(centroids, _decaying(256, 1, 128)) is NO_AXES


def _found_axes(centroids: NDArray[np.float64], sample: NDArray[np.float64]) -> NDArray[np.float64]:
    pieces = best_axes(centroids, sample)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            axes: NDArray[np.float64] = end.value
            return axes


def _halt(_task: Task, _count: int) -> None:
    raise Halted


def _work_until_a_look(engine: NumbaEngine, points: NDArray[Any], frame: Frame) -> None:
    for _ in range(1000):
        engine.assign(points, frame, run_in_order, return_distances=False)
        if frame.cache.get(PruningPolicy).work == 0:
            return
    raise AssertionError("no look in a thousand batches")
