"""Merged sessions, sessions that begin with centroids and weights, and rows summarized before they are sent."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal

MIDDLES = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0]])


def rows(n: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    """Return points around four places."""
    random = np.random.default_rng(seed)
    return (MIDDLES[random.integers(0, 4, n)] + random.normal(size=(n, 2)) + shift).astype(np.float32)


def refined(client: shoal.Client, name: str, points: NDArray[np.float32], k: int = 4) -> shoal.Session:
    session = client.create_session(name, k, update_rule="refined", random_state=0)
    session.push(points)
    return session


def in_order(centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    return centroids[np.lexsort(np.round(centroids).T)]


def test_sessions_are_merged_into_one_that_has_seen_what_they_have(client: shoal.Client, name: str) -> None:
    refined(client, f"{name}-a", rows(2000, 0))
    refined(client, f"{name}-b", rows(3000, 1, shift=100.0))

    merged = client.merge_sessions([f"{name}-a", f"{name}-b"], into=name, n_clusters=8)

    snapshot = merged.centroids()
    assert (snapshot.version, snapshot.refined, snapshot.points_accepted) == (1, True, 5000)
    assert (snapshot.batch_points, snapshot.inertia, merged.describe().inertia_per_point) == (0, None, None)
    expected = in_order(np.concatenate([MIDDLES, MIDDLES + 100]))
    np.testing.assert_allclose(in_order(snapshot.centroids), expected, atol=0.3)
    assert snapshot.weights.sum() == pytest.approx(5000)
    assert merged.push(rows(100, 2)).version == 2


def test_the_clusters_of_a_merged_session_are_born_with_it(client: shoal.Client, name: str) -> None:
    refined(client, f"{name}-a", rows(2000, 0))

    merged = client.merge_sessions([f"{name}-a"], into=name, n_clusters=6)

    (event,) = merged.events()
    snapshot = merged.centroids()
    assert (event.kind, event.number, event.version, list(event.clusters)) == ("born", 1, 1, list(range(6)))
    assert snapshot.ids.tolist() == list(range(6))
    assert snapshot.estimated_inertia_per_point == pytest.approx(2.0, rel=0.5)
    assert merged.recluster(4).centroids.shape == (4, 2)
    assert merged.update(n_clusters=3).version == 2
    assert len(merged.centroids().ids) == 3


def test_a_merged_session_is_described_with_how_it_began(client: shoal.Client, name: str) -> None:
    refined(client, f"{name}-a", rows(500, 0))

    merged = client.merge_sessions(
        [f"{name}-a"],
        name,
        engine="scipy",
        on_invalid="drop",
        random_state=9,
        half_life=shoal.HalfLife(5),
        idle_ttl=700,
        update_rule="incremental",
        summary_size=300,
    )

    config = merged.describe().config
    assert (config.n_clusters, config.engine, config.on_invalid, config.random_state) == (4, "scipy", "drop", 9)
    assert (config.half_life, config.idle_ttl) == (shoal.HalfLife(5), 700)
    assert (config.update_rule, config.summary_size) == ("incremental", 300)
    np.testing.assert_array_equal(config.init, merged.centroids().centroids)
    np.testing.assert_array_equal(config.init_weights, merged.centroids().weights)


def test_merging_into_an_existing_session_raises_unless_exist_ok(client: shoal.Client, name: str) -> None:
    refined(client, f"{name}-a", rows(500, 0))
    client.create_session(name, 2)

    with pytest.raises(shoal.SessionExistsError) as caught:
        client.merge_sessions([f"{name}-a"], into=name)
    again = client.merge_sessions([f"{name}-a"], into=name, exist_ok=True)

    assert caught.value.session == name
    assert again.describe().config.n_clusters == 2


def test_sessions_that_cannot_be_merged_raise_what_is_wrong(client: shoal.Client, name: str) -> None:
    refined(client, f"{name}-a", rows(500, 0))
    client.create_session(f"{name}-warming", 2, update_rule="refined")
    client.create_session(f"{name}-plain", 4, init=MIDDLES, update_rule="incremental")

    with pytest.raises(shoal.SessionWarmingError):
        client.merge_sessions([f"{name}-a", f"{name}-warming"], name)
    with pytest.raises(shoal.PreconditionError, match="keeps no summary") as caught:
        client.merge_sessions([f"{name}-a", f"{name}-plain"], name)
    with pytest.raises(shoal.SessionNotFoundError):
        client.merge_sessions([f"{name}-a", f"{name}-none"], name)
    with pytest.raises(shoal.InvalidArgumentError, match="names is empty"):
        client.merge_sessions([], name)

    assert (caught.value.reason, caught.value.session) == ("SUMMARY_MISSING", f"{name}-plain")


def test_a_session_of_the_centroids_and_weights_of_another_goes_on_as_that_would(
    client: shoal.Client, name: str
) -> None:
    old = client.create_session(f"{name}-old", 4, random_state=0, update_rule="incremental")
    for result in old.ingest([rows(50, seed) - 10 for seed in range(20)]):
        assert result.error is None
    before = old.centroids()

    new = client.create_session(name, 4, init=before.centroids, init_weights=before.weights, update_rule="incremental")
    config = new.describe().config
    for session in (old, new):
        list(session.ingest([rows(50, seed) - 10 for seed in range(20, 40)]))

    np.testing.assert_array_equal(config.init_weights, before.weights)
    assert new.centroids().centroids.tobytes() == old.centroids().centroids.tobytes()
    assert new.centroids().weights.tobytes() == old.centroids().weights.tobytes()


def test_a_session_without_given_weights_describes_none(client: shoal.Client, name: str) -> None:
    assert client.create_session(name, 2).describe().config.init_weights is None
    assert client.create_session(f"{name}-given", 4, init=MIDDLES).describe().config.init_weights is None


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], r"init_weights has shape \(2,\); one number a centroid is shape \(4,\)"),
        ([1.0, 2.0, -1.0, 0.0], r"init_weights\[2\] is -1.0; a weight is a number from 0 to 1e\+60"),
        ([1.0, float("nan"), 1.0, 0.0], r"init_weights\[1\] is nan"),
        ([1.0, 1e61, 1.0, 0.0], r"init_weights\[1\] is 1e\+61"),
    ],
)
def test_invalid_given_weights_are_reported(
    client: shoal.Client, name: str, weights: list[float], message: str
) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match=message):
        client.create_session(name, 4, init=MIDDLES, init_weights=weights)


@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_summarized_rows_count_like_the_rows_themselves(
    client: shoal.Client, name: str, rule: shoal.UpdateRule
) -> None:
    points = rows(20_000, 0)
    session = client.create_session(name, 4, random_state=0, update_rule=rule, summary_size=400)

    results = list(
        session.ingest(
            shoal.summarize(points[start : start + 5000], 200, random_state=0) for start in range(0, 20_000, 5000)
        )
    )

    assert sum(result.weight for result in results) == pytest.approx(20_000)
    snapshot = session.centroids()
    assert snapshot.weights.sum() == pytest.approx(20_000)
    if rule == "refined":
        np.testing.assert_allclose(in_order(snapshot.centroids), in_order(MIDDLES), atol=0.2)
        assert results[-1].inertia / 5000 == pytest.approx(2.0, rel=0.1)
