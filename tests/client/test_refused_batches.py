"""Refused batches of an ingest: which one it was, and what becomes of those behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import shoal
from tests.client.drivers import Driver
from tests.versions import follow_one_another, newest_version

X = np.array([[0.0, 1.0], [10.0, 9.0]])
WIDE = np.zeros((2, 3))
UNENCODABLE: list[Any] = [X[0], np.array([["a", "b"]]), None, shoal.Batch(X, sample_weight=[1.0])]


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    return client.create_session(name, 2, init=[[0.0, 0.0], [10.0, 10.0]])


@pytest.mark.parametrize("bad", [WIDE, *UNENCODABLE])
def test_the_error_of_an_ingest_names_the_batch_and_has_its_sequence(session: shoal.Session, bad: Any) -> None:
    list(session.ingest([X] * 4, producer="p"))

    with pytest.raises(shoal.InvalidArgumentError, match=r"^batch 51: (points|sample_weight) ") as refused:
        list(session.ingest([X] * 50 + [bad] + [X] * 10, producer="p", first_sequence=5))

    assert refused.value.sequence == 55
    assert refused.value.violations


@pytest.mark.parametrize("bad", [WIDE, *UNENCODABLE])
def test_a_batch_that_cannot_be_encoded_is_returned_as_refused_like_any_other(session: shoal.Session, bad: Any) -> None:
    given = [X, bad, X, bad, X]

    results = list(session.ingest(given, on_error="return"))

    assert [result.sequence for result in results] == [1, 2, 3, 4, 5]
    assert [result.accepted for result in results] == [2, 0, 2, 0, 2]
    for result in (results[1], results[3]):
        assert isinstance(result.error, shoal.InvalidArgumentError)
        assert result.error.message.startswith(("points", "sample_weight"))
        assert result.error.sequence == result.sequence
    assert follow_one_another(results[::2])
    assert session.describe().version == newest_version(results[::2])


def test_a_repeated_ingest_with_batches_that_cannot_be_encoded_counts_nothing_twice(session: shoal.Session) -> None:
    given = [X, X[0], X]
    list(session.ingest(given, producer="p", on_error="return"))

    again = list(session.ingest([*given, X], producer="p", on_error="return"))

    assert [result.duplicate for result in again] == [True, False, True, False]
    assert again[1].error is not None
    assert "reshape" in again[1].error.message
    assert session.describe().points_accepted == 6


def test_an_exception_of_the_source_is_raised_as_it_is(driver: Driver, session: shoal.Session) -> None:
    def source() -> Any:
        yield X
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match=r"^the disk is gone$"):
        list(session.ingest(driver.source(source()), on_error="return"))
