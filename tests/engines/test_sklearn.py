"""Weights that scikit-learn keeps in float32 don't affect results."""

from __future__ import annotations

import numpy as np
import pytest

from shoal_server.engines.contract import Contribution, Engine, Frame, run_in_order
from shoal_server.engines.sklearn import SklearnEngine
from tests.warm import warm_engine


@pytest.fixture(scope="module")
def engines() -> tuple[Engine, Engine]:
    return warm_engine(), SklearnEngine()


def _shift(contribution: Contribution, frame: Frame) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """How far the update rule moves the centroids."""
    counts = contribution.counts[:, None]
    total = frame.weights[:, None] + counts  # above 0 in these tests
    return (contribution.sums - counts * frame.centroids) / total


def test_a_weight_beyond_what_float32_counts_pulls_no_centroid_to_the_origin(engines: tuple[Engine, Engine]) -> None:
    frame = Frame(np.ones((1, 2), np.float32), np.zeros(2, np.float32), np.array([2.0**26]), cosine=False)

    contribution = engines[1].contribute(np.ones((1, 2), np.float32), None, frame, run_in_order)

    np.testing.assert_array_equal(_shift(contribution, frame), 0)


@pytest.mark.parametrize("weight", [1e-46, 1e-30, 1e45])
def test_weights_outside_the_range_of_float32_count_as_with_numba(
    engines: tuple[Engine, Engine], weight: float
) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(40, 3)).astype(np.float32)
    frame = Frame(points[:4] + np.float32(0.1), np.zeros(3, np.float32), np.zeros(4), cosine=False)
    weights = np.full(40, weight)

    numba, sklearn = (_shift(engine.contribute(points, weights, frame, run_in_order), frame) for engine in engines)

    np.testing.assert_allclose(sklearn, numba, rtol=0, atol=1e-5)
