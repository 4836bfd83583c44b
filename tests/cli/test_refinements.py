"""`shoal watch`, `centroids` and `ingest` with a server that refines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

import shoal
from shoal import wire
from shoal.cli.ingest_summary import IngestSummary
from shoal.v1 import clustering_pb2
from tests.cli.cli_runner import InProcess, run_here
from tests.client.fake_server import FakeServer, answers, described, streams


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        fake.plays("GetSession", described())
        yield fake


@pytest.fixture
def command(fake: FakeServer) -> InProcess:
    return partial(run_here, env={"SHOAL_SERVER": fake.target})


def snapshot(version: int) -> clustering_pb2.Snapshot:
    """Return a version; the even ones are of refinements."""
    zero = wire.tensor_message(np.zeros(1))
    centroids = wire.tensor_message(np.zeros((1, 1)))
    return clustering_pb2.Snapshot(
        version=version, centroids=centroids, weights=zero, movement=zero, refined=version % 2 == 0, batch_points=1
    )


def play_updates(fake: FakeServer) -> None:
    updates = [clustering_pb2.CentroidUpdate(snapshot=snapshot(version)) for version in (1, 2)]
    fake.plays("WatchCentroids", streams(*(clustering_pb2.WatchCentroidsResponse(update=update) for update in updates)))


def test_watch_marks_the_versions_of_refinements(fake: FakeServer, command: InProcess) -> None:
    play_updates(fake)

    headings, first, second = command("watch", "fake", "-n", 2).stdout.splitlines()

    assert headings.endswith("  made by")
    assert first.split() == ["1", "0", "0", "0", "a", "batch"]
    assert second.split() == ["2", "0", "0", "0", "a", "refinement"]


def test_watch_of_a_merged_session_shows_no_inertia_of_a_batch(fake: FakeServer, command: InProcess) -> None:
    merged, given = snapshot(2), snapshot(0)
    merged.batch_points = given.batch_points = 0
    given.refined = False
    updates = [clustering_pb2.CentroidUpdate(snapshot=each) for each in (given, merged)]
    fake.plays("WatchCentroids", streams(*(clustering_pb2.WatchCentroidsResponse(update=update) for update in updates)))

    _, first, second = command("watch", "fake", "-n", 2).stdout.splitlines()

    assert first.split() == ["0", "0", "–", "0", "–"]
    assert second.split() == ["2", "0", "–", "0", "a", "refinement"]


def test_json_of_updates_and_centroids_has_the_refinement(fake: FakeServer, command: InProcess) -> None:
    play_updates(fake)
    fake.plays("GetCentroids", answers(snapshot(2)))

    updates = command("--output", "json", "watch", "fake", "-n", 2).stdout.splitlines()
    centroids = command("--output", "json", "centroids", "fake").stdout

    assert [json.loads(each)["refined"] for each in updates] == [False, True]
    assert json.loads(centroids)["refined"]


def test_the_version_after_an_ingest_is_that_of_its_last_refinement() -> None:
    summary = IngestSummary()
    for sequence, version, refined in ((1, 5, True), (2, 7, False), (3, 8, True)):
        summary = summary.with_result(shoal.PushResult(sequence, version, 1, 0, 0.0, refined=refined))

    assert summary.version == 9
    assert summary.with_result(shoal.PushResult(4, 10, 1, 0, 0.0)).version == 10
