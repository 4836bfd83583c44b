"""A half-life in seconds of event time, as it comes over the wire."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.v1 import sessions_pb2
from tests.rpc.wire import Wire, array, batch, config

HALF_LIFE = sessions_pb2.HalfLife(value=10, unit=sessions_pb2.HALF_LIFE_UNIT_SECONDS)
EPOCH = 1_700_000_000.0  # some day in 2023


def state(wire: Wire, name: str) -> tuple[float, float]:
    """Return the only centroid and its weight."""
    snapshot = wire.centroids(name)
    return array(snapshot.centroids).item(), array(snapshot.weights).item()


@pytest.fixture
def session(wire: Wire, name: str) -> str:
    wire.create(name, config(1, init=np.zeros((1, 1)), half_life=HALF_LIFE))
    return name


def test_what_is_a_half_life_older_than_a_batch_counts_half(wire: Wire, session: str) -> None:
    wire.push(session, batch(np.full((4, 1), 3.0), event_time=EPOCH))

    wire.push(session, batch(np.full((1, 1), 9.0), event_time=EPOCH + 10))

    assert state(wire, session) == pytest.approx((5.0, 3.0), rel=1e-12)


def test_batches_of_the_same_moment_forget_nothing(wire: Wire, session: str) -> None:
    for value in (1.0, 2.0, 6.0):
        wire.push(session, batch(np.full((1, 1), value), event_time=EPOCH))

    assert state(wire, session) == pytest.approx((3.0, 3.0), rel=1e-12)


def test_fractions_of_a_second_count(wire: Wire, session: str) -> None:
    wire.push(session, batch(np.ones((1, 1)), event_time=EPOCH))

    wire.push(session, batch(np.ones((1, 1)), event_time=EPOCH + 0.25))

    assert state(wire, session)[1] == pytest.approx(1 + 0.5**0.025, rel=1e-8)


def test_a_late_batch_counts_as_if_it_had_come_in_time(wire: Wire, name: str) -> None:
    early, late = batch(np.full((4, 1), 3.0), event_time=EPOCH), batch(np.full((1, 1), 9.0), event_time=EPOCH + 20)
    for suffix, order in (("in-order", (early, late)), ("late", (late, early))):
        wire.create(f"{name}-{suffix}", config(1, init=np.zeros((1, 1)), half_life=HALF_LIFE))
        for message in order:
            wire.push(f"{name}-{suffix}", message)

    assert state(wire, f"{name}-late") == pytest.approx(state(wire, f"{name}-in-order"), rel=1e-12)
    assert state(wire, f"{name}-late") == pytest.approx((6.0, 2.0), rel=1e-12)


def test_times_before_the_epoch_and_far_away_are_only_times(wire: Wire, session: str) -> None:
    for moment in (-62_135_596_800.0, -1.5, 0.0, 253_402_300_799.0):
        wire.push(session, batch(np.full((1, 1), moment), event_time=moment))

    assert state(wire, session) == (253_402_300_799.0, 1.0)
