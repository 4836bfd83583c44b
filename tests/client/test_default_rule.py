"""A session that names no update rule is refined, or incremental where it is too large for a summary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal

K, BATCHES, ROWS = 4, 20, 40
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CASES: dict[str, dict[str, Any]] = {
    "numba": {},
    "sklearn": {"engine": "sklearn"},
    "scipy": {"engine": "scipy"},
    "float64": {"dtype": "float64"},
    "cosine": {"metric": "cosine"},
    "cosine by sklearn in float64": {"metric": "cosine", "engine": "sklearn", "dtype": "float64"},
    "drop": {"on_invalid": "drop"},
    "impute": {"on_invalid": "impute"},
    "impute by scipy": {"on_invalid": "impute", "engine": "scipy"},
    "half-life in batches": {"half_life": shoal.HalfLife(10)},
    "half-life in points by sklearn": {"half_life": shoal.HalfLife(300, "points"), "engine": "sklearn"},
    "half-life in seconds": {"half_life": shoal.HalfLife(10, "seconds")},
    "random": {"init": "random"},
}


def blobs() -> NDArray[np.float32]:
    """Return points around K middles in different directions, in the order of these: the worst for one pass."""
    random = np.random.default_rng(0)
    angles = np.repeat(np.arange(K) * 2 * np.pi / K + 0.3, BATCHES * ROWS // K)
    middles = 20 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return (middles + random.normal(size=middles.shape)).astype(np.float32)


def with_gaps(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the points with a NaN in some of the rows, but not in the first ones."""
    gappy = points.copy()
    gappy[25::10, 0] = np.nan
    return gappy


def batches(points: NDArray[np.float32]) -> list[shoal.Batch]:
    """Return batches, every third with weights, each with the time at which it happened."""
    weight = np.random.default_rng(1).exponential(size=ROWS)
    return [
        shoal.Batch(
            points[number * ROWS : (number + 1) * ROWS],
            sample_weight=weight if number % 3 == 2 else None,
            event_time=BEGIN + timedelta(seconds=number),
        )
        for number in range(BATCHES)
    ]


def from_nearest(middles: NDArray[np.float64], centroids: NDArray[np.float64]) -> float:
    """Return the largest distance of a middle from the centroid next to it."""
    return float(np.sqrt(((middles[:, None] - centroids) ** 2).sum(axis=2)).min(axis=1).max())


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_session_that_names_no_rule_is_refined_and_finds_clusters_that_come_in_turn(
    client: shoal.Client, name: str, options: dict[str, Any]
) -> None:
    session = client.create_session(name, K, random_state=0, **options)
    points = blobs()
    pushed = with_gaps(points) if "on_invalid" in options else points

    results = list(session.ingest(batches(pushed)))

    snapshot = session.centroids()
    config = session.describe().config
    assert (config.update_rule, config.summary_size) == ("refined", 4000)
    assert any(each.refined for each in results)
    middles = points.reshape(K, -1, 2).mean(axis=1, dtype=np.float64)
    if options.get("metric") == "cosine":
        middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    assert from_nearest(middles, snapshot.centroids) < (0.1 if options.get("metric") == "cosine" else 3)
    session.delete()


def test_rows_pushed_one_by_one_are_refined_by_default(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0)
    points = blobs()[::4]

    results = list(session.ingest(points[:, None]))

    assert sum(each.refined for each in results) > 1
    assert session.describe().version == results[-1].version + results[-1].refined
    assert from_nearest(points.reshape(K, -1, 2).mean(axis=1, dtype=np.float64), session.centroids().centroids) < 3
    session.delete()


def test_a_session_keeps_to_its_rule_when_its_engine_changes(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0)
    every = batches(blobs())
    half = BATCHES // 2
    list(session.ingest(every[:half]))
    session.update(engine="sklearn", half_life=shoal.HalfLife(5))

    results = list(session.ingest(every[half:]))

    assert session.describe().config.update_rule == "refined"
    assert any(each.refined for each in results)
    session.delete()


def test_a_session_that_names_no_rule_is_incremental_when_it_is_too_large_for_a_summary(
    client: shoal.Client, name: str
) -> None:
    k, columns = 1024, 512
    points = np.random.default_rng(0).normal(size=(k, columns)).astype(np.float32)
    session = client.create_session(name, k, init=points)

    results = [session.push(points), session.push(points)]

    config = session.describe().config
    assert (config.update_rule, config.summary_size) == ("incremental", 0)
    assert [(each.version, each.refined) for each in results] == [(1, False), (2, False)]
    session.delete()
