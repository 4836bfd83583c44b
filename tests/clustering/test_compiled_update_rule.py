"""The update rule stands twice, in NumPy and compiled: they give the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.clustering.config import EngineName
from shoal_server.clustering.update import move
from shoal_server.engines.contract import Contribution, Engine, Frame, FusedEngine, is_fused
from tests.effort import examples


@examples(100)
@given(
    k=st.integers(1, 40),
    d=st.integers(1, 40),
    dtype=st.sampled_from([np.float32, np.float64]),
    offset=st.sampled_from([0.0, 1e6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_compiled_update_rule_moves_centroids_to_the_same_bits(
    engines: dict[EngineName, Engine], k: int, d: int, dtype: Any, offset: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    origin = np.full(d, offset, dtype)
    centroids = random.normal(size=(k, d)) + offset
    counts = random.integers(0, 5, k) * random.exponential(size=k)
    sums = counts[:, None] * random.normal(size=(k, d))
    contribution = Contribution(counts, sums, 1.0, np.empty(0, np.int32))
    frame = Frame((centroids - origin).astype(dtype), origin, random.exponential(size=k), cosine=False)

    compiled = _follower(engines).move(centroids, frame, contribution)
    after, weights = move(centroids, frame.weights, contribution, origin, cosine=False)

    assert compiled is not None
    np.testing.assert_array_equal(compiled.centroids, after)
    np.testing.assert_array_equal(compiled.weights, weights)
    np.testing.assert_array_equal(compiled.frame.centroids, (after - origin).astype(dtype))
    np.testing.assert_allclose(compiled.movement, np.linalg.norm(after - centroids, axis=1), rtol=1e-12, atol=1e-300)


def test_compiled_update_rule_moves_directions_alike_and_keeps_their_length(engines: dict[EngineName, Engine]) -> None:
    random = np.random.default_rng(0)
    centroids = random.normal(size=(9, 7))
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    counts = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 1])
    sums = counts[:, None] * random.normal(size=(9, 7))
    sums[8] = -centroids[8]  # cancels the centroid out: it keeps its place
    frame = Frame(centroids.astype(np.float32), np.zeros(7, np.float32), np.ones(9), cosine=True)
    contribution = Contribution(counts, sums, 1.0, np.empty(0, np.int32))

    compiled = _follower(engines).move(centroids, frame, contribution)
    after, _ = move(centroids, np.ones(9), contribution, np.zeros(7), cosine=True)

    assert compiled is not None
    np.testing.assert_allclose(compiled.centroids, after, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(compiled.centroids[[0, 8]], centroids[[0, 8]])


@pytest.mark.parametrize("sums", [np.inf, np.nan, 1.7e308])
def test_compiled_update_rule_moves_nothing_when_the_result_would_not_be_finite(
    engines: dict[EngineName, Engine], sums: float
) -> None:
    frame = Frame(np.zeros((2, 2)), np.zeros(2), np.array([1e-3, 1.0]), cosine=False)
    contribution = Contribution(np.array([1e-3, 0.0]), np.array([[sums, 0.0], [0, 0]]), 1.0, np.empty(0, np.int32))
    centroids = np.zeros((2, 2))

    assert _follower(engines).move(centroids, frame, contribution) is None
    assert not centroids.any()


def _follower(engines: dict[EngineName, Engine]) -> FusedEngine:
    engine = engines["numba"]
    assert is_fused(engine)
    return engine
