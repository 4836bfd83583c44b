from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import shoal
from tests.client.drivers import Driver

CENTROIDS = [[0.0, 0.0], [10.0, 10.0]]


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    return client.create_session(name, 2, init=CENTROIDS)


def test_assign_stream_yields_answers_in_order(session: shoal.Session) -> None:
    arrays = [np.full((n, 2), 10.0 * (n % 2)) for n in range(1, 200)]

    answers = list(session.assign_stream(arrays, return_distances=True))

    assert [len(answer.labels) for answer in answers] == list(range(1, 200))
    assert [int(answer.labels[0]) for answer in answers] == [n % 2 for n in range(1, 200)]
    assert {float(np.sum(answer.distances)) for answer in answers if answer.distances is not None} == {0.0}
    assert session.describe().version == 0


def test_slow_source_delays_no_assignment(driver: Driver, session: shoal.Session) -> None:
    go_on = threading.Event()

    def slow() -> Iterator[Any]:
        yield [[0.0, 0.0]]
        go_on.wait()
        yield [[9.0, 9.0]]

    answers = session.assign_stream(driver.source(slow()))

    assert next(answers).labels.tolist() == [0]
    go_on.set()
    assert [answer.labels.tolist() for answer in answers] == [[1]]


def test_refused_array_raises_after_the_answers_before_it(session: shoal.Session) -> None:
    answers = session.assign_stream([[[0.0, 0.0]], [[1.0, 2.0, 3.0]], [[0.0, 0.0]]])

    assert next(answers).labels.tolist() == [0]
    with pytest.raises(shoal.InvalidArgumentError, match="3 columns"):
        next(answers)


def test_a_warming_session_cannot_assign(client: shoal.Client, name: str) -> None:
    with pytest.raises(shoal.SessionWarmingError):
        list(client.create_session(name, 2).assign_stream([[[0.0, 0.0]]]))


def test_exception_of_the_source_of_an_assign_stream_is_raised(session: shoal.Session) -> None:
    def failing() -> Iterator[Any]:
        yield [[0.0, 0.0]]
        raise KeyError("torn tape")

    answers = session.assign_stream(failing())

    assert next(answers).version == 0
    with pytest.raises(KeyError, match="torn tape"):
        next(answers)


def test_assign_stream_of_no_arrays_yields_nothing(session: shoal.Session) -> None:
    assert list(session.assign_stream([])) == []
