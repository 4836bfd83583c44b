"""Sessions with outliers and scores, and sessions that adapt to drift, on a real server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal

K = 6
FAR = np.full((2, 3), 300.0, np.float32)


def blobs(rows: int, seed: int = 0, *, at: int = 0) -> NDArray[np.float32]:
    """Return points around K middles."""
    middles = 10 * np.random.default_rng(at).normal(size=(K, 3))
    random = np.random.default_rng([seed, 1])
    return (middles[random.integers(K, size=rows)] + random.normal(size=(rows, 3))).astype(np.float32)


def cut(points: NDArray[Any], rows: int = 500) -> list[NDArray[Any]]:
    return [points[start : start + rows] for start in range(0, len(points), rows)]


def scoring(client: shoal.Client, name: str, **options: Any) -> shoal.Session:
    """Return a session that has seen many points."""
    session = client.create_session(name, K, random_state=0, **{"outlier_threshold": 0.01, **options})
    for _ in session.ingest(cut(blobs(20_000))):
        pass
    return session


def test_a_push_returns_scores_and_counts_outliers(client: shoal.Client, name: str) -> None:
    session = scoring(client, name)
    points = np.concatenate([blobs(50, 1), FAR])

    result = session.push(points, return_scores=True, return_labels=True)

    assert result.scores is not None
    assert result.scores.dtype == np.float64
    assert result.outliers == (result.scores < 0.01).sum()
    assert (result.scores[-2:] < 0.001).all()
    assert result.labels is not None
    assert (len(result.labels), result.accepted) == (52, 52)
    session.delete()


def test_an_ingest_returns_scores_of_about_the_threshold_below_it(client: shoal.Client, name: str) -> None:
    session = scoring(client, name)

    results = list(session.ingest(cut(blobs(20_000, 1), 5_000), return_scores=True))

    scores = np.concatenate([result.scores for result in results if result.scores is not None])
    assert len(scores) == 20_000
    assert (scores < 0.01).mean() == pytest.approx(0.01, rel=0.2)
    assert (scores < 0.1).mean() == pytest.approx(0.1, rel=0.1)
    assert sum(result.outliers for result in results) == (scores < 0.01).sum()
    session.delete()


def test_results_without_a_wish_for_scores_have_none(client: shoal.Client, name: str) -> None:
    session = scoring(client, name)

    result = session.push(np.concatenate([blobs(50, 1), FAR]))
    assigned = session.assign(FAR)

    assert result.scores is None
    assert result.outliers >= 2
    assert assigned.scores is None
    session.delete()


@pytest.mark.parametrize("distances", [True, False])
def test_assigned_points_have_scores(client: shoal.Client, name: str, distances: bool) -> None:
    session = scoring(client, name)
    points = np.concatenate([blobs(2_000, 1), FAR])

    assigned = session.assign(points, return_scores=True, return_distances=distances)
    streamed = list(session.assign_stream(cut(points), return_scores=True, return_distances=distances))

    assert assigned.scores is not None
    np.testing.assert_array_equal(assigned.scores, np.concatenate([each.scores for each in streamed]))
    assert (assigned.distances is not None) == distances
    assert (assigned.scores[-2:] < 0.001).all()
    assert session.assign(points, return_scores=True).scores is not None
    session.delete()


def test_the_description_has_the_outliers_and_the_configuration(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, outlier_threshold=0.25, on_drift="adapt")
    results = list(session.ingest(cut(blobs(10_000))))

    described = session.describe()

    assert described.outliers == sum(result.outliers for result in results) > 1_000
    assert (described.config.outlier_threshold, described.config.on_drift) == (0.25, "adapt")
    session.delete()


def test_a_session_that_names_neither_has_no_threshold_and_reports_drift(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K)

    config = session.describe().config

    assert (config.outlier_threshold, config.on_drift) == (None, "report")
    session.delete()


def test_an_update_changes_threshold_and_drift_and_resets_them(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0)
    list(session.ingest(cut(blobs(5_000))))

    changed = session.update(outlier_threshold=0.05, on_drift="adapt")
    list(session.ingest(cut(blobs(10_000, 1))))
    scored = session.push(FAR, return_scores=True)
    reset = session.update(outlier_threshold=None, on_drift=None)
    result = session.push(FAR)

    assert (changed.config.outlier_threshold, changed.config.on_drift) == (0.05, "adapt")
    assert scored.outliers == 2
    assert (reset.config.outlier_threshold, reset.config.on_drift, reset.outliers) == (None, "report", 0)
    assert result.outliers == 0
    session.delete()


def test_scores_of_a_session_without_threshold_are_refused(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0)
    session.push(blobs(500))

    for refused in (
        lambda: session.push(FAR, return_scores=True),
        lambda: list(session.ingest([FAR], return_scores=True)),
        lambda: session.assign(FAR, return_scores=True),
        lambda: list(session.assign_stream([FAR], return_scores=True)),
    ):
        with pytest.raises(shoal.ShoalError, match="outlier_threshold") as error:
            refused()
        assert error.value.reason == "SCORES_UNAVAILABLE"
    assert session.describe().points_accepted == 500
    session.delete()


@pytest.mark.parametrize("threshold", [0.0, -0.1, 0.51, float("nan"), float("inf")])
def test_an_invalid_threshold_is_refused(client: shoal.Client, name: str, threshold: float) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="outlier_threshold") as refused:
        client.create_session(name, K, outlier_threshold=threshold)
    session = client.create_session(name, K)
    with pytest.raises(shoal.InvalidArgumentError, match=r"outlier_threshold.*use None"):
        session.update(outlier_threshold=threshold)

    assert refused.value.reason == "OUTLIER_THRESHOLD_INVALID"
    assert session.describe().config.outlier_threshold is None
    session.delete()


def test_scores_are_none_while_a_session_is_warming(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, outlier_threshold=0.1)

    warming = session.push(blobs(10), return_scores=True)
    ready = session.push(blobs(10, 1), return_scores=True)

    assert warming.scores is None
    assert ready.scores is not None
    assert (ready.scores == 1).all()
    session.delete()


def test_a_batch_that_is_sent_again_has_its_scores_again(client: shoal.Client, name: str) -> None:
    session = scoring(client, name)
    batches = cut(blobs(1_000, 1))

    first = list(session.ingest(batches, producer="p", return_scores=True))
    again = list(session.ingest(batches, producer="p", return_scores=True))
    plain = list(session.ingest(cut(blobs(1_000, 2)), producer="q"))
    too_late = list(session.ingest(cut(blobs(1_000, 2)), producer="q", return_scores=True))

    for one, other in zip(first, again, strict=True):
        assert other.duplicate
        assert one.scores is not None
        np.testing.assert_array_equal(one.scores, other.scores)
        assert one.outliers == other.outliers
    assert not any(result.forgotten for result in plain)
    assert all(result.forgotten and result.scores is None for result in too_late)
    session.delete()


@pytest.mark.parametrize("threshold", [None, 0.01])
def test_a_drift_is_an_event_with_the_inertia_before_and_after(
    client: shoal.Client, name: str, threshold: float | None
) -> None:
    session = client.create_session(name, K, random_state=0, outlier_threshold=threshold)

    results = list(session.ingest(cut(np.concatenate([blobs(20_000), blobs(5_000, 1, at=9)]))))

    first, *_ = [event for event in session.events() if event.kind == "drift"]
    (found,) = [place for place, result in enumerate(results, 1) if result.version == first.version]
    assert 40 < found <= 45
    assert first.before == pytest.approx(3, rel=0.2)
    assert first.after is not None
    assert first.after > 30
    session.delete()


def test_a_stream_that_stays_as_it_is_has_no_drift(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0)

    list(session.ingest(cut(blobs(60_000), 100)))

    assert "drift" not in {event.kind for event in session.events()}
    session.delete()


def test_a_session_that_adapts_fits_the_new_points_soon(client: shoal.Client, name: str) -> None:
    inertias = {}
    for on_drift in ("report", "adapt"):
        session = client.create_session(f"{name}-{on_drift}", K, random_state=0, on_drift=on_drift)
        list(session.ingest(cut(np.concatenate([blobs(100_000), blobs(4_500, 1, at=9)]))))
        distances = session.assign(blobs(2_000, 2, at=9), return_distances=True).distances
        assert distances is not None
        inertias[on_drift] = float(distances.mean())
        session.delete()

    assert inertias["adapt"] < 3.5
    assert inertias["report"] > 10


def test_a_merged_session_scores_rows_and_adapts_to_drift(client: shoal.Client, name: str) -> None:
    scoring(client, f"{name}-a", outlier_threshold=0.1)
    scoring(client, f"{name}-b", outlier_threshold=None)

    merged = client.merge_sessions([f"{name}-a", f"{name}-b"], name, outlier_threshold=0.01, on_drift="adapt")

    described = merged.describe()
    assert (described.config.outlier_threshold, described.config.on_drift) == (0.01, "adapt")
    assert described.outliers == 0
    np.testing.assert_array_equal(described.config.init, merged.centroids().centroids)
    results = list(merged.ingest(cut(blobs(20_000, 1)), return_scores=True))
    assert sum(result.outliers for result in results[20:]) / 10_000 == pytest.approx(0.01, rel=0.5)
    assert np.all(np.asarray(merged.assign(FAR, return_scores=True).scores) < 0.001)
    for _ in merged.ingest(cut(blobs(5_000, 2, at=7))):
        pass
    assert "drift" in {event.kind for event in merged.events()}


def test_a_merged_session_scores_as_the_first_one_unless_told_otherwise(client: shoal.Client, name: str) -> None:
    scoring(client, f"{name}-a", outlier_threshold=0.1, on_drift="adapt")
    scoring(client, f"{name}-b", outlier_threshold=None)

    like_a = client.merge_sessions([f"{name}-a", f"{name}-b"], name).describe().config
    like_b = client.merge_sessions([f"{name}-b", f"{name}-a"], f"{name}-2").describe().config

    assert (like_a.outlier_threshold, like_a.on_drift) == (0.1, "adapt")
    assert (like_b.outlier_threshold, like_b.on_drift) == (None, "report")
    with pytest.raises(
        shoal.InvalidArgumentError, match=r"outlier_threshold is 0\.7; use a number above 0, up to 0\.5"
    ):
        client.merge_sessions([f"{name}-a"], f"{name}-3", outlier_threshold=0.7)
