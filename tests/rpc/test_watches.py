"""The responses of a watch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from shoal.v1 import clustering_pb2
from tests.rpc.wire import Wire, array, batch, config, duration, plain
from tests.versions import newest_version

CENTROIDS = np.array([[0.0], [100.0], [200.0]])
OFTEN = duration(1)
SELDOM = duration(3600)

Event = clustering_pb2.WatchCentroidsResponse


def test_a_watcher_of_a_warming_session_gets_its_progress_and_then_version_1(wire: Wire, name: str) -> None:
    wire.create(name, config(2, init_size=6))
    watch = wire.watch(name, progress_interval=OFTEN)

    seen = next(watch).progress.warming.seen
    wire.push(name, batch([[0.0], [1.0], [8.0], [9.0]]))
    later = next(event.progress for event in watch if event.progress.warming.seen != seen)
    result = wire.push(name, batch([[0.0], [9.0]]))
    first = next(event.update for event in watch if not event.HasField("progress"))

    assert (seen, later.warming.seen, later.warming.needed, later.version) == (0, 4, 6, 0)
    assert first.snapshot == wire.centroids(name)
    assert first.snapshot.version == newest_version([result])
    watch.cancel()


def test_every_version_is_sent_to_a_watcher_that_keeps_up(wire: Wire, name: str) -> None:
    wire.create(name, plain(3, init=CENTROIDS))
    watch = wire.watch(name)

    for version in range(50):
        assert next(watch).update.snapshot == wire.centroids(name)
        assert wire.push(name, batch([[float(version)]])).version == version + 1
    watch.cancel()


def test_a_quiet_watch_says_which_version_is_the_newest(wire: Wire, name: str) -> None:
    uid = wire.create(name, config(3, init=CENTROIDS)).uid
    wire.push(name, batch(CENTROIDS))
    watch = wire.watch(name, after_version=1, progress_interval=OFTEN)

    signs = [next(watch).progress for _ in range(2)]

    assert signs == [clustering_pb2.WatchProgress(version=1, session_uid=uid)] * 2
    watch.cancel()


def test_no_second_version_is_sent_within_min_interval(wire: Wire, name: str) -> None:
    wire.create(name, plain(3, init=CENTROIDS))
    watch = wire.watch(name, min_interval=SELDOM, progress_interval=OFTEN)
    assert next(watch).update.snapshot.version == 0

    for value in range(50):
        wire.push(name, batch([[float(value)]]))
    since = list(_until_progress(watch, version=50))

    assert {event.WhichOneof("event") for event in since} == {"progress"}
    watch.cancel()


def test_versions_that_moved_less_than_min_shift_are_not_sent(wire: Wire, name: str) -> None:
    wire.create(name, plain(3, init=CENTROIDS))
    watch = wire.watch(name, min_shift=5, progress_interval=OFTEN)
    assert next(watch).update.snapshot.version == 0

    for value in (0.0, 1.0, 2.0, 3.0):  # the first centroid is at their mean
        wire.push(name, batch([[value]]))
    since = list(_until_progress(watch, version=4))
    wire.push(name, batch([[40.0]]))
    sent = next(event.update for event in watch if event.HasField("update"))

    assert {event.WhichOneof("event") for event in since} == {"progress"}
    assert sent.snapshot.version == 5
    watch.cancel()


def test_after_version_skips_old_versions_and_sends_the_newest_at_once(wire: Wire, name: str) -> None:
    wire.create(name, plain(3, init=CENTROIDS))
    for value in range(10):
        wire.push(name, batch([[float(value)]]))

    watch = wire.watch(name, after_version=4)
    newest = next(watch).update.snapshot.version
    wire.push(name, batch([[0.0]]))

    assert (newest, next(watch).update.snapshot.version) == (10, 11)
    watch.cancel()


def test_deltas_have_the_rows_that_moved_and_add_up_to_whole_centroids(wire: Wire, name: str) -> None:
    wire.create(name, plain(3, init=CENTROIDS))
    watch = wire.watch(name, delta=True)
    whole = array(next(watch).update.snapshot.centroids).copy()

    for version, (value, moved) in enumerate([(110.0, [1]), (190.0, [2]), (-3.0, [0]), (120.0, [1])], start=1):
        wire.push(name, batch([[value]]))
        update = next(watch).update
        whole[array(update.rows)] = array(update.snapshot.centroids)

        assert array(update.rows).tolist() == moved
        assert update.base_version == version - 1
        np.testing.assert_array_equal(whole, array(wire.centroids(name).centroids))
        assert update.snapshot.weights == wire.centroids(name).weights
    watch.cancel()


def test_a_delta_of_a_version_in_which_nothing_moved_has_no_rows(wire: Wire, name: str) -> None:
    wire.create(name, config(3, init=CENTROIDS))
    watch = wire.watch(name, delta=True)
    next(watch)

    wire.push(name, batch([[0.0]], sample_weight=np.zeros(1)))
    update = next(watch).update

    assert update.HasField("rows")
    assert (list(update.rows.shape), list(update.snapshot.centroids.shape)) == ([0], [0, 1])
    assert update.snapshot.version == 1
    watch.cancel()


@pytest.mark.parametrize("warm", [True, False])
def test_the_last_message_of_a_watch_says_that_the_session_was_deleted(wire: Wire, name: str, warm: bool) -> None:
    wire.create(name, config(3, init=CENTROIDS) if warm else config(3))
    wire.push(name, batch([[1.0]]))
    watches = [wire.watch(name, progress_interval=OFTEN) for _ in range(3)]
    for watch in watches:
        next(watch)

    wire.delete(name)
    last = [list(watch)[-1] for watch in watches]

    end = clustering_pb2.WatchEnd(reason=clustering_pb2.WATCH_END_REASON_DELETED, version=1 if warm else 0)
    assert last == [Event(end=end)] * 3
    assert {watch.code() for watch in watches} == {grpc.StatusCode.OK}


def test_watchers_are_counted_while_they_watch(wire: Wire, name: str) -> None:
    wire.create(name, config(3, init=CENTROIDS))
    watches = [wire.watch(name) for _ in range(3)]
    for watch in watches:
        next(watch)

    assert wire.describe(name).watchers == 3
    for watch in watches:
        watch.cancel()
    while wire.describe(name).watchers:
        pass


def _until_progress(watch: Any, version: int) -> Iterator[Event]:
    for event in watch:
        yield event
        if event.progress.version == version:
            return
