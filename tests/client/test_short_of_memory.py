"""A server at its memory limit ends calls and says when to go on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import shoal
from shoal.v1 import clustering_pb2
from tests.client.drivers import Driver
from tests.client.fake_server import FakeServer, Ingesting, described, short_of_memory, streams

X = np.zeros((1, 2))


@pytest.fixture
def session(driver: Driver, fake: FakeServer) -> Iterator[shoal.Session]:
    with driver.connect(fake.target) as client:
        yield client.session("fake")


def test_an_ingest_that_the_server_ended_for_want_of_memory_goes_on(fake: FakeServer, session: shoal.Session) -> None:
    fake.plays("Ingest", Ingesting(batches=2, then=short_of_memory), Ingesting(batches=None))

    assert [result.sequence for result in session.ingest([X] * 5)] == [1, 2, 3, 4, 5]


def test_a_watch_that_the_server_ended_for_want_of_memory_goes_on(fake: FakeServer, session: shoal.Session) -> None:
    end = clustering_pb2.WatchCentroidsResponse(end=clustering_pb2.WatchEnd())
    fake.plays("GetSession", described())
    fake.plays("WatchCentroids", short_of_memory, streams(end))

    assert list(session.watch()) == []
    assert fake.count("WatchCentroids") == 2


def test_a_call_that_the_server_has_no_memory_for_fails_at_once_and_says_when_to_call_again(
    fake: FakeServer, session: shoal.Session
) -> None:
    fake.plays("GetSession", short_of_memory)

    with pytest.raises(shoal.LimitExceededError) as caught:
        session.describe()

    assert caught.value.retry_after is not None
    assert fake.count("GetSession") == 1
