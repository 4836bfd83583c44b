"""Numbers at the limits of their types: values that can't be kept or sent back are refused on arrival."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, compare_pb2, compare_pb2_grpc, sessions_pb2
from shoal_server.sessions.producers import MAX_CHOSEN_EPOCH
from tests.rpc.bad_points import GOOD
from tests.rpc.conftest import SMALL
from tests.rpc.refusals import Refusal, no_session, refused_call
from tests.rpc.ways import UPDATING, NamedIngest, Way, opening
from tests.rpc.wire import Wire, batch, config, tensor

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
MAX_INT64 = 2**63 - 1
MAX_SECONDS = 315_576_000_000  # of a Duration
BAD_DURATIONS = {
    "the most seconds that there are": Duration(seconds=MAX_INT64),
    "the least": Duration(seconds=-MAX_INT64),
    "a second too many": Duration(seconds=MAX_SECONDS + 1),
    "a nanosecond too many": Duration(seconds=MAX_SECONDS, nanos=1),
    "nanos of another sign": Duration(seconds=1, nanos=-1),
    "a second of nanos": Duration(nanos=10**9),
}
INVALID = ("seconds", "nanos", "the same sign")


@pytest.fixture
def small_wire(small_server: LocalServer) -> Iterator[Wire]:
    with Wire(small_server.target) as wire:
        yield wire


@pytest.mark.parametrize("idle_ttl", BAD_DURATIONS.values(), ids=BAD_DURATIONS)
def test_a_session_with_an_idle_ttl_too_large_for_a_message_is_refused(
    wire: Wire, name: str, idle_ttl: Duration
) -> None:
    status = refused_call(lambda: wire.create(name, config(idle_ttl=idle_ttl)))

    Refusal("DURATION_INVALID", ("config.idle_ttl", *INVALID), "config.idle_ttl").check(status)
    no_session(name).check(refused_call(lambda: wire.describe(name)))
    wire.sessions.ListSessions(sessions_pb2.ListSessionsRequest())


def test_the_longest_idle_ttl_is_returned_unchanged(wire: Wire, name: str) -> None:
    longest = Duration(seconds=MAX_SECONDS)

    wire.create(name, config(idle_ttl=longest))

    assert wire.describe(name).config.idle_ttl == longest


@pytest.mark.parametrize("bad", BAD_DURATIONS.values(), ids=BAD_DURATIONS)
def test_a_session_keeps_its_idle_ttl_when_the_new_one_is_invalid(wire: Wire, name: str, bad: Duration) -> None:
    before = wire.create(name, config(idle_ttl=Duration(seconds=77)))

    status = refused_call(lambda: wire.update(name, config(idle_ttl=bad), ["idle_ttl"]))

    Refusal("DURATION_INVALID", INVALID, "config.idle_ttl").check(status)
    assert wire.describe(name) == before


@pytest.mark.parametrize("field", ["min_interval", "progress_interval"])
def test_a_watch_with_a_duration_too_large_for_a_message_is_refused(wire: Wire, name: str, field: str) -> None:
    wire.create(name, config(init=GOOD))

    status = refused_call(lambda: list(wire.watch(name, **{field: Duration(seconds=MAX_INT64)})))

    Refusal("DURATION_INVALID", (field, *INVALID), field).check(status)


@pytest.mark.parametrize("epoch", [MAX_CHOSEN_EPOCH + 1, MAX_INT64])
def test_the_largest_epoch_is_refused_and_takes_no_producer_name(wire: Wire, name: str, epoch: int) -> None:
    wire.create(name, config(init=GOOD))
    producer = clustering_pb2.Producer(id="tester", epoch=epoch)
    invalid = Refusal("PRODUCER_INVALID", (str(epoch), "use the one that the server gave"), "producer.epoch")

    opened = clustering_pb2.IngestRequest(open=clustering_pb2.IngestOpen(session=name, producer=producer))
    invalid.check(refused_call(lambda: list(wire.clustering.Ingest(iter([opened])))))
    invalid.check(refused_call(lambda: wire.push(name, batch(GOOD, sequence=1), producer)))

    with NamedIngest(wire, name) as way:
        assert way.opened.epoch == 1
        assert way.accepted(batch(GOOD)).version == 1


def test_the_server_gives_larger_epochs_after_the_largest_that_a_producer_may_choose(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    chosen = clustering_pb2.Producer(id="tester", epoch=MAX_CHOSEN_EPOCH)
    wire.push(name, batch(GOOD, sequence=1), chosen)

    (answer,) = wire.clustering.Ingest(iter([opening(name, "tester")]))
    given = answer.opened.epoch

    assert given == MAX_CHOSEN_EPOCH + 1
    assert wire.push(name, batch(GOOD, sequence=2), clustering_pb2.Producer(id="tester", epoch=given)).version == 2


@pytest.mark.parametrize(
    "moment",
    [
        Timestamp(seconds=MAX_INT64),
        Timestamp(seconds=-(2**63)),
        Timestamp(seconds=253_402_300_800),
        Timestamp(seconds=-62_135_596_801),
        Timestamp(seconds=1, nanos=-1),
        Timestamp(seconds=1, nanos=10**9),
    ],
    ids=str,
)
@pytest.mark.parametrize("open_way", UPDATING)
def test_an_event_time_outside_the_range_of_a_timestamp_is_refused(
    wire: Wire, name: str, open_way: type[Way], moment: Timestamp
) -> None:
    wire.create(name, config(init=GOOD))
    bad = batch(GOOD)
    bad.event_time.CopyFrom(moment)

    with open_way(wire, name) as way:
        status = way.refused(bad)
        assert way.accepted(batch(GOOD)).version == 1

    Refusal("EVENT_TIME_INVALID", ("event_time has seconds", "years 1 to 9999"), "event_time").check(status)


def test_given_centroids_count_against_max_centroid_values(small_wire: Wire, name: str) -> None:
    columns = SMALL["max_centroid_values"] // 2 + 1
    wide = config(2, init=np.zeros((2, columns), np.uint8))

    status = refused_call(lambda: small_wire.create(name, wide))

    says = (f"n_clusters 2 times n_features {columns}", "allows 1,000")
    Refusal("TOO_MANY_VALUES", says, "config.n_clusters", EXHAUSTED).check(status)


@pytest.mark.parametrize("open_way", UPDATING)
def test_weights_count_against_max_batch_bytes_as_float64(small_wire: Wire, name: str, open_way: type[Way]) -> None:
    small_wire.create(name, config(init=[[0.0], [1.0]]))
    rows = SMALL["max_batch_bytes"] // 9 + 1
    bad = batch(np.ones((rows, 1), np.uint8), sample_weight=np.ones(rows, np.uint8))

    with open_way(small_wire, name) as way:
        status = way.refused(bad)

    Refusal("BATCH_TOO_LARGE", ("points with sample_weight", "takes 16,384"), "points", EXHAUSTED).check(status)
    small_wire.delete(name)


def test_an_update_mask_of_very_many_paths_is_refused(wire: Wire, name: str) -> None:
    wire.create(name, config())

    status = refused_call(lambda: wire.update(name, config(), ["engine"] * 10_000))

    Refusal("UPDATE_MASK_INVALID", ("10,000 fields", "at most once"), "update_mask").check(status)


def test_a_comparison_of_very_many_engines_is_refused(wire: Wire) -> None:
    engines = [compare_pb2.COMPARE_ENGINE_SCIPY] * 10_000
    request = compare_pb2.CompareRequest(points=tensor(GOOD), n_clusters=2, engines=engines)
    stub = compare_pb2_grpc.CompareServiceStub(wire.channel)

    status = refused_call(lambda: list(stub.Compare(request)))

    Refusal("ENGINES_INVALID", ("10,000", "at most once"), "engines").check(status)
