"""Broken connections: cut by a proxy before a real server, or by a fake server at the right place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

import shoal
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2
from tests.client.drivers import AioDriver, Driver, SyncDriver
from tests.client.fake_server import FakeServer, Ingesting, answers, described, starting, streams, unavailable
from tests.client.proxy import Proxy
from tests.ports import spare_port
from tests.versions import follow_one_another, newest_version

CENTROIDS = [[0.0, 0.0], [10.0, 10.0]]


@pytest.fixture
def far(driver: Driver, proxy: Proxy) -> Iterator[shoal.Client]:
    """A client whose way to the server may be cut."""
    with driver.connect(proxy.target) as client:
        yield client


@pytest.fixture
def faked(driver: Driver, fake: FakeServer) -> Iterator[shoal.Session]:
    """A session of the fake server."""
    with driver.connect(fake.target) as client:
        yield client.session("fake")


def batches(n: int, rows: int = 20) -> list[NDArray[np.float32]]:
    return list(np.random.default_rng(0).normal(size=(n, rows, 2)).astype(np.float32))


def test_a_stream_cut_many_times_loses_nothing_and_counts_nothing_twice(
    far: shoal.Client, client: shoal.Client, proxy: Proxy, name: str
) -> None:
    given = batches(2000)
    cut, whole = (client.create_session(f"{name}-{which}", 3, random_state=0) for which in ("cut", "whole"))
    proxy.cut_after(*(400 + 977 * number for number in range(8)))

    results = list(far.session(cut.name).ingest(given))
    expected = list(whole.ingest(given))

    assert proxy.cuts_left == 0
    assert [result.sequence for result in results] == list(range(1, 2001))
    assert [result.version for result in results] == [result.version for result in expected]
    assert [result.inertia for result in results] == [result.inertia for result in expected]
    assert not any(result.duplicate for result in results)
    assert cut.describe().points_accepted == 2000 * 20
    np.testing.assert_array_equal(cut.centroids().centroids, whole.centroids().centroids)


def test_a_stream_cut_many_times_loses_no_labels(
    far: shoal.Client, client: shoal.Client, proxy: Proxy, name: str
) -> None:
    client.create_session(name, 2, init=[[0.0], [9.0]])
    points = np.array([[0], [9], [9]], np.uint8)
    given = [np.repeat(points, 2**17 + number, axis=0) for number in range(40)]  # with 1.5 MB of labels each
    proxy.cut_after(*[9_000_000] * 5)

    results = list(far.session(name).ingest(given, return_labels=True))

    assert proxy.cuts_left == 0
    assert not any(result.forgotten for result in results)
    for result, batch in zip(results, given, strict=True):
        np.testing.assert_array_equal(result.labels, batch[:, 0] == 9)


def test_connection_cut_while_the_source_waits_goes_unnoticed(
    driver: Driver, far: shoal.Client, client: shoal.Client, proxy: Proxy, name: str
) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    go_on = threading.Event()

    def waiting() -> Iterator[Any]:
        yield from batches(3)
        go_on.wait()
        yield from batches(3)

    results = far.session(name).ingest(driver.source(waiting()))
    received = [next(results) for _ in range(3)]
    proxy.cut()
    go_on.set()
    received += results

    assert [result.sequence for result in received] == [1, 2, 3, 4, 5, 6]
    assert follow_one_another(received)
    assert session.describe().version == newest_version(received)
    assert proxy.connections == 2


def test_batches_of_an_earlier_call_are_duplicates_even_if_the_connection_is_cut(
    far: shoal.Client, client: shoal.Client, proxy: Proxy, name: str
) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    list(session.ingest(batches(50), producer="tape"))
    proxy.cut_after(600, 900)

    results = list(far.session(name).ingest(batches(100), producer="tape"))

    assert proxy.cuts_left == 0
    assert [result.duplicate for result in results] == [True] * 50 + [False] * 50
    assert follow_one_another(results)
    assert session.describe().version == newest_version(results)


def test_an_assign_stream_continues_after_its_connection_is_cut(
    far: shoal.Client, client: shoal.Client, proxy: Proxy, name: str
) -> None:
    client.create_session(name, 2, init=CENTROIDS)
    proxy.cut_after(500, 1500)
    arrays = [np.full((n % 7 + 1, 2), 10.0 * (n % 2)) for n in range(300)]

    found = [answer.labels.tolist() for answer in far.session(name).assign_stream(arrays)]

    assert proxy.cuts_left == 0
    assert found == [[n % 2] * (n % 7 + 1) for n in range(300)]


@pytest.mark.parametrize("delta", [False, True])
def test_a_watch_continues_after_the_last_version_seen(
    far: shoal.Client, client: shoal.Client, proxy: Proxy, name: str, delta: bool
) -> None:
    session = client.create_session(name, 2, init=CENTROIDS, update_rule="incremental")  # one version a push
    updates = far.session(name).watch(delta=delta)
    seen = [next(updates)]

    for number, batch in enumerate(batches(30, rows=1)):
        if number % 10 == 5:
            proxy.cut()
        session.push(batch)
        seen.append(next(updates))
        np.testing.assert_array_equal(seen[-1].centroids, session.centroids().centroids)
    proxy.cut()
    session.push(batches(1)[0])
    seen.append(next(updates))

    assert [update.version for update in seen] == list(range(32))
    assert all(older.version < newer.version for older, newer in pairwise(seen))
    assert proxy.connections > 3


def test_watch_raises_when_its_session_ended_while_the_connection_was_cut(
    far: shoal.Client, client: shoal.Client, proxy: Proxy, name: str
) -> None:
    session = client.create_session(name, 2, init=CENTROIDS)
    updates = far.session(name).watch()
    next(updates)

    session.delete()
    client.create_session(name, 2, init=CENTROIDS)
    proxy.cut()

    # The end may have been read before the cut.
    assert next(updates, None) is None


def test_stream_raises_when_the_server_restarts_without_the_session(name: str) -> None:
    drivers: list[Driver] = [SyncDriver(), AioDriver()]
    go_on = threading.Event()

    def waiting() -> Iterator[Any]:
        yield from batches(2)
        go_on.wait()
        yield from batches(2)

    with ExitStack() as stack, LocalServer(port=spare_port()) as server:
        clients = [stack.enter_context(driver.connect(server.target)) for driver in drivers]
        sessions = [
            client.create_session(f"{name}-{number}", 2, init=CENTROIDS) for number, client in enumerate(clients)
        ]
        streams = [session.ingest(driver.source(waiting())) for session, driver in zip(sessions, drivers, strict=True)]
        watches = [session.watch() for session in sessions]
        assert [next(stream).sequence for stream in streams * 2] == [1, 1, 2, 2]
        assert [next(watch).points_accepted for watch in watches] == [40, 40]
        server.kill()
        server.start()
        stack.callback(go_on.set)
        with shoal.connect(server.target) as other:
            for session in sessions:
                other.create_session(session.name, 2, init=CENTROIDS)
            go_on.set()

            for stream, watch in zip(streams, watches, strict=True):
                with pytest.raises(shoal.SessionReplacedError, match="another one"):
                    list(stream)
                with pytest.raises(shoal.SessionNotFoundError):
                    list(watch)
            assert [session.version for session in other.list_sessions()] == [0, 0]
    for driver in drivers:
        driver.close()


def test_a_resumed_stream_has_the_same_producer_and_sends_the_unanswered_batches(
    fake: FakeServer, faked: shoal.Session
) -> None:
    first = Ingesting(batches=3, then=unavailable)
    second = Ingesting(batches=None, last_sequence=5)
    fake.plays("Ingest", first, second)

    results = list(faked.ingest(batches(8)))

    assert first.opening is not None
    assert second.opening is not None
    assert (first.opening.producer.epoch, second.opening.producer.epoch) == (0, 7)
    assert first.opening.producer.id == second.opening.producer.id != ""
    assert first.opening.producer.ephemeral
    assert second.opening.producer.ephemeral
    assert first.received == [1, 2, 3]
    assert second.received == [4, 5, 6, 7, 8]
    assert [result.sequence for result in results] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert not any(result.duplicate for result in results)  # 4 and 5 were, but by our own doing


def test_a_stream_that_ends_without_an_error_is_resumed(fake: FakeServer, faked: shoal.Session) -> None:
    fake.plays("Ingest", Ingesting(batches=1), Ingesting(batches=2), Ingesting(batches=None))

    assert [result.sequence for result in faked.ingest(batches(6))] == [1, 2, 3, 4, 5, 6]


def test_stream_with_everything_answered_ends_however_the_connection_ends(
    fake: FakeServer, faked: shoal.Session
) -> None:
    fake.plays("Ingest", Ingesting(batches=None, then=unavailable))

    assert len(list(faked.ingest(batches(3)))) == 3
    assert fake.count("Ingest") == 1


def test_stream_that_is_never_opened_fails_after_the_call_timeout(driver: Driver, fake: FakeServer) -> None:
    fake.plays("Ingest", Ingesting(batches=-1))

    with driver.connect(fake.target, timeout=0.5) as client, pytest.raises(shoal.UnavailableError):
        list(client.session("fake").ingest(batches(1)))

    assert 1 < fake.count("Ingest") < 6


def test_a_stream_waits_for_a_starting_server(fake: FakeServer, faked: shoal.Session) -> None:
    fake.plays("GetSession", *[starting] * 5, described())
    fake.plays("Ingest", *[starting] * 5, Ingesting(batches=None))

    assert faked.describe().uid == "uid-1"
    assert [result.sequence for result in faked.ingest(batches(3))] == [1, 2, 3]


def test_ingest_raises_when_another_session_has_taken_the_name(fake: FakeServer, faked: shoal.Session) -> None:
    fake.plays("Ingest", Ingesting(batches=1, then=unavailable), Ingesting(batches=None, uid="uid-2"))
    results = faked.ingest(batches(3))
    next(results)

    with pytest.raises(shoal.SessionReplacedError) as caught:
        list(results)

    assert caught.value.session == "fake"
    assert caught.value.reason == "SESSION_REPLACED"


def test_results_out_of_order_are_a_bug(fake: FakeServer, faked: shoal.Session) -> None:
    opened = clustering_pb2.IngestResponse(opened=clustering_pb2.IngestOpened(session_uid="uid-1", epoch=1))
    wrong = clustering_pb2.IngestResponse(results=[clustering_pb2.BatchResult(sequence=2)])
    fake.plays("Ingest", streams(opened, wrong))

    with pytest.raises(shoal.InternalError):
        list(faked.ingest(batches(3)))


def test_a_call_that_is_safe_to_repeat_is_repeated(fake: FakeServer, faked: shoal.Session) -> None:
    fake.plays("GetSession", unavailable, unavailable, described())
    fake.plays("Push", unavailable, answers(clustering_pb2.BatchResult(sequence=1, version=1)))

    assert faked.describe().uid == "uid-1"
    assert faked.push([[1.0]], producer="sensor", sequence=1).version == 1
    assert (fake.count("GetSession"), fake.count("Push")) == (3, 2)


def test_repeated_create_session_sends_the_same_request_id(driver: Driver, fake: FakeServer) -> None:
    fake.plays("CreateSession", unavailable, described())

    with driver.connect(fake.target) as client:
        client.create_session("fake", 2)
        client.create_session("fake", 2)

    first, second, third = (request.request_id for _, request in fake.calls)
    assert first == second != third


def test_push_without_a_sequence_is_not_repeated(fake: FakeServer, faked: shoal.Session) -> None:
    for method in ("Push", "UpdateSession", "DeleteSession"):
        fake.plays(method, unavailable)

    for call in (lambda: faked.push([[1.0]]), lambda: faked.update(engine="scipy"), faked.delete):
        with pytest.raises(shoal.UnavailableError, match="out for lunch"):
            call()

    assert [method for method, _ in fake.calls] == ["Push", "UpdateSession", "DeleteSession"]


def test_a_call_to_a_server_that_does_not_answer_fails_at_the_deadline(driver: Driver, fake: FakeServer) -> None:
    gone = threading.Event()

    def never(_request: object, context: grpc.ServicerContext) -> None:
        context.add_callback(gone.set)
        gone.wait()

    fake.plays("GetSession", never)

    with (
        driver.connect(fake.target, timeout=0.2) as client,
        pytest.raises(shoal.DeadlineExceededError, match="timeout"),
    ):
        client.session("fake").describe()

    assert fake.count("GetSession") == 1


def test_error_of_another_server_is_still_a_shoal_error(fake: FakeServer, faked: shoal.Session) -> None:
    def broken(_request: object, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff\xff"),))
        context.abort(grpc.StatusCode.UNKNOWN, "something between")

    fake.plays("GetSession", broken)

    with pytest.raises(shoal.InternalError, match="something between"):
        faked.describe()
