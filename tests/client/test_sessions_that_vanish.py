"""A session that ends during a stream: the error says that it was there, and why it may be gone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest

import shoal
from tests.client.drivers import Driver
from tests.client.fake_server import FakeServer, Ingesting, described, gone, streams, unavailable

X = np.zeros((1, 2))


@pytest.fixture
def faked(driver: Driver, fake: FakeServer) -> Iterator[shoal.Session]:
    with driver.connect(fake.target) as client:
        yield client.session("fake")


def test_an_ingest_resumed_after_a_restart_says_that_its_session_is_gone(
    fake: FakeServer, faked: shoal.Session
) -> None:
    fake.plays("Ingest", Ingesting(batches=1, then=unavailable), gone)

    with pytest.raises(shoal.SessionNotFoundError) as raised:
        list(faked.ingest([X] * 3))

    assert raised.value.message == (
        "session 'fake' is gone since this ingest began: it was deleted, or the server restarted (sessions are kept in "
        "memory). Create it and push everything again"
    )
    assert (raised.value.reason, raised.value.session) == ("SESSION_NOT_FOUND", "fake")


def test_a_watch_resumed_after_a_restart_says_that_its_session_is_gone(fake: FakeServer, faked: shoal.Session) -> None:
    fake.plays("GetSession", described())
    fake.plays("WatchCentroids", streams(then=unavailable), gone)

    with pytest.raises(shoal.SessionNotFoundError, match="'fake' is gone since this watch began"):
        list(faked.watch())


def test_a_session_deleted_during_an_ingest_is_said_to_be_gone(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=[[0.0, 0.0], [1.0, 1.0]])
    results = session.ingest(X for _ in count())
    next(results)

    session.delete()

    with pytest.raises(shoal.SessionNotFoundError, match=f"^session '{name}' is gone since this ingest began"):
        list(results)


def test_a_session_that_was_never_there_is_to_be_created(client: shoal.Client, name: str) -> None:
    for stream in (client.session(name).ingest([X]), client.session(name).watch()):
        with pytest.raises(shoal.SessionNotFoundError, match="create it first"):
            list(stream)
