from __future__ import annotations

import pytest

from shoal import InvalidArgumentError, ShoalError, UnavailableError
from shoal._retries import PATIENCE, UNREACHABLE_PATIENCE, CallRetries, StreamRetries
from shoal._statuses import UNREACHABLE

DOWN = UnavailableError("down")
NOBODY = UnavailableError("nobody there", reason=UNREACHABLE)
STARTING = UnavailableError("starting", reason="SERVER_STARTING", retry_after=1.0)


def longest(_low: float, high: float) -> float:
    return high


def failing_until_given_up(retries: CallRetries | StreamRetries, failure: ShoalError, now: float = 0.0) -> float:
    while True:
        try:
            now += retries.delay_after(failure, now)
        except UnavailableError:
            return now


def test_a_call_is_repeated_with_growing_delays() -> None:
    retries = CallRetries(30.0, repeatable=True, uniform=longest)

    delays = [retries.delay_after(DOWN, now=0.0) for _ in range(7)]

    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


@pytest.mark.parametrize(("failure", "repeatable"), [(DOWN, True), (STARTING, True), (STARTING, False)])
def test_a_call_is_repeated_until_its_deadline(failure: ShoalError, repeatable: bool) -> None:
    """Any call, where the server is starting: it has taken nothing."""
    given_up = failing_until_given_up(CallRetries(30.0, repeatable=repeatable, uniform=longest), failure)

    assert 27.0 <= given_up < 30.0


def test_a_call_is_not_repeated_beyond_its_deadline() -> None:
    retries = CallRetries(10.0, repeatable=True, uniform=longest)

    assert retries.remaining(9.95) == pytest.approx(0.05)
    assert retries.remaining(11.0) == 0.0
    with pytest.raises(UnavailableError):
        retries.delay_after(DOWN, now=9.95)


def test_retry_waits_for_as_long_as_the_server_asks() -> None:
    retries = CallRetries(30.0, repeatable=True, uniform=longest)

    assert [retries.delay_after(STARTING, now=0.0) for _ in range(3)] == pytest.approx([1.1, 1.2, 1.4])


def test_call_fails_soon_when_no_server_listens() -> None:
    given_up = failing_until_given_up(CallRetries(30.0, repeatable=True, uniform=longest), NOBODY)

    assert 1.0 <= given_up <= UNREACHABLE_PATIENCE


def test_call_waits_for_a_restarting_server() -> None:
    retries = CallRetries(30.0, repeatable=True, uniform=longest)

    for now, failure in ((0.0, STARTING), (5.0, NOBODY), (7.0, STARTING), (20.0, NOBODY)):
        assert retries.delay_after(failure, now) > 0


@pytest.mark.parametrize(
    ("repeatable", "failure"), [(False, DOWN), (True, InvalidArgumentError("wrong")), (True, ShoalError("odd"))]
)
def test_only_unavailable_and_repeatable_calls_are_repeated(repeatable: bool, failure: ShoalError) -> None:
    with pytest.raises(type(failure)):
        CallRetries(30.0, repeatable=repeatable).delay_after(failure, now=0.0)


def test_retry_delays_are_spread_between_half_and_the_whole_ceiling() -> None:
    drawn: list[tuple[float, float]] = []

    def note(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    StreamRetries(uniform=note).delay_after(DOWN, now=0.0)

    assert drawn == [(0.05, 0.1)]


@pytest.mark.parametrize("failure", [DOWN, STARTING])
def test_stream_that_never_worked_fails_after_the_call_timeout(failure: ShoalError) -> None:
    given_up = failing_until_given_up(StreamRetries(20.0, uniform=longest), failure, now=100.0)

    assert 17.0 <= given_up - 100.0 <= 20.0


def test_stream_that_never_worked_fails_soon_when_no_server_listens() -> None:
    assert failing_until_given_up(StreamRetries(20.0, uniform=longest), NOBODY) <= UNREACHABLE_PATIENCE


@pytest.mark.parametrize("failure", [DOWN, STARTING, NOBODY])
def test_stream_that_worked_fails_after_a_minute_without_progress(failure: ShoalError) -> None:
    retries = StreamRetries(20.0, uniform=longest)
    retries.note_contact()

    given_up = failing_until_given_up(retries, failure, now=100.0)

    assert PATIENCE - 3.1 <= given_up - 100.0 <= PATIENCE


def test_progress_restarts_the_minute_and_contact_alone_does_not() -> None:
    retries = StreamRetries(worked=True, uniform=longest)
    assert retries.delay_after(DOWN, now=0.0, owed=True) == pytest.approx(0.1)

    retries.note_contact()
    with pytest.raises(UnavailableError):
        retries.delay_after(DOWN, now=PATIENCE, owed=True)
    retries.note_progress()

    assert retries.delay_after(DOWN, now=PATIENCE, owed=True) == pytest.approx(0.1)


def test_long_idle_connection_counts_as_progress() -> None:
    retries = StreamRetries(worked=True, uniform=longest)

    assert [retries.delay_after(DOWN, now) for now in (0.0, 300.0, 900.0)] == pytest.approx([0.1] * 3)


def test_long_connection_attempt_does_not_count_as_progress() -> None:
    retries = StreamRetries(worked=True, uniform=longest)
    for now in (0.0, 20.0, 40.0):
        retries.delay_after(NOBODY, now)

    with pytest.raises(UnavailableError):
        retries.delay_after(NOBODY, now=60.0)
