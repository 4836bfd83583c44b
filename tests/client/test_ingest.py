from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import shoal
from tests.client.drivers import PATIENCE, Driver
from tests.versions import follow_one_another

CENTROIDS = [[0.0, 0.0], [10.0, 10.0]]
POINTS = np.array([[0.0, 1.0], [10.0, 9.0], [1.0, 0.0]])


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    return client.create_session(name, 2, init=CENTROIDS)


def batches(n: int, rows: int = 50) -> Iterator[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    for _ in range(n):
        yield rng.normal(size=(rows, 2)).astype(np.float32)


def test_each_batch_gets_its_result_in_order(session: shoal.Session) -> None:
    results = list(session.ingest(batches(500)))

    assert [result.sequence for result in results] == list(range(1, 501))
    assert results[0].version == 1
    assert follow_one_another(results)
    assert {result.accepted for result in results} == {50}
    assert not any(result.duplicate for result in results)
    assert session.describe().points_accepted == 500 * 50


def test_pipelined_batches_make_the_same_centroids_as_single_pushes(client: shoal.Client, name: str) -> None:
    one, many = (client.create_session(f"{name}-{which}", 5, random_state=0) for which in ("one", "many"))

    for batch in batches(40, rows=7):
        one.push(batch)
    results = list(many.ingest(batches(40, rows=7)))

    assert len(results) == 40
    np.testing.assert_array_equal(one.centroids().centroids, many.centroids().centroids)


def test_ingest_sends_weights_and_returns_labels(session: shoal.Session) -> None:
    weighted = shoal.Batch(POINTS, sample_weight=[3, 1, 1])

    (result,) = session.ingest([weighted], return_labels=True)

    np.testing.assert_array_equal(result.labels, [0, 1, 0])
    np.testing.assert_allclose(session.centroids().weights, [4, 1])


def test_ingest_of_no_batches_yields_no_results(session: shoal.Session) -> None:
    assert list(session.ingest([])) == []
    assert session.describe().version == 0


def test_ingest_into_an_unknown_session_raises_even_without_batches(client: shoal.Client, name: str) -> None:
    with pytest.raises(shoal.SessionNotFoundError):
        list(client.session(name).ingest([]))


def test_slow_source_delays_no_result(driver: Driver, session: shoal.Session) -> None:
    go_on = threading.Event()

    def slow() -> Iterator[Any]:
        yield POINTS
        yield POINTS
        go_on.wait()
        yield POINTS

    results = session.ingest(driver.source(slow()))

    assert [next(results).sequence, next(results).sequence] == [1, 2]
    go_on.set()
    assert [result.sequence for result in results] == [3]


def test_ingest_reads_the_source_only_as_far_as_max_in_flight(session: shoal.Session) -> None:
    given = []

    def endless() -> Iterator[Any]:
        for number in count(1):
            given.append(number)
            yield POINTS

    with closing(session.ingest(endless(), max_in_flight=4)) as results:
        for done in range(1, 50):
            assert next(results).sequence == done
            assert len(given) <= done + 2 * 4  # those in flight, and as many whose results came in one message


def test_max_in_flight_1_sends_a_batch_after_the_previous_result(session: shoal.Session) -> None:
    given = []

    def watched() -> Iterator[Any]:
        for number in range(1, 21):
            given.append(number)
            yield POINTS

    for result in session.ingest(watched(), max_in_flight=1):
        assert given[-1] <= result.sequence + 1

    assert given == list(range(1, 21))


def test_a_batch_may_be_larger_than_a_message_and_than_the_window(session: shoal.Session) -> None:
    large = np.zeros((700_000, 2))  # 11 MB, three of them more than is ever in flight

    results = list(session.ingest(large for _ in range(6)))

    assert [result.accepted for result in results] == [700_000] * 6


def test_buffer_may_be_reused_once_ingest_has_taken_it(session: shoal.Session) -> None:
    def reusing() -> Iterator[Any]:
        buffer = np.empty((1, 2))
        for value in range(100):
            buffer[:] = value
            yield buffer

    inertias = [result.inertia for result in session.ingest(reusing())]

    (expected,) = {session.push([[0.0, 0.0]]).accepted}
    assert expected == 1
    assert len(set(inertias)) > 50  # the same points over and over would settle down


def test_exception_of_the_source_is_raised_after_the_results_before_it(session: shoal.Session) -> None:
    def failing() -> Iterator[Any]:
        yield from (POINTS, POINTS)
        raise KeyError("torn tape")

    results = session.ingest(failing())

    assert [next(results).version, next(results).version] == [1, 2]
    with pytest.raises(KeyError, match="torn tape"):
        next(results)


def test_invalid_batch_raises_after_the_results_before_it(session: shoal.Session) -> None:
    results = session.ingest([POINTS, [1.0, 2.0]])

    assert next(results).version == 1
    with pytest.raises(shoal.InvalidArgumentError, match="reshape"):
        next(results)


def test_a_refused_batch_ends_the_stream_with_its_error(session: shoal.Session) -> None:
    results = session.ingest([POINTS, np.full((1, 2), np.nan), POINTS])

    assert next(results).version == 1
    with pytest.raises(shoal.InvalidArgumentError) as caught:
        next(results)

    assert "nan" in caught.value.message
    assert caught.value.violations


def test_on_error_return_yields_the_refused_batch_as_a_result(session: shoal.Session) -> None:
    wrong = [np.full((1, 2), np.inf), np.zeros((2, 5)), np.zeros((0, 2))]

    results = list(session.ingest([POINTS, *wrong, POINTS], on_error="return"))

    assert [result.sequence for result in results] == [1, 2, 3, 4, 5]
    assert [result.version for result in results] == [1, 0, 0, 0, 2]
    assert [type(result.error) for result in results[1:4]] == [shoal.InvalidArgumentError] * 3
    assert (results[0].error, results[4].error) == (None, None)


def test_restarted_producer_gets_duplicates_for_what_it_had_pushed(session: shoal.Session) -> None:
    before = list(session.ingest(batches(20), producer="tape"))

    again = list(session.ingest(batches(30), producer="tape"))

    assert [result.duplicate for result in again] == [True] * 20 + [False] * 10
    assert [result.version for result in again[:20]] == [result.version for result in before]
    assert follow_one_another(again)
    assert [result.inertia for result in again[:20]] == [result.inertia for result in before]
    assert session.describe().points_accepted == 30 * 50


def test_result_without_its_labels_is_marked_forgotten(session: shoal.Session) -> None:
    list(session.ingest([POINTS], producer="tape"))

    again, new = session.ingest([POINTS, POINTS], producer="tape", return_labels=True)

    assert (again.duplicate, again.forgotten, again.version, again.accepted) == (True, True, 1, 3)
    assert again.labels is None
    assert (new.duplicate, new.forgotten) == (False, False)
    assert new.labels is not None


def test_producer_continues_at_first_sequence(session: shoal.Session) -> None:
    list(session.ingest(batches(5), producer="tape"))

    results = list(session.ingest(batches(5), producer="tape", first_sequence=6))

    assert [result.sequence for result in results] == [6, 7, 8, 9, 10]
    assert not any(result.duplicate for result in results)


def test_a_gap_in_the_sequences_is_refused(session: shoal.Session) -> None:
    with pytest.raises(shoal.InvalidArgumentError) as caught:
        list(session.ingest(batches(3), producer="tape", first_sequence=7))

    assert caught.value.reason == "SEQUENCE_GAP"


def test_the_newer_of_two_producers_of_one_name_fences_the_older(driver: Driver, session: shoal.Session) -> None:
    taken_over = threading.Event()

    def older() -> Iterator[Any]:
        yield POINTS
        taken_over.wait()
        yield from batches(3)

    results = session.ingest(driver.source(older()), producer="tape")
    assert next(results).version == 1
    list(session.ingest([POINTS, POINTS], producer="tape"))
    taken_over.set()

    with pytest.raises(shoal.ProducerFencedError):
        list(results)


def test_a_session_deleted_meanwhile_ends_the_stream(session: shoal.Session) -> None:
    with pytest.raises(shoal.SessionNotFoundError):  # noqa: PT012  (the loop is the point)
        for result in session.ingest((POINTS for _ in count()), on_error="return"):
            if result.sequence == 10:
                session.delete()


def test_a_client_closed_meanwhile_ends_the_stream(driver: Driver, client: shoal.Client, name: str) -> None:
    with driver.connect(client.target) as other:
        results = other.create_session(name, 2, init=CENTROIDS).ingest(POINTS for _ in count())
        next(results)

    with pytest.raises(shoal.ClientClosedError):
        list(results)


def test_streams_of_one_client_run_side_by_side(session: shoal.Session) -> None:
    def pour() -> list[shoal.PushResult]:
        return list(session.ingest(batches(100)))

    with ThreadPoolExecutor(4) as threads:
        poured = [threads.submit(pour) for _ in range(4)]
        streams = [each.result(PATIENCE) for each in poured]

    in_order = sorted((result for each in streams for result in each), key=lambda result: result.version)
    assert len(in_order) == 400
    assert follow_one_another(in_order)
    assert all(before.version < after.version for each in streams for before, after in pairwise(each))
