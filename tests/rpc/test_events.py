"""Events over the wire: listed, and in the stream of a watch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from shoal.testing import LocalServer
from shoal.v1 import events_pb2, sessions_pb2
from tests.clustering.test_refined import blobs
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.wire import Wire, array, batch, config

REFINED = sessions_pb2.UPDATE_RULE_REFINED
POINTS = blobs(4_000, ordered=True)


def refined(**fields: Any) -> sessions_pb2.SessionConfig:
    return config(8, update_rule=REFINED, summary_size=400, random_state=3, **fields)


def push_all(wire: Wire, name: str, rows: int = 100) -> None:
    for start in range(0, len(POINTS), rows):
        wire.push(name, batch(POINTS[start : start + rows]))


def listed(wire: Wire, name: str, page_size: int = 1000) -> list[events_pb2.Event]:
    """Return all events, page by page."""
    found: list[events_pb2.Event] = []
    while page := wire.events(name, found[-1].number if found else 0, page_size).events:
        found += page
    return found


def watched(watch: Any, count: int) -> list[events_pb2.Event]:
    """Return so many events of a watch."""
    found: list[events_pb2.Event] = []
    while len(found) < count:
        found += next(watch).events.events
    return found


def configure(wire: Wire, name: str, times: int) -> None:
    """Make events that take no computing."""
    for number in range(times):
        wire.update(name, config(on_invalid=2 - number % 2), ["on_invalid"])


def test_a_session_lists_what_happened_to_it(wire: Wire, name: str) -> None:
    wire.create(name, refined())
    push_all(wire, name)
    configure(wire, name, 2)

    page = wire.events(name, page_size=1000)

    events = page.events
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert (page.first, page.newest, page.session_uid) == (1, len(events), wire.describe(name).uid)
    assert events[0].kind == events_pb2.EVENT_KIND_BORN
    assert (list(events[0].clusters), events[0].cluster_count, events[0].version) == (list(range(8)), 8, 1)
    assert {event.kind for event in events} >= {events_pb2.EVENT_KIND_REFINED, events_pb2.EVENT_KIND_SPLIT}
    assert list(events[-1].fields) == ["on_invalid"]
    assert events[-1].version == wire.describe(name).version
    assert datetime.now(UTC) - events[-1].time.ToDatetime(UTC) < timedelta(minutes=5)


def test_pages_of_events_follow_one_another(wire: Wire, name: str) -> None:
    wire.create(name, refined())
    push_all(wire, name)

    assert listed(wire, name, 7) == listed(wire, name)


def test_a_page_has_100_events_unless_it_is_said(wire: Wire, name: str) -> None:
    wire.create(name, config(init=np.zeros((2, 2))))
    configure(wire, name, 120)

    assert len(wire.events(name).events) == 100
    assert len(wire.events(name, page_size=101).events) == 101


def test_snapshots_have_the_ids_of_their_clusters(wire: Wire, name: str) -> None:
    wire.create(name, refined())
    push_all(wire, name)
    living: set[int] = set()
    for event in listed(wire, name):
        if event.kind in {events_pb2.EVENT_KIND_BORN, events_pb2.EVENT_KIND_SPLIT}:
            living |= set(event.clusters)
        elif event.kind != events_pb2.EVENT_KIND_REFINED:
            living -= set(event.clusters)

    snapshot = wire.centroids(name)

    assert array(snapshot.ids).dtype == np.int64
    assert set(array(snapshot.ids).tolist()) == living
    assert living != set(range(8))
    assert snapshot.estimated_inertia_per_point == [e.after for e in listed(wire, name) if e.HasField("after")][-1]


def test_an_incremental_session_has_no_estimated_inertia(wire: Wire, name: str) -> None:
    wire.create(name, config(8, update_rule=sessions_pb2.UPDATE_RULE_INCREMENTAL))
    push_all(wire, name)

    assert not wire.centroids(name).HasField("estimated_inertia_per_point")
    assert array(wire.centroids(name).ids).tolist() == list(range(8))
    assert [event.kind for event in listed(wire, name)] == [events_pb2.EVENT_KIND_BORN]


def test_a_delta_has_ids_only_where_they_differ(wire: Wire, name: str) -> None:
    wire.create(name, refined())
    wire.push(name, batch(POINTS[:100]))
    watch = wire.watch(name, delta=True)
    updates = [next(watch).update]
    for start in range(100, 2_000, 100):
        wire.push(name, batch(POINTS[start : start + 100]))
        while updates[-1].snapshot.version < wire.centroids(name).version:
            updates.append(next(watch).update)
    watch.cancel()

    ids, sent = array(updates[0].snapshot.ids).tolist(), 0
    for update in updates[1:]:
        if update.snapshot.HasField("ids"):
            assert array(update.snapshot.ids).tolist() != ids
            ids, sent = array(update.snapshot.ids).tolist(), sent + 1
    assert ids == array(wire.centroids(name).ids).tolist()
    assert 0 < sent < len(updates) / 2


def test_a_watch_gets_all_events_in_order_before_their_versions(wire: Wire, name: str) -> None:
    wire.create(name, refined())
    watch = wire.watch(name, after_event=0)
    push_all(wire, name)
    wire.delete(name)

    events: list[int] = []
    seen = 0
    for message in watch:
        events += [event.number for event in message.events.events]
        assert all(event.version > seen for event in message.events.events)
        seen = message.update.snapshot.version or seen

    assert events == list(range(1, len(events) + 1))
    assert len(events) > 10


def test_a_watch_of_events_only_resumes_after_a_number(wire: Wire, name: str) -> None:
    wire.create(name, refined())
    push_all(wire, name)
    expected = listed(wire, name)
    watch = wire.watch(name, after_event=3, events_only=True)

    assert watched(watch, len(expected) - 3) == expected[3:]
    configure(wire, name, 1)
    assert [event.number for event in watched(watch, 1)] == [len(expected) + 1]
    watch.cancel()


def test_a_slow_watch_gets_thousands_of_events_while_they_are_kept(wire: Wire, name: str) -> None:
    wire.create(name, config(init=np.zeros((2, 2))))
    watch = wire.watch(name, after_event=0, events_only=True)
    first = next(watch).events.events
    configure(wire, name, 900)  # the watch reads nothing meanwhile

    numbers = [event.number for event in (*first, *watched(watch, 900))]
    watch.cancel()

    assert numbers == list(range(1, 902))


def test_a_session_keeps_max_events_of_them(few_events: Wire, name: str) -> None:
    few_events.create(name, config(init=np.zeros((2, 2))))
    configure(few_events, name, 30)

    page = few_events.events(name)
    watch = few_events.watch(name, after_event=4, events_only=True)

    assert (page.first, page.newest) == (22, 31)
    assert [event.number for event in page.events] == list(range(22, 32))
    assert [event.number for event in watched(watch, 10)] == list(range(22, 32))
    watch.cancel()


def test_a_change_that_is_refused_makes_no_event(wire: Wire, name: str) -> None:
    wire.create(name, config(init=np.zeros((2, 2))))

    refused_call(lambda: wire.update(name, config(half_life=sessions_pb2.HalfLife(value=-1)), ["half_life"]))

    assert len(listed(wire, name)) == 1


BAD = {
    "after -1": ({"after": -1}, Refusal("EVENT_NEGATIVE", ("after is -1",), "after")),
    "after 2": ({"after": 2}, Refusal("EVENT_IN_FUTURE", ("after is 2", "newest event is 1"), "after")),
    "1,001 a page": ({"page_size": 1001}, Refusal("PAGE_SIZE_INVALID", ("page_size is 1001",), "page_size")),
}


@pytest.mark.parametrize("case", BAD)
def test_a_list_of_events_that_can_not_be_is_refused(wire: Wire, name: str, case: str) -> None:
    wire.create(name, config(init=np.zeros((2, 2))))
    arguments, refusal = BAD[case]

    refusal.check(refused_call(lambda: wire.events(name, **arguments)))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"events_only": True}, "EVENT_MISSING"),
        ({"after_event": -1}, "EVENT_NEGATIVE"),
        ({"after_event": 2**62, "events_only": True}, "EVENT_IN_FUTURE"),
    ],
)
def test_a_watch_of_events_that_can_not_be_is_refused(
    wire: Wire, name: str, options: dict[str, Any], reason: str
) -> None:
    wire.create(name, config(init=np.zeros((2, 2))))

    status = refused_call(lambda: next(wire.watch(name, **options)))

    Refusal(reason, ("after_event",), "after_event").check(status)


@pytest.fixture(scope="module")
def few_events() -> Iterator[Wire]:
    with LocalServer(max_events=10) as server, Wire(server.target) as wire:
        yield wire
