"""A batch is sampled as a whole as the oracle does it, with the same bits wherever that is done, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.engines.contract import Frame, FusedBatches, RowSample, run_in_order
from tests import naive_summary
from tests.warm import warm_engine

DATA_TYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]
Rates = tuple[float, float, Any]
seeds = st.integers(0, 2**63 - 1)


def frame_at(centroids: Any, origin: Any) -> Frame:
    return Frame(centroids, origin, np.ones(len(centroids)), cosine=False)


def empty_sample(
    reference: Any, rates: Rates, numbers: tuple[int, int], factors: Sequence[float], most: tuple[float, int], rows: int
) -> RowSample:
    """Return a sample without rows, that has room for fewer than `most` of weight and of rows."""
    k, d = reference.shape
    length = warm_engine().summary_kernels(reference.dtype).row_length(d)
    return RowSample(
        np.pad(reference, ((0, 0), (0, length - d))), np.array(rates[:2]), rates[2], np.array(most[:1], np.float64),
        np.array(numbers), np.array(factors), np.zeros(3), np.zeros(k), np.zeros((k, length)), np.zeros(k),
        np.empty((most[1], d), reference.dtype), np.empty(most[1]), np.empty(most[1], np.int32), np.zeros(2, np.int64),
        np.empty(rows, reference.dtype), np.empty(rows, np.int32), np.empty(k), np.empty(64), np.empty(64, np.int64),
    )  # fmt: skip


def sampled(sample: RowSample, points: Any, weight: Any, labels: Any, frame: Frame) -> bool:
    kernels = warm_engine().summary_kernels(frame.dtype)
    return kernels.sample_batch(points, weight, labels, frame, sample)


@st.composite
def problems(draw: st.DrawFn) -> Any:
    random = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(DATA_TYPES))
    n, d, k = draw(st.integers(1, 150)), draw(st.integers(1, 35)), draw(st.integers(1, 5))
    origin = np.round(random.normal(size=d), 1).astype(dtype)
    points = random.normal(size=(n, d)).astype(dtype)
    weight = random.choice([0.0, 0.5, 1.0, 3.0], size=n) if draw(st.booleans()) else np.empty(0)
    labels = random.integers(0, k, n).astype(np.int32)
    centroids, reference = random.normal(size=(2, k, d)).astype(dtype)
    rates = random.choice([0.0, 0.1, 0.3]), random.choice([0.0, 0.05]), random.choice([0.0, 0.2], size=k)
    most = random.choice([50.0, np.inf]), draw(st.integers(1, 200))
    factor = draw(st.sampled_from([1.0, 0.5, 2.0**20]))
    return points, weight, labels, origin, centroids, reference, rates, most, factor, draw(seeds)


@given(problems())
def test_a_batch_is_sampled_as_the_oracle_does_it(problem: Any) -> None:
    points, weight, labels, origin, centroids, reference, rates, most, factor, seed = problem
    dtype, wide = points.dtype, np.float64
    block = naive_summary.NaiveBlock(reference.astype(wide))
    rounding = 1e-5 if dtype == np.float32 else 1e-9

    expected = naive_summary.sample_batch(
        block, points - origin, weight if len(weight) else np.ones(len(points)), labels, centroids.astype(wide), 12,
        seed, rates, factor, most,
    )  # fmt: skip
    sample = empty_sample(reference, rates, (seed, 12), [factor], most, len(points))
    has_room = sampled(sample, points, weight, labels, frame_at(centroids, origin))

    found = int(sample.found[0])
    assert has_room == expected
    np.testing.assert_allclose(sample.totals, [block.weight, block.decayed, block.rows], rtol=1e-12)
    np.testing.assert_allclose(sample.counts, block.counts, rtol=1e-12)
    scale = factor * len(points)
    d = points.shape[1]
    np.testing.assert_allclose(sample.sums[:, :d], block.sums, rtol=rounding, atol=rounding * scale)
    assert not sample.sums[:, d:].any()
    np.testing.assert_allclose(sample.squares, block.squares, rtol=rounding, atol=rounding * scale)
    np.testing.assert_array_equal(sample.kept[:found], (points - origin)[block.kept])
    np.testing.assert_array_equal(sample.kept_label[:found], labels[block.kept])
    np.testing.assert_allclose(sample.kept_weight[:found], block.kept_weight, rtol=rounding)


@pytest.mark.parametrize("dtype", DATA_TYPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [3, 8, 40])
def test_batches_are_sampled_alike_as_they_are_applied_and_afterwards(dtype: Any, d: int, weighted: bool) -> None:
    random, engine, k = np.random.default_rng(0), warm_engine(), 7
    frame = frame_at(random.normal(size=(k, d)).astype(dtype), random.normal(size=d).astype(dtype))
    batches = [random.normal(size=(rows, d)).astype(dtype) for rows in (300, 256, 1000)]
    weights = [random.choice([0.0, 1.0, 2.5], size=len(each)) for each in batches] if weighted else None
    rates, centroids = (0.01, 0.001, random.random(k) / 50), frame.centroids.astype(np.float64) + frame.origin
    together, alone = (
        empty_sample(np.zeros((k, d), dtype), rates, (5, 100), [1.0, 2.0, 2.0], (np.inf, 1000), 1000) for _ in range(2)
    )

    fused = engine.apply_batches(FusedBatches(batches, None, centroids, frame, True, weights, together), run_in_order)
    begin = 0
    for index, points in enumerate(batches):
        weight = None if weights is None else [weights[index]]
        moved = engine.apply_batches(FusedBatches([points], None, centroids, frame, True, weight), run_in_order)
        one = alone._replace(
            numbers=np.array((5, 100 + begin)), factors=together.factors[index:],
            kept=alone.kept[alone.found[0] :], kept_weight=alone.kept_weight[alone.found[0] :],
            kept_label=alone.kept_label[alone.found[0] :], found=np.zeros(2, np.int64),
        )  # fmt: skip
        assert sampled(one, points, np.empty(0) if weight is None else weight[0], moved.labels, frame)
        alone.found[0] += one.found[0]
        frame, centroids, begin = moved.moved.frame, moved.moved.centroids, begin + len(points)

    assert len(fused.inertias) == 3
    assert together.found.tolist() == alone.found.tolist()
    found = int(alone.found[0])
    assert found > 10
    for name in ("totals", "counts", "sums", "squares"):
        np.testing.assert_array_equal(getattr(together, name), getattr(alone, name))
    for name in ("kept", "kept_weight", "kept_label"):
        np.testing.assert_array_equal(getattr(together, name)[:found], getattr(alone, name)[:found])


@pytest.mark.parametrize("most", [(700.0, 1000), (np.inf, 20)], ids=["too heavy", "too many kept"])
def test_applying_batches_stops_before_one_that_a_sample_has_no_room_for(most: tuple[float, int]) -> None:
    random, engine = np.random.default_rng(0), warm_engine()
    batches = [random.normal(size=(300, 2)) for _ in range(4)]
    frame = frame_at(random.normal(size=(3, 2)), np.zeros(2))
    sample = empty_sample(np.zeros((3, 2)), (0.03, 0.0, np.zeros(3)), (1, 0), [1.0] * 4, most, 300)

    centroids = frame.centroids.astype(np.float64)
    fused = engine.apply_batches(FusedBatches(batches, None, centroids, frame, True, None, sample), run_in_order)
    expected = engine.apply_batches(FusedBatches(batches[:2], None, centroids, frame, True), run_in_order)

    assert sample.found[1] == 1
    assert sample.totals.tolist() == [600.0, 600.0, 600.0]
    np.testing.assert_array_equal(fused.inertias, expected.inertias)
    np.testing.assert_array_equal(fused.labels, expected.labels)
    np.testing.assert_array_equal(fused.moved.centroids, expected.moved.centroids)


def test_a_batch_with_a_nan_of_weight_0_is_not_sampled_as_a_whole() -> None:
    points, weight = np.ones((300, 2), np.float32), np.ones(300)
    points[7, 1], weight[7] = np.nan, 0.0
    frame = frame_at(np.zeros((3, 2), np.float32), np.zeros(2, np.float32))
    sample = empty_sample(frame.centroids, (0.1, 0.0, np.zeros(3)), (1, 0), [1.0], (np.inf, 1000), 300)

    assert not sampled(sample, points, weight, np.zeros(300, np.int32), frame)
    assert not any(each.any() for each in (sample.totals, sample.counts, sample.sums, sample.squares, sample.found))
    clean = np.nan_to_num(points)
    assert sampled(sample, clean, weight, np.zeros(300, np.int32), frame)
    assert sample.counts.tolist() == [299.0, 0.0, 0.0]


def test_squares_that_lose_digits_are_not_sampled_as_a_whole() -> None:
    random, labels = np.random.default_rng(0), np.zeros(300, np.int32)
    points = random.normal(size=(300, 2)).astype(np.float32)
    frame = frame_at(np.zeros((3, 2), np.float32), np.zeros(2, np.float32))

    taken = []
    for scale in (1e-20, 1e-14, 1.0):
        sample = empty_sample(frame.centroids, (0.1, 0.0, np.zeros(3)), (1, 0), [1.0], (np.inf, 1000), 300)
        taken.append(sampled(sample, points * np.float32(scale), np.empty(0), labels, frame))

    assert taken == [False, True, True]


@pytest.mark.parametrize(
    "short", ["factors", "distances", "labels", "draws", "chosen", "kept", "kept_weight", "kept_label"]
)
def test_a_sample_that_is_too_short_for_the_batches_is_refused(short: str) -> None:
    points = np.ones((300, 2))
    frame = frame_at(np.zeros((3, 2)), np.zeros(2))
    sample = empty_sample(frame.centroids, (0.1, 0.0, np.zeros(3)), (1, 0), [1.0, 1.0], (np.inf, 10), 300)
    cut = sample._replace(**{short: getattr(sample, short)[:-1]})

    for too_short in (
        cut,
        sample._replace(kept=np.empty((0, 2)), kept_weight=np.empty(0), kept_label=np.empty(0, np.int32)),
    ):
        with pytest.raises(ValueError, match="too short"):
            warm_engine().apply_batches(
                FusedBatches([points, points], None, np.zeros((3, 2)), frame, True, None, too_short), run_in_order
            )


def test_a_sample_is_the_same_whether_labels_are_asked_for() -> None:
    random = np.random.default_rng(0)
    batches = [random.normal(size=(rows, 2)) for rows in (300, 20, 170)]
    centroids = random.normal(size=(4, 2))
    frame, by_label = frame_at(centroids, np.zeros(2)), np.array([0.0, 0.1, 0.2, 0.3])

    samples = []
    for return_labels in (False, True):
        sample = empty_sample(centroids, (0.05, 0.1, by_label), (1, 0), [1.0] * 3, (np.inf, 1000), 300)
        fused = warm_engine().apply_batches(
            FusedBatches(batches, None, centroids, frame, return_labels, None, sample), run_in_order
        )
        assert len(fused.labels) == (490 if return_labels else 0)
        found = slice(sample.found[0])
        kept = sample.kept[found], sample.kept_weight[found], sample.kept_label[found]
        samples.append((sample.totals, sample.counts, sample.sums, sample.squares, *kept))

    assert 20 < len(samples[0][-1]) < 400
    assert set(samples[0][-1].tolist()) == {0, 1, 2, 3}
    for one, other in zip(*samples, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_that_equal_their_centroids_are_sampled_as_a_whole() -> None:
    points, labels = np.full((300, 2), 0.1, np.float32), np.zeros(300, np.int32)
    frame = frame_at(points[:3].copy(), np.zeros(2, np.float32))
    sample = empty_sample(frame.centroids, (0.1, 0.0, np.zeros(3)), (1, 0), [1.0], (np.inf, 1000), 300)

    assert sampled(sample, points, np.empty(0), labels, frame)
    assert not sample.squares.any()
