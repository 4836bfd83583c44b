from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import shoal
from tests.versions import newest_version

CENTROIDS = [[0.0, 0.0], [10.0, 10.0]]
POINTS = np.array([[0.0, 1.0], [10.0, 9.0], [1.0, 0.0]])


def test_push_returns_the_outcome_of_the_batch(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)

    result = session.push(POINTS, return_labels=True)

    assert (result.version, result.accepted, result.dropped) == (1, 3, 0)
    assert result.inertia == pytest.approx(3.0)
    np.testing.assert_array_equal(result.labels, [0, 1, 0])
    assert (result.duplicate, result.warming, result.error) == (False, None, None)


def test_push_returns_labels_only_when_asked(client: shoal.Client, name: str) -> None:
    assert client.create_session(name, 2, init=CENTROIDS).push(POINTS).labels is None


def test_push_to_a_warming_session_returns_its_progress(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2)

    result = session.push(POINTS)

    assert (result.version, result.warming) == (0, shoal.Warming(seen=3, needed=6))
    with pytest.raises(shoal.SessionWarmingError) as caught:
        session.centroids()
    assert caught.value.reason == "SESSION_WARMING"


def test_sample_weights_scale_the_points(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)

    session.push(POINTS, sample_weight=[3, 1, 1])

    np.testing.assert_allclose(session.centroids().weights, [4, 1])
    np.testing.assert_allclose(session.centroids().centroids[0], [0.25, 0.75])


def test_event_times_drive_a_half_life_in_seconds(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS, half_life=shoal.HalfLife(60, "seconds"))

    session.push(POINTS, event_time=datetime(2026, 1, 1, 12, 0, tzinfo=UTC))
    session.push(POINTS, event_time=datetime(2026, 1, 1, 12, 1, tzinfo=UTC))

    np.testing.assert_allclose(session.centroids().weights, [3, 1.5])


def test_a_late_batch_says_how_late_it_was_and_what_it_counted(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS, half_life=shoal.HalfLife(60, "seconds"))
    noon = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

    in_time = session.push(POINTS, event_time=noon)
    late = session.push(POINTS, event_time=noon - timedelta(minutes=1))
    weighted = session.push(POINTS, sample_weight=[4.0, 0.0, 2.0], event_time=noon)
    lost = session.push(POINTS, event_time=noon - timedelta(days=1))

    assert (in_time.late, in_time.weight) == (0.0, 3.0)
    assert (late.late, late.weight) == (60.0, 1.5)
    assert (weighted.late, weighted.weight) == (0.0, 6.0)
    assert (lost.late, lost.weight) == (86400.0, 0.0)


def test_an_event_time_far_ahead_is_refused(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS, half_life=shoal.HalfLife(60, "seconds"))

    with pytest.raises(shoal.InvalidArgumentError, match="seconds ahead of the server's") as refused:
        session.push(POINTS, event_time=datetime.now(UTC) + timedelta(days=365))

    assert refused.value.reason == "EVENT_TIME_AHEAD"


def test_repeated_sequence_is_answered_again_and_not_counted(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    first = session.push(POINTS, producer="sensor", sequence=1)

    again = session.push(POINTS, producer="sensor", sequence=1)

    assert (first.duplicate, again.duplicate) == (False, True)
    assert (again.version, again.accepted, again.sequence) == (1, 3, 1)
    assert session.describe().points_accepted == 3


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">f4", ">i8"])
def test_every_numeric_dtype_arrives_unchanged(client: shoal.Client, name: str, dtype: str) -> None:
    session = client.create_session(name, 2, init=[[0, 0], [1, 1]], dtype="float64")

    result = session.push(np.array([[0, 0], [1, 1]], dtype))

    assert (result.accepted, result.inertia) == (2, 0.0)


def test_arrays_of_any_memory_layout_are_accepted(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    doubled = np.repeat(np.repeat(POINTS, 2, axis=0), 2, axis=1)

    for layout in (np.asfortranarray(POINTS), doubled[::2, ::2], POINTS[::-1]):
        assert session.push(layout).inertia <= 3.0
    np.testing.assert_array_equal(session.assign(np.asfortranarray(POINTS)).labels, [0, 1, 0])


def test_refused_push_raises_with_reason_and_field(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)

    with pytest.raises(ValueError, match="3 columns") as caught:
        session.push(np.zeros((2, 3)))

    assert isinstance(caught.value, shoal.InvalidArgumentError)
    assert caught.value.reason
    assert caught.value.violations[0].field.startswith("points")
    assert session.push(POINTS).version == 1


def test_assigning_never_changes_the_session(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)

    answer = session.assign(POINTS, return_distances=True)

    np.testing.assert_array_equal(answer.labels, [0, 1, 0])
    assert answer.distances is not None
    np.testing.assert_allclose(answer.distances, [1, 1, 1])
    assert answer.labels.dtype == np.int32
    assert session.assign(POINTS).distances is None
    assert session.describe().version == 0


def test_the_inertia_per_point_is_that_of_the_newest_batch(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    before, given = session.describe(), session.centroids()

    results = [session.push(POINTS), session.push(POINTS[:2])]
    snapshot, described = session.centroids(), session.describe()

    assert (before.inertia_per_point, given.inertia, given.batch_points) == (None, None, 0)
    assert (snapshot.batch_points, snapshot.inertia) == (2, results[1].inertia)
    assert described.inertia_per_point == results[1].inertia / 2
    assert described.inertia_per_point > 0


def test_the_batch_that_ends_the_warming_has_its_own_inertia(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, random_state=0)
    updates = session.watch()
    session.push(POINTS[:2])
    warming = session.describe()

    result = session.push(np.vstack([POINTS, POINTS]))
    update = next(updates)

    assert warming.inertia_per_point is None
    assert (result.version, update.batch_points, update.inertia) == (1, 6, result.inertia)
    assert update.version in (1, newest_version([result]))  # a refinement may have followed
    assert session.describe().inertia_per_point == result.inertia / 6


def test_snapshot_is_complete_and_read_only(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    session.push(POINTS)

    snapshot = session.centroids()

    assert (snapshot.version, snapshot.points_accepted) == (1, 3)
    assert snapshot.session_uid == session.describe().uid
    assert snapshot.centroids.shape == (2, 2)
    np.testing.assert_allclose(snapshot.weights, [2, 1])
    assert snapshot.movement.shape == (2,)
    with pytest.raises(ValueError, match="read-only"):
        snapshot.centroids[0, 0] = 1


def test_a_push_takes_a_batch_with_its_weights(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)

    session.push(shoal.Batch(POINTS, sample_weight=[3, 1, 1]))

    np.testing.assert_allclose(session.centroids().weights, [4, 1])
