"""What happened to clusters: listed, followed, and told in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, events_pb2
from tests.client.drivers import PATIENCE, Driver
from tests.client.fake_server import FakeServer, unavailable
from tests.client.proxy import Proxy
from tests.client.test_refined_sessions import K, cut, sorted_blobs

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def far(driver: Driver, proxy: Proxy) -> Iterator[shoal.Client]:
    """A client whose way to the server may be cut."""
    with driver.connect(proxy.target) as client:
        yield client


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def event(kind: Any, *clusters: int, **fields: Any) -> shoal.Event:
    count = fields.pop("cluster_count", len(clusters))
    return shoal.Event(1, kind, 1, WHEN, clusters=clusters, cluster_count=count, **fields)


SENTENCES = {
    event("born", 3): "Cluster 3 was born.",
    event("born", 0, 1, 2): "Clusters 0, 1 and 2 were born.",
    event("born", *range(256), cluster_count=4000): "4,000 clusters were born.",
    event("split", 9, other=2): "Cluster 9 split from cluster 2.",
    event("merged", 4, other=7): "Cluster 4 merged into cluster 7.",
    event("merged", 4, 5, cluster_count=2000): "2,000 clusters merged into others.",
    event("reseeded", 1, other=8): "Cluster 1 had lost its points: its centroid was moved and became cluster 8.",
    event("retired", 5): "Cluster 5 was retired.",
    event("refined", before=7.5, after=6.25): (
        "The centroids were refined: the estimated inertia per point went from 7.5 to 6.25."
    ),
    event(
        "refined", before=7.5, after=7.5
    ): "The centroids were refined; the estimated inertia per point is still 7.5.",
    event("drift", before=1.0, after=12.0): ("The points have drifted: the inertia per point went from 1 to 12."),
    event("reconfigured", fields=("engine", "half_life")): "The configuration was changed: engine and half_life.",
    event("9", 5): "An event of kind 9.",
}


@pytest.mark.parametrize("told", SENTENCES, ids=lambda told: f"{told.kind} {told.cluster_count}")
def test_an_event_is_told_in_a_sentence(told: shoal.Event) -> None:
    assert str(told) == SENTENCES[told]


def test_a_session_tells_what_happened_to_its_clusters(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined", summary_size=400)
    list(session.ingest(cut(sorted_blobs(), 100)))
    session.update(half_life=shoal.HalfLife(20))

    events = session.events()
    snapshot = session.centroids()

    assert [each.number for each in events] == list(range(1, len(events) + 1))
    assert (events[0].kind, events[0].clusters, events[0].version) == ("born", tuple(range(K)), 1)
    assert (events[-1].kind, events[-1].fields) == ("reconfigured", ("half_life",))
    assert events[-1].version == snapshot.version
    assert abs(datetime.now(UTC) - events[-1].time) < timedelta(minutes=5)
    begun = {each for told in events if told.kind in {"born", "split"} for each in told.clusters}
    ended = {each for told in events if told.kind in {"merged", "reseeded", "retired"} for each in told.clusters}
    assert snapshot.ids.dtype == np.int64
    assert set(snapshot.ids.tolist()) == begun - ended
    assert ended
    assert snapshot.estimated_inertia_per_point == [told.after for told in events if told.kind == "refined"][-1]
    assert not any(each.missed for each in events)
    session.delete()


def test_events_after_a_number_are_only_the_newer_ones(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=np.zeros((2, 2)))
    for value in (3.0, 4.0):
        session.update(half_life=shoal.HalfLife(value))

    assert session.events(after=1) == session.events()[1:]
    assert session.events(after=3) == []


def test_events_after_one_in_the_future_are_refused(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, init=np.zeros((2, 2)))

    with pytest.raises(shoal.InvalidArgumentError, match="after is 7"):
        session.events(after=7)
    with pytest.raises(shoal.InvalidArgumentError, match="after is 7"):
        next(session.watch_events(after=7))


def test_events_of_an_unknown_session_raise(client: shoal.Client, name: str) -> None:
    with pytest.raises(shoal.SessionNotFoundError):
        client.session(name).events()
    with pytest.raises(shoal.SessionNotFoundError):
        next(client.session(name).watch_events())


def test_events_are_followed_until_the_session_is_deleted(
    client: shoal.Client, name: str, threads: ThreadPoolExecutor
) -> None:
    session = client.create_session(name, 2, init=np.zeros((2, 2)))
    followed = session.watch_events(after=0)
    assert next(followed).kind == "born"

    rest = threads.submit(list[Any], followed)
    session.update(half_life=shoal.HalfLife(3.0))
    session.update(on_invalid="drop")
    expected = session.events(after=1)
    session.delete()

    assert rest.result(PATIENCE) == expected
    assert [each.fields for each in expected] == [("half_life",), ("on_invalid",)]


def test_without_a_number_events_are_followed_from_the_first_next_on(
    client: shoal.Client, name: str, threads: ThreadPoolExecutor
) -> None:
    session = client.create_session(name, 2, init=np.zeros((2, 2)))
    session.update(half_life=shoal.HalfLife(3.0))
    followed = session.watch_events()

    first = threads.submit(next, followed)
    while not session.describe().watchers:
        pass
    session.update(half_life=shoal.HalfLife(4.0))

    assert first.result(PATIENCE).number == 3
    followed.close()


def test_events_are_followed_over_broken_connections_and_none_is_lost(
    far: shoal.Client, client: shoal.Client, proxy: Proxy, name: str
) -> None:
    session = client.create_session(name, 2, init=np.zeros((2, 2)))
    followed = far.session(name).watch_events(after=0)
    numbers = [next(followed).number]
    for cuts in range(3):
        proxy.cut()
        for value in range(5):
            session.update(half_life=shoal.HalfLife(10.0 * cuts + value + 1))
        numbers += [each.number for each in islice(followed, 5)]

    assert numbers == list(range(1, 17))
    followed.close()


def test_lost_events_are_told_with_the_next_one(driver: Driver, few_events: LocalServer, name: str) -> None:
    with driver.connect(few_events.target) as client:
        session = client.create_session(name, 2, init=np.zeros((2, 2)))
        for value in range(19):
            session.update(half_life=shoal.HalfLife(value + 1.0))

        assert [(each.number, each.missed) for each in session.events()] == [(17, 16), (18, 0), (19, 0), (20, 0)]
        assert [(each.number, each.missed) for each in session.events(after=10)][:2] == [(17, 6), (18, 0)]
        assert [each.missed for each in session.events(after=16)] == [0, 0, 0, 0]
        followed = session.watch_events(after=2)
        assert [(each.number, each.missed) for each in islice(followed, 4)] == [(17, 14), (18, 0), (19, 0), (20, 0)]
        followed.close()


def test_a_watch_that_is_resumed_goes_on_after_the_last_event_of_the_same_session(
    driver: Driver, fake: FakeServer
) -> None:
    requests: list[clustering_pb2.WatchCentroidsRequest] = []

    def watched(*numbers: int) -> Any:
        def play(request: clustering_pb2.WatchCentroidsRequest, context: Any) -> Any:
            requests.append(request)
            events = [events_pb2.Event(number=number, kind=events_pb2.EVENT_KIND_REFINED) for number in numbers]
            yield clustering_pb2.WatchCentroidsResponse(events=clustering_pb2.WatchEvents(events=events))
            unavailable(request, context)

        return play

    fake.plays("ListEvents", lambda *_: events_pb2.ListEventsResponse(newest=4, session_uid="uid"))
    fake.plays("WatchCentroids", watched(5, 6), watched(7))

    with driver.connect(fake.target) as client:
        followed = client.session("fake").watch_events()
        numbers = [each.number for each in islice(followed, 3)]
        followed.close()

    assert numbers == [5, 6, 7]
    assert [request.after_event for request in requests[:2]] == [4, 6]
    assert {(request.events_only, request.session_uid) for request in requests} == {(True, "uid")}


def test_a_delta_watch_has_the_ids_of_each_version(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, K, random_state=0, update_rule="refined", summary_size=400)
    batches = cut(sorted_blobs(6_000), 100)
    session.push(batches[0])
    watch = session.watch(delta=True)
    seen: set[tuple[int, ...]] = set()

    for batch in batches[1:]:
        session.push(batch)
        newest = session.centroids()
        update = next(each for each in watch if each.version == newest.version)
        np.testing.assert_array_equal(update.ids, newest.ids)
        assert update.estimated_inertia_per_point == newest.estimated_inertia_per_point
        seen.add(tuple(update.ids.tolist()))

    assert len(seen) > 2
    watch.close()
    session.delete()


@pytest.fixture(scope="module")
def few_events() -> Iterator[LocalServer]:
    with LocalServer(max_events=4) as server:
        yield server
