"""The state of a watch, without any I/O."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

import shoal
from shoal import wire
from shoal._watch import CentroidWatch, new_watch
from shoal.v1 import clustering_pb2


def watch(after_version: int | None = None) -> CentroidWatch:
    return new_watch(
        "s", after_version=after_version, min_interval=None, min_shift=None, delta=True, progress_interval=None
    )


def update(
    version: int, centroids: list[list[float]], rows: list[int] | None = None, base_version: int = 0
) -> clustering_pb2.WatchCentroidsResponse:
    response = clustering_pb2.WatchCentroidsResponse()
    snapshot = response.update.snapshot
    snapshot.version = version
    snapshot.centroids.CopyFrom(wire.tensor_message(np.array(centroids, dtype=np.float64).reshape(-1, 1)))
    for tensor in (snapshot.weights, snapshot.movement):
        tensor.CopyFrom(wire.tensor_message(np.zeros(3)))
    if rows is not None:
        response.update.rows.CopyFrom(wire.tensor_message(np.array(rows, dtype=np.int32)))
        response.update.base_version = base_version
    return response


def centroids_of(received: Sequence[shoal.CentroidUpdate]) -> list[float]:
    (update,) = received
    return [float(value) for value in update.centroids[:, 0]]


def test_watch_completes_a_delta_to_all_centroids() -> None:
    state = watch()
    state.connect()

    first = state.receive(update(1, [[1], [2], [3]]))
    second = state.receive(update(2, [[30]], rows=[2], base_version=1))
    third = state.receive(update(5, [], rows=[], base_version=2))

    assert centroids_of(first) == [1, 2, 3]
    assert centroids_of(second) == centroids_of(third) == [1, 2, 30]


def test_watch_tells_versions_of_a_refinement_from_those_of_a_batch() -> None:
    state = watch()
    state.connect()
    whole, delta = update(1, [[1], [2], [3]]), update(3, [[30]], rows=[2], base_version=2)
    whole.update.snapshot.refined = delta.update.snapshot.refined = True

    received = [state.receive(each) for each in (whole, update(2, [], rows=[], base_version=1), delta)]

    assert [each.refined for (each,) in received] == [True, False, True]


def test_a_delta_without_ids_keeps_those_of_the_version_before() -> None:
    state = watch()
    state.connect()
    whole, delta = update(1, [[1], [2], [3]]), update(3, [[30]], rows=[2], base_version=2)
    whole.update.snapshot.ids.CopyFrom(wire.tensor_message(np.array([4, 0, 9])))
    delta.update.snapshot.ids.CopyFrom(wire.tensor_message(np.array([4, 10, 9])))

    received = [state.receive(each) for each in (whole, update(2, [], rows=[], base_version=1), delta)]

    assert [each.ids.tolist() for (each,) in received] == [[4, 0, 9], [4, 0, 9], [4, 10, 9]]


def test_a_server_without_ids_gives_each_centroid_its_label_as_id() -> None:
    state = watch()
    state.connect()

    (received,) = state.receive(update(1, [[1], [2], [3]]))

    assert received.ids.tolist() == [0, 1, 2]


def test_a_delta_from_a_version_not_seen_is_a_bug() -> None:
    state = watch()
    state.connect()
    with pytest.raises(shoal.InternalError, match="none"):
        state.receive(update(2, [[30]], rows=[2], base_version=1))

    state.receive(update(3, [[1], [2], [3]]))
    with pytest.raises(shoal.InternalError, match="version 1"):
        state.receive(update(4, [[30]], rows=[2], base_version=1))


def test_a_resumed_watch_continues_after_the_last_version_with_whole_centroids() -> None:
    state = watch(after_version=2)
    state.open(cast("shoal.SessionDescription", SimpleNamespace(uid="uid")))
    assert state.connect().after_version == 2
    state.receive(update(7, [[1], [2], [3]]))

    state.reconnect_delay(shoal.UnavailableError("cut"), now=0.0)
    request = state.connect()

    assert (request.after_version, request.session_uid, request.delta) == (7, "uid", True)
    with pytest.raises(shoal.InternalError):
        state.receive(update(8, [[30]], rows=[2], base_version=7))  # the server can't know what this client still has


def test_a_quiet_watch_that_was_resumed_is_resumed_again_after_any_time() -> None:
    state = watch(after_version=2)

    for now in (0.0, 300.0, 2000.0):
        state.connect()
        assert state.reconnect_delay(shoal.UnavailableError("cut"), now) <= 0.1


def test_watch_without_a_seen_version_asks_for_the_current_one() -> None:
    assert not watch().connect().HasField("after_version")


def test_watch_ends_on_an_end_message_and_ignores_progress_messages() -> None:
    state = watch()
    state.connect()

    assert not state.receive(clustering_pb2.WatchCentroidsResponse(progress=clustering_pb2.WatchProgress(version=3)))
    assert not state.ended
    assert not state.receive(clustering_pb2.WatchCentroidsResponse(end=clustering_pb2.WatchEnd(version=3)))

    assert state.ended
    assert state.reconnect_delay(None, now=0.0) == 0.0
