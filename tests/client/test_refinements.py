"""Results, snapshots and updates say whether a refinement was made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import shoal
from shoal import wire
from shoal.v1 import clustering_pb2
from tests.client.drivers import Driver
from tests.client.fake_server import FakeServer, answers, described, streams

OPENED = clustering_pb2.IngestResponse(opened=clustering_pb2.IngestOpened(session_uid="uid-1", epoch=1))
POINTS = np.zeros((1, 1))


@pytest.fixture
def session(driver: Driver, fake: FakeServer) -> Iterator[shoal.Session]:
    fake.plays("GetSession", described())
    with driver.connect(fake.target) as client:
        yield client.session("fake")


def snapshot(version: int, *, refined: bool) -> clustering_pb2.Snapshot:
    zero = wire.tensor_message(np.zeros(1))
    centroids = wire.tensor_message(np.zeros((1, 1)))
    return clustering_pb2.Snapshot(
        version=version, centroids=centroids, weights=zero, movement=zero, session_uid="uid-1", refined=refined
    )


@pytest.mark.parametrize("refined", [True, False])
def test_a_push_says_whether_a_refinement_followed(fake: FakeServer, session: shoal.Session, refined: bool) -> None:
    fake.plays("Push", answers(clustering_pb2.BatchResult(version=1, accepted=1, refined=refined)))

    assert session.push(POINTS).refined == refined


def test_each_result_of_an_ingest_says_whether_a_refinement_followed(fake: FakeServer, session: shoal.Session) -> None:
    results = [
        clustering_pb2.BatchResult(sequence=1, version=1, accepted=1, refined=True),
        clustering_pb2.BatchResult(sequence=2, version=3, accepted=1),
    ]

    def play(requests: Iterator[clustering_pb2.IngestRequest], _: object) -> Iterator[clustering_pb2.IngestResponse]:
        next(requests)
        yield OPENED
        taken = 0
        for request in requests:
            for _batch in request.batches:
                yield clustering_pb2.IngestResponse(results=[results[taken]])
                taken += 1

    fake.plays("Ingest", play)

    assert [(each.version, each.refined) for each in session.ingest([POINTS, POINTS])] == [(1, True), (3, False)]


@pytest.mark.parametrize("refined", [True, False])
def test_the_centroids_say_whether_a_refinement_made_them(
    fake: FakeServer, session: shoal.Session, refined: bool
) -> None:
    fake.plays("GetCentroids", answers(snapshot(4, refined=refined)))

    assert session.centroids().refined == refined


def test_each_update_of_a_watch_says_whether_a_refinement_made_it(fake: FakeServer, session: shoal.Session) -> None:
    updates = [clustering_pb2.CentroidUpdate(snapshot=snapshot(version, refined=version == 2)) for version in (1, 2, 3)]
    end = clustering_pb2.WatchEnd(reason=clustering_pb2.WATCH_END_REASON_DELETED, version=3)
    fake.plays(
        "WatchCentroids",
        streams(
            *(clustering_pb2.WatchCentroidsResponse(update=each) for each in updates),
            clustering_pb2.WatchCentroidsResponse(end=end),
        ),
    )

    assert [(each.version, each.refined) for each in session.watch()] == [(1, False), (2, True), (3, False)]
