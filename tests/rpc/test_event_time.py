"""A half-life in seconds of event time, as it comes over the wire."""

from __future__ import annotations

import time

import numpy as np
import pytest

from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.inprocess import InProcessServer
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import Wire, array, batch, plain

HALF_LIFE = sessions_pb2.HalfLife(value=10, unit=sessions_pb2.HALF_LIFE_UNIT_SECONDS)
EPOCH = 1_700_000_000.0  # some day in 2023


def state(wire: Wire, name: str) -> tuple[float, float]:
    """Return the only centroid and its weight."""
    snapshot = wire.centroids(name)
    return array(snapshot.centroids).item(), array(snapshot.weights).item()


@pytest.fixture
def session(wire: Wire, name: str) -> str:
    wire.create(name, plain(1, init=np.zeros((1, 1)), half_life=HALF_LIFE))
    return name


def test_points_one_half_life_older_than_a_batch_count_half(wire: Wire, session: str) -> None:
    wire.push(session, batch(np.full((4, 1), 3.0), event_time=EPOCH))

    wire.push(session, batch(np.full((1, 1), 9.0), event_time=EPOCH + 10))

    assert state(wire, session) == pytest.approx((5.0, 3.0), rel=1e-12)


def test_batches_with_the_same_event_time_forget_nothing(wire: Wire, session: str) -> None:
    for value in (1.0, 2.0, 6.0):
        wire.push(session, batch(np.full((1, 1), value), event_time=EPOCH))

    assert state(wire, session) == pytest.approx((3.0, 3.0), rel=1e-12)


def test_event_times_count_fractions_of_a_second(wire: Wire, session: str) -> None:
    wire.push(session, batch(np.ones((1, 1)), event_time=EPOCH))

    wire.push(session, batch(np.ones((1, 1)), event_time=EPOCH + 0.25))

    assert state(wire, session)[1] == pytest.approx(1 + 0.5**0.025, rel=1e-8)


def test_a_late_batch_counts_as_if_it_had_come_in_time(wire: Wire, name: str) -> None:
    early, late = batch(np.full((4, 1), 3.0), event_time=EPOCH), batch(np.full((1, 1), 9.0), event_time=EPOCH + 20)
    for suffix, order in (("in-order", (early, late)), ("late", (late, early))):
        wire.create(f"{name}-{suffix}", plain(1, init=np.zeros((1, 1)), half_life=HALF_LIFE))
        for message in order:
            wire.push(f"{name}-{suffix}", message)

    assert state(wire, f"{name}-late") == pytest.approx(state(wire, f"{name}-in-order"), rel=1e-12)
    assert state(wire, f"{name}-late") == pytest.approx((6.0, 2.0), rel=1e-12)


def test_event_times_long_ago_work_like_recent_ones(wire: Wire, session: str) -> None:
    for moment in (-62_135_596_800.0, -1.5, 0.0, EPOCH):
        wire.push(session, batch(np.full((1, 1), moment), event_time=moment))

    assert state(wire, session) == (EPOCH, 1.0)


@pytest.mark.parametrize("ahead", [400.0, 365 * 86_400.0, 253_402_300_799.0 - EPOCH])
def test_a_batch_from_the_future_is_refused_and_later_batches_count_in_full(
    wire: Wire, session: str, ahead: float
) -> None:
    now = time.time()
    moment = min(now + ahead, 253_402_300_799.0)

    refusal = refused_call(lambda: wire.push(session, batch(np.full((4, 1), 9.0), event_time=moment)))
    after = wire.push(session, batch(np.full((1, 1), 3.0), event_time=now))

    says = ("seconds ahead of the server's", "at most 300 are allowed", "SHOAL_MAX_EVENT_TIME_AHEAD")
    Refusal("EVENT_TIME_AHEAD", says, field="event_time").check(refusal)
    assert (after.version, after.late, after.HasField("weight")) == (1, 0.0, False)
    assert state(wire, session) == (3.0, 1.0)


def test_a_batch_slightly_ahead_of_the_servers_clock_is_accepted(wire: Wire, session: str) -> None:
    assert wire.push(session, batch(np.ones((1, 1)), event_time=time.time() + 200)).version == 1


def test_a_batch_from_the_future_is_refused_even_without_a_half_life(wire: Wire, name: str) -> None:
    # One may be asked for later, and the newest event time is kept.
    wire.create(name, plain(1, init=np.zeros((1, 1))))

    refusal = refused_call(lambda: wire.push(name, batch(np.ones((1, 1)), event_time=time.time() + 1e6)))

    Refusal("EVENT_TIME_AHEAD", ("at most 300 are allowed",), field="event_time").check(refusal)


def test_a_batch_from_the_future_uses_its_sequence_and_the_stream_continues(wire: Wire, session: str) -> None:
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(session, "p"))
        stream.receive()
        points = np.ones((2, 1))
        stream.send(
            clustering_pb2.IngestRequest(
                batches=[
                    batch(points, sequence=1, event_time=EPOCH),
                    batch(points, sequence=2, event_time=time.time() + 1e6),
                    batch(points, sequence=3, event_time=EPOCH + 1),
                ]
            )
        )
        results = [result for answer in stream.rest() for result in answer.results]

    assert [result.version for result in results] == [1, 0, 2]
    assert results[1].HasField("error")
    assert results[1].sequence == 2


def test_max_event_time_ahead_sets_how_far_ahead_a_batch_may_be(name: str) -> None:
    with InProcessServer(max_event_time_ahead=3e11) as server, Wire(server.target) as wire:
        wire.create(name, plain(1, init=np.zeros((1, 1)), half_life=HALF_LIFE))

        assert wire.push(name, batch(np.ones((1, 1)), event_time=253_402_300_799.0)).version == 1


def test_the_result_of_a_late_batch_has_its_lateness_and_weight(wire: Wire, session: str) -> None:
    rows = np.ones((4, 1))
    results = [wire.push(session, batch(rows, event_time=EPOCH + at)) for at in (100, 90, 100, 110)]

    assert [result.late for result in results] == [0, 10, 0, 0]
    assert [result.HasField("weight") for result in results] == [False, True, False, False]
    assert results[1].weight == pytest.approx(2.0)


def test_the_result_of_a_weighted_batch_has_its_total_weight(wire: Wire, session: str) -> None:
    rows, weight = np.ones((3, 1)), np.array([1.0, 2.0, 5.0])

    first = wire.push(session, batch(rows, sample_weight=weight, event_time=EPOCH))
    late = wire.push(session, batch(rows, sample_weight=weight, event_time=EPOCH - 20))

    assert (first.weight, first.late) == (8.0, 0.0)
    assert late.weight == pytest.approx(2.0)
    assert late.late == 20.0


def test_a_late_batch_counts_in_full_without_a_half_life_in_seconds(wire: Wire, name: str) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    rows = np.ones((4, 1))
    times = (EPOCH, EPOCH - 30, None, EPOCH - 5)

    results = [wire.push(name, batch(rows, event_time=at)) for at in times]

    assert [result.late for result in results] == [0, 30, 0, 5]
    assert not any(result.HasField("weight") for result in results)


def test_each_result_of_a_message_has_the_lateness_of_its_batch(wire: Wire, name: str) -> None:
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    rows = np.ones((4, 1))
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name, "p"))
        stream.receive()
        times = (EPOCH, EPOCH, EPOCH - 30, None, EPOCH + 7, EPOCH)
        batches = [batch(rows, sequence=place, event_time=at) for place, at in enumerate(times, 1)]
        stream.send(clustering_pb2.IngestRequest(batches=batches))
        results = [result for answer in stream.rest() for result in answer.results]

    assert [result.late for result in results] == [0, 0, 30, 0, 0, 7]


def test_the_result_of_a_repeated_batch_has_its_original_weight(wire: Wire, session: str) -> None:
    producer = clustering_pb2.Producer(id="p")
    rows = np.ones((4, 1))
    wire.push(session, batch(rows, sequence=1, event_time=EPOCH), producer)

    first = wire.push(session, batch(rows, sequence=2, event_time=EPOCH - 10), producer)
    again = wire.push(session, batch(rows, sequence=2, event_time=EPOCH - 10), producer)

    assert again.duplicate
    assert (again.late, again.weight) == (first.late, first.weight)
    assert first.late == 10.0
    assert first.weight == pytest.approx(2.0)


def test_a_batch_that_is_too_late_counts_0(wire: Wire, session: str) -> None:
    wire.push(session, batch(np.ones((4, 1)), event_time=EPOCH))

    result = wire.push(session, batch(np.full((4, 1), 9.0), event_time=0.0))

    assert (result.version, result.accepted, result.weight) == (2, 4, 0.0)
    assert state(wire, session) == (1.0, 4.0)
