"""Invalid arguments are refused before anything is sent; there is no server here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pytest

import shoal
from tests.client.drivers import Driver

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def session(driver: Driver) -> Iterator[shoal.Session]:
    with driver.connect(NOWHERE) as client:
        yield client.session("nowhere")


@pytest.mark.parametrize(
    ("points", "advice"),
    [
        ([1.0, 2.0], r"reshape\(1, -1\)"),
        (3.0, "two"),
        (np.zeros((2, 2, 2)), r"reshape\(-1, d\)"),
        ([["a", "b"]], "dtype"),
        (np.array([[1, None]]), r"astype\(float\)"),
        (np.array([[1j, 2]]), "complex"),
        (np.zeros((1, 2), np.longdouble), "float64"),
        (np.zeros((1, 2), "M8[s]"), "dtype"),
        ([[1.0], [1.0, 2.0]], "no array"),
        (np.ma.masked_equal([[1.0, 2.0]], 2.0), "filled"),
    ],
)
def test_invalid_points_are_refused_with_advice(session: shoal.Session, points: object, advice: str) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match=advice) as pushed:
        session.push(points)  # type: ignore[arg-type]
    with pytest.raises(shoal.InvalidArgumentError, match=advice):
        session.assign(points)  # type: ignore[arg-type]

    assert pushed.value.violations[0].field == "points"


@pytest.mark.parametrize("weight", [1.0, [1.0], [[1.0], [1.0]], ["a", "b"]])
def test_weights_of_another_shape_are_refused(session: shoal.Session, weight: object) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="sample_weight"):
        session.push([[1.0], [2.0]], sample_weight=weight)  # type: ignore[arg-type]


def test_a_time_without_a_zone_is_refused(session: shoal.Session) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="time zone"):
        session.push([[1.0]], event_time=datetime(2026, 1, 1))  # noqa: DTZ001  (the point of the test)


def test_producer_and_sequence_go_together(session: shoal.Session) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="both or neither"):
        session.push([[1.0]], producer="sensor")
    with pytest.raises(shoal.InvalidArgumentError, match="empty"):
        session.push([[1.0]], producer="", sequence=1)


def test_stream_arguments_are_checked_before_the_first_result(session: shoal.Session) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match=r"give \[X\]"):
        session.ingest(np.zeros((3, 2)))
    with pytest.raises(shoal.InvalidArgumentError, match=r"give \[X\]"):
        session.assign_stream(np.zeros((3, 2)))
    with pytest.raises(shoal.InvalidArgumentError, match="max_in_flight"):
        session.ingest([], max_in_flight=0)
    with pytest.raises(shoal.InvalidArgumentError, match="first_sequence"):
        session.ingest([], first_sequence=0)
    with pytest.raises(shoal.InvalidArgumentError, match="on_error"):
        session.ingest([], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(shoal.InvalidArgumentError, match="min_interval"):
        session.watch(min_interval=float("inf"))


def test_missing_server_raises_an_error_that_names_the_target(session: shoal.Session) -> None:
    for call in (session.describe, lambda: next(session.ingest([[[1.0]]])), lambda: next(session.watch())):
        with pytest.raises(shoal.UnavailableError) as caught:
            call()

        assert NOWHERE in caught.value.message
        assert "is shoal-server running there?" in caught.value.message
        assert caught.value.reason == "SERVER_UNREACHABLE"  # which is given up soon


def test_closed_client_raises_client_closed_error(driver: Driver) -> None:
    client = driver.connect(NOWHERE)
    client.close()

    with pytest.raises(shoal.ClientClosedError, match="closed"):
        client.session("any").describe()


@pytest.mark.parametrize(
    "target", ["", "localhost", "localhost:0", "localhost:70000", "a b:1", "http://localhost:1", 5]
)
def test_invalid_target_is_refused(driver: Driver, target: str) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="use HOST:PORT") as refused:
        driver.connect(target)

    assert refused.value.reason == "TARGET_INVALID"


@pytest.mark.parametrize("target", ["localhost:1", "[::1]:50051", "unix:/run/shoal.sock", "dns:///shoal.example:50051"])
def test_target_with_a_grpc_scheme_is_accepted(driver: Driver, target: str) -> None:
    with driver.connect(target) as client:
        assert client.target == target


@pytest.mark.parametrize("event_time", [1.7e9, "2026-01-01", np.datetime64("2026-01-01")])
def test_event_time_of_another_type_is_refused(session: shoal.Session, event_time: object) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="a datetime with a time zone"):
        session.push([[1.0]], event_time=event_time)  # type: ignore[arg-type]  # the point of it


def test_weights_beside_a_batch_object_are_refused(session: shoal.Session) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="to the Batch"):
        session.push(shoal.Batch([[1.0]]), sample_weight=[1.0])


def test_session_name_of_another_type_is_refused(driver: Driver) -> None:
    with driver.connect(NOWHERE) as client, pytest.raises(shoal.InvalidArgumentError, match="'pixels'"):
        client.create_session(5, n_clusters=3)  # type: ignore[arg-type]  # the point of it


@pytest.mark.parametrize("batches", [None, 5])
def test_stream_refuses_what_is_not_iterable(session: shoal.Session, batches: object) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match="iterable"):
        session.ingest(batches)  # type: ignore[arg-type]  # the point of it
