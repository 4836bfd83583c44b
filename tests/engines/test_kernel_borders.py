"""The compiled kernel against the oracle, around every size at which it takes another path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal_server.engines.chunks import min_chunk_rows
from shoal_server.engines.numba import NumbaEngine
from tests.effort import examples
from tests.engines.builders import CLUSTERS, WIDTHS, Reals, both_ways, bounded, check, frame_of, row_counts, unaligned

DTYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]
DATA = ["normal", "grid", "pairs", "midpoints", "equal", "zero", "low rank", "apart"]


def _points_and_centroids(data: str, n: int, k: int, d: int, random: np.random.Generator) -> tuple[Any, Any]:
    """Return rows (n, d) and centroids (k, d), in float64."""
    points: Reals = random.normal(size=(n, d))
    centroids: Reals = random.normal(size=(k, d))
    if data == "grid":  # exact ties, and duplicates of points and of centroids
        points, centroids = random.integers(-1, 2, (n, d)) * 1.0, random.integers(-1, 2, (k, d)) * 1.0
    if data == "pairs":
        centroids = 1e3 * random.normal(size=(-(-k // 2), d)).repeat(2, axis=0)[:k] + 1e-3 * centroids
        points = centroids[random.integers(0, k, n)] + 1e-3 * points
    if data == "equal":
        points[:], centroids[:] = points[0], centroids[0]
    if data == "zero":
        points, centroids = 0 * points, centroids * random.integers(0, 2, (k, 1))
    if data == "low rank":
        centroids = random.normal(size=(k, 3)) @ random.normal(size=(3, d))
    if data in {"low rank", "midpoints"}:
        return _midpoints(centroids, n, random), centroids.astype(np.float32)
    if data == "apart":
        points, centroids = points + 1e3, centroids - 1e3
    return points, centroids


def _midpoints(centroids: Any, n: int, random: np.random.Generator) -> Any:
    """Return rows halfway between two of the centroids, exactly or next to it in float32."""
    centroids = centroids.astype(np.float32)
    k, d = centroids.shape
    middles = (centroids[random.integers(0, k, n)] + centroids[random.integers(0, k, n)]) / 2
    towards = random.choice([-np.inf, np.inf], (n, d)).astype(np.float32)
    return np.where(random.random((n, 1)) < 2 / 3, np.nextafter(middles, towards), middles)


@settings(examples(150), derandomize=True)
@given(choice=st.data())
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("axes", [0, 4, 12])
def test_the_kernel_agrees_with_the_oracle(engine: NumbaEngine, dtype: Any, axes: int, choice: st.DataObject) -> None:
    d, k = choice.draw(st.sampled_from(WIDTHS), "d"), choice.draw(st.sampled_from(CLUSTERS), "k")
    n = choice.draw(st.sampled_from(row_counts(dtype)), "n")
    random = np.random.default_rng(choice.draw(st.integers(0, 2**32 - 1), "seed"))
    points, centroids = _points_and_centroids(choice.draw(st.sampled_from(DATA), "data"), n, k, d, random)
    weight = random.integers(0, 3, n) * random.exponential(size=n) if choice.draw(st.booleans(), "weighted") else None
    inside = np.ascontiguousarray(points, dtype)
    frame = bounded(frame_of(np.ascontiguousarray(centroids, dtype)), axes)
    pushed = unaligned(inside) if choice.draw(st.booleans(), "unaligned") else inside

    contribution, assignment = both_ways(engine, pushed, weight, frame)

    check(contribution, assignment, inside, weight, frame)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("cuts", [1, 2])
def test_the_kernel_agrees_with_the_oracle_when_a_batch_is_cut_into_chunks(
    engine: NumbaEngine, dtype: Any, more: int, cuts: int
) -> None:
    random = np.random.default_rng(more + 1)
    k, d = 64, 384
    frame = frame_of(random.normal(size=(k, d)).astype(dtype))
    points = random.normal(size=(cuts * min_chunk_rows(k, d) + more, d)).astype(dtype)

    contribution, assignment = both_ways(engine, points, None, frame)

    check(contribution, assignment, points, None, frame)


@pytest.mark.parametrize("d", [1, 3, 16, 129])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_points_of_other_types_are_computed_in_the_precision_of_the_frame(
    engine: NumbaEngine, d: int, kind: Any, dtype: Any
) -> None:
    random = np.random.default_rng(d)
    points = np.abs(40 * random.normal(size=(77, d)) + 50).astype(kind)
    origin = np.full(d, 50, dtype)
    frame = frame_of(np.asarray(40 * random.normal(size=(7, d)), dtype), origin=origin)
    inside: Reals = (points.astype(np.float64) - 50).astype(dtype)

    contribution, assignment = both_ways(engine, unaligned(points), None, frame)

    check(contribution, assignment, inside, None, frame)


@pytest.mark.parametrize("d", [1, 2, 8, 17, 128])
@pytest.mark.parametrize("axes", [0, 4])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_points_around_a_million_get_exact_labels(engine: NumbaEngine, d: int, axes: int, dtype: Any) -> None:
    random = np.random.default_rng(d)
    points = (1e6 + np.round(16 * random.normal(size=(150, d))) / 16).astype(dtype)
    origin = np.full(d, 1e6, dtype)
    frame = bounded(frame_of(random.normal(size=(9, d)).astype(dtype), origin=origin), axes)

    contribution, assignment = both_ways(engine, points, None, frame)

    check(contribution, assignment, points - origin, None, frame)
