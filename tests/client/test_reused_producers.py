"""A producer's name used again: other points are refused, and what can't be verified is warned about."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal
from shoal.testing import LocalServer
from tests.client.drivers import Driver
from tests.client.fake_server import FakeServer, Ingesting


@pytest.fixture(scope="module")
def forgetful() -> Iterator[LocalServer]:
    """A server that keeps the results of two batches once they have been received."""
    with LocalServer(replay_bytes=1024) as server:
        yield server


@pytest.fixture
def session(driver: Driver, forgetful: LocalServer, name: str) -> Iterator[shoal.Session]:
    with driver.connect(forgetful.target) as client:
        yield client.create_session(name, 2, init=[[0.0, 0.0], [10.0, 10.0]])


def batches(day: int, n: int = 20) -> list[NDArray[np.float64]]:
    return list(np.random.default_rng(day).normal(size=(n, 1, 2)))


def test_other_batches_under_a_used_name_are_refused_though_the_results_are_forgotten(session: shoal.Session) -> None:
    list(session.ingest(batches(1), producer="pipeline", max_in_flight=1))

    with pytest.warns(UserWarning, match="nothing was added"):
        (same,) = session.ingest(batches(1, n=1), producer="pipeline")
    other = list(session.ingest(batches(2), producer="pipeline", on_error="return"))

    assert (same.duplicate, same.forgotten, same.unverified) == (True, True, True)
    assert {result.error.reason for result in other if result.error} == {"SEQUENCE_REUSED"}
    assert len([result for result in other if result.error]) == 20
    assert session.describe().points_accepted == 20


def test_an_ingest_of_nothing_but_forgotten_batches_warns(session: shoal.Session) -> None:
    list(session.ingest(batches(1), producer="pipeline", max_in_flight=1))

    with pytest.warns(UserWarning, match=r"producer 'pipeline' has pushed 20 batches before") as caught:
        list(session.ingest(batches(1, n=5), producer="pipeline"))

    assert len(caught) == 1


def test_an_ingest_that_adds_batches_or_repeats_known_ones_does_not_warn(session: shoal.Session) -> None:
    list(session.ingest(batches(1), producer="pipeline", max_in_flight=1))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        added = list(session.ingest(batches(1, n=21), producer="pipeline"))
        repeated = list(session.ingest(batches(1, n=21)[-1:], producer="pipeline", first_sequence=21))

    assert added[-1].accepted == 1
    assert (repeated[0].duplicate, repeated[0].unverified) == (True, False)


def test_the_warning_names_the_line_that_reads_the_results(fake: FakeServer) -> None:
    fake.plays("Ingest", Ingesting(batches=None, last_sequence=3, forgets=True))

    with shoal.connect(fake.target) as client, pytest.warns(UserWarning, match=re.escape("'p' has pushed 3")) as caught:
        for _ in client.session("fake").ingest(batches(1, n=3), producer="p"):
            pass

    assert caught[0].filename == __file__
