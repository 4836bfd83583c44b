"""Large answers: they are encoded on a compute thread, and counted in the memory budget until they are sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from shoal.v1 import clustering_pb2, compare_pb2, compare_pb2_grpc
from shoal_server.budget import Reservation
from shoal_server.rpc import compare as compare_module
from shoal_server.rpc import server as server_module
from shoal_server.rpc.server import LARGE_ANSWER
from tests.rpc.inprocess import InProcessServer
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import PATIENCE, Wire, batch, plain, tensor

ROWS = LARGE_ANSWER // 4  # whose labels are a large answer
POINTS = np.zeros((ROWS, 1), np.uint8)
CENTROIDS = np.array([[0.0], [9.0]])


@pytest.fixture
def threads() -> list[str]:
    """Return the names of the threads that encode answers."""
    return []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, threads: list[str]) -> Iterator[InProcessServer]:
    def noted(encode: Callable[..., bytes]) -> Callable[..., bytes]:
        def encode_and_note(*arguments: Any) -> bytes:
            threads.append(threading.current_thread().name)
            return encode(*arguments)

        return encode_and_note

    codecs = {name: codec._replace(serialize=noted(codec.serialize)) for name, codec in server_module.CODECS.items()}  # type: ignore[arg-type]
    monkeypatch.setattr(server_module, "CODECS", codecs)
    monkeypatch.setattr(compare_module, "_encode_event", noted(compare_module._encode_event))
    with InProcessServer() as server:
        yield server


@pytest.fixture
def client(server: InProcessServer, name: str) -> Iterator[Wire]:
    with Wire(server.target) as client:
        client.create(name, plain(init=CENTROIDS))
        yield client


def test_large_answers_are_encoded_on_a_compute_thread_and_small_ones_at_once(
    client: Wire, name: str, threads: list[str]
) -> None:
    for rows in (1, ROWS):
        client.push(name, batch(POINTS[:rows], return_labels=True))
        request = clustering_pb2.AssignRequest(session=name, points=tensor(POINTS[:rows]))
        labels = client.clustering.Assign(request, timeout=PATIENCE).labels
        assert len(labels.data) == 4 * rows

    assert [each.startswith("compute") for each in threads] == [False, False, True, True]


def test_large_scores_are_encoded_on_a_compute_thread(client: Wire, name: str, threads: list[str]) -> None:
    scored = f"{name}-scored"
    client.create(scored, plain(init=CENTROIDS, outlier_threshold=1e-9))
    points = POINTS[: LARGE_ANSWER // 8]

    client.push(scored, batch(points, return_scores=True))
    with Stream(client.clustering.Ingest) as stream:
        stream.send(opening(scored))
        assert stream.receive().opened.session_uid
        stream.send(clustering_pb2.IngestRequest(batches=[batch(points, return_scores=True)]))
        (result,) = stream.results(1)
        assert len(result.scores.data) == LARGE_ANSWER

    assert [each.startswith("compute") for each in threads] == [True, False, True]


def test_the_steps_of_a_large_comparison_are_encoded_on_compute_threads(client: Wire, threads: list[str]) -> None:
    request = compare_pb2.CompareRequest(
        points=tensor(POINTS), n_clusters=2, max_iter=1, engines=[compare_pb2.COMPARE_ENGINE_SCIPY]
    )
    request.init.centroids.CopyFrom(tensor(CENTROIDS))

    responses = list(compare_pb2_grpc.CompareServiceStub(client.channel).Compare(request, timeout=PATIENCE))

    assert any(len(response.step.labels.data) == 4 * ROWS for response in responses)
    assert len(threads) == len(responses)
    large = [response.ByteSize() >= LARGE_ANSWER for response in responses]
    assert [each.startswith("compute") for each in threads] == large


def test_a_large_answer_is_counted_until_it_is_sent(
    client: Wire, server: InProcessServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = server.rpc._receiver.budget
    before, counted = budget.used, []
    add = Reservation.add

    def note(reservation: Reservation, size: int) -> None:
        counted.append(size)
        add(reservation, size)

    monkeypatch.setattr(Reservation, "add", note)
    request = clustering_pb2.AssignRequest(session=name, points=tensor(POINTS))
    answer = client.clustering.Assign(request, timeout=PATIENCE)

    assert answer.ByteSize() in counted
    while server.rpc._receive_layer._calls:
        pass
    assert budget.used == before


def test_the_labels_and_scores_of_a_push_are_counted_until_they_are_encoded(
    client: Wire, server: InProcessServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = f"{name}-scored"
    client.create(scored, plain(init=CENTROIDS, outlier_threshold=1e-9))
    client.push(scored, batch(POINTS[:1]))
    budget = server.rpc._receiver.budget
    before, counted = budget.used, []
    add = Reservation.add

    def note(reservation: Reservation, size: int) -> None:
        counted.append(size)
        add(reservation, size)

    monkeypatch.setattr(Reservation, "add", note)
    client.push(scored, batch(POINTS, return_labels=True, return_scores=True))

    assert 2 * (4 + 8) * ROWS in counted  # as they are computed, and as a message
    while server.rpc._receive_layer._calls:
        pass
    assert budget.used < before + ROWS
