"""Streams that are dropped in every way leave no thread, no task and no call behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Generator, Iterator
from itertools import count, islice
from typing import Any

import psutil
import pytest

import shoal
from shoal.testing import LocalServer
from tests.client.drivers import Driver
from tests.client.proxy import Proxy
from tests.effort import choose

CENTROIDS = [[0.0, 0.0], [10.0, 10.0]]
POINTS = [[0.0, 1.0], [10.0, 9.0]]

Stream = Generator[Any, None, None]
Open = Callable[[shoal.Session], Stream]

OPENINGS: dict[str, Open] = {
    "ingest": lambda session: session.ingest(POINTS for _ in count()),
    "assign_stream": lambda session: session.assign_stream(POINTS for _ in count()),
    "watch": lambda session: session.watch(),
}


@pytest.fixture(params=OPENINGS)
def opening(request: pytest.FixtureRequest) -> Open:
    return OPENINGS[request.param]


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    return client.create_session(name, 2, init=CENTROIDS)


def test_a_stream_that_was_never_iterated_leaves_nothing_behind(
    driver: Driver, session: shoal.Session, opening: Open
) -> None:
    for _ in range(100):
        opening(session)

    driver.wait_for_loose_ends()


def test_a_dropped_stream_ends(driver: Driver, session: shoal.Session, opening: Open) -> None:
    for _ in range(50):
        for _first in opening(session):
            break

    driver.wait_for_loose_ends()


def test_a_closed_stream_ends(driver: Driver, session: shoal.Session, opening: Open) -> None:
    for taken in range(50):
        stream = opening(session)
        list(islice(stream, 1 if opening is OPENINGS["watch"] else taken % 5))
        stream.close()

    driver.wait_for_loose_ends()


def test_a_stream_dropped_because_of_an_exception_ends(driver: Driver, session: shoal.Session, opening: Open) -> None:
    def fail() -> None:
        for _ in opening(session):
            raise KeyError("the caller's own")

    for _ in range(20):
        with pytest.raises(KeyError):
            fail()

    driver.wait_for_loose_ends()


def test_a_stream_dropped_while_its_source_waits_ends_with_the_source(driver: Driver, session: shoal.Session) -> None:
    go_on = threading.Event()

    def waiting() -> Iterator[Any]:
        yield POINTS
        go_on.wait()

    stream = session.ingest(driver.source(waiting()))
    next(stream)

    stream.close()
    go_on.set()

    driver.wait_for_loose_ends()


def test_dropped_watch_no_longer_counts_as_a_watcher(driver: Driver, session: shoal.Session) -> None:
    streams = [session.watch() for _ in range(10)]
    for stream in streams:
        next(stream)
    assert session.describe().watchers == 10

    for stream in streams:
        stream.close()
    driver.wait_for_loose_ends()

    while session.describe().watchers:  # until the news of the last one is there
        pass


@pytest.mark.soak
def test_thousands_of_dropped_streams_leave_no_memory(driver: Driver, session: shoal.Session) -> None:
    few = [POINTS] * 20  # of endless batches, hundreds would be sent before the first result is there
    openings = OPENINGS | {"ingest": lambda session: session.ingest(few)}

    def open_and_drop(times: int) -> int:
        for _ in range(times):
            for opening in openings.values():
                for _first in opening(session):
                    break
        driver.wait_for_loose_ends()
        gc.collect()
        return int(psutil.Process().memory_info().rss)

    settled = open_and_drop(choose(150, 300))

    assert open_and_drop(choose(350, 1000)) - settled < 5 * 1024 * 1024


def test_streams_may_be_dropped_while_the_server_is_out_of_reach(
    driver: Driver, server: LocalServer, session: shoal.Session
) -> None:
    with Proxy(server.target) as proxy, driver.connect(proxy.target) as client:
        far = client.session(session.name)
        streams = [opening(far) for opening in OPENINGS.values()]
        for stream in streams:
            next(stream)
        proxy.close()

        for stream in streams:
            stream.close()

    driver.wait_for_loose_ends()
