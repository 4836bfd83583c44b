from __future__ import annotations

import pytest

from shoal import InvalidArgumentError, ShoalError, UnavailableError
from shoal._retrying import PATIENCE, CallRetries, StreamRetries

DOWN = UnavailableError("down")


def longest(_low: float, high: float) -> float:
    return high


def test_a_call_is_repeated_a_few_times_with_growing_delays() -> None:
    retries = CallRetries(30.0, repeatable=True, uniform=longest)

    delays = [retries.delay_after(DOWN, now=0.0) for _ in range(4)]

    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8])
    with pytest.raises(UnavailableError):
        retries.delay_after(DOWN, now=0.0)


def test_a_call_is_not_repeated_beyond_its_deadline() -> None:
    retries = CallRetries(10.0, repeatable=True, uniform=longest)

    assert retries.remaining(9.95) == pytest.approx(0.05)
    assert retries.remaining(11.0) == 0.0
    with pytest.raises(UnavailableError):
        retries.delay_after(DOWN, now=9.95)


@pytest.mark.parametrize(
    ("repeatable", "failure"), [(False, DOWN), (True, InvalidArgumentError("wrong")), (True, ShoalError("odd"))]
)
def test_only_what_is_unavailable_and_safe_to_repeat_is_repeated(repeatable: bool, failure: ShoalError) -> None:
    with pytest.raises(type(failure)):
        CallRetries(30.0, repeatable=repeatable).delay_after(failure, now=0.0)


def test_delays_are_spread_between_half_and_whole() -> None:
    drawn: list[tuple[float, float]] = []

    def note(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    StreamRetries(uniform=note).delay_after(DOWN, now=0.0)

    assert drawn == [(0.05, 0.1)]


def test_a_stream_that_never_worked_is_given_up_as_soon_as_a_call() -> None:
    retries = StreamRetries()

    for _ in range(4):
        retries.delay_after(DOWN, now=0.0)
    with pytest.raises(UnavailableError):
        retries.delay_after(DOWN, now=0.0)


def failing_until_given_up(retries: StreamRetries, now: float) -> float:
    while True:
        try:
            now += retries.delay_after(DOWN, now)
        except UnavailableError:
            return now


def test_a_stream_that_worked_is_given_up_after_a_minute() -> None:
    retries = StreamRetries(uniform=longest)
    retries.note_contact()

    given_up = failing_until_given_up(retries, now=100.0)

    assert PATIENCE - 2.0 <= given_up - 100.0 <= PATIENCE


def test_progress_begins_the_minute_anew_and_contact_alone_does_not() -> None:
    retries = StreamRetries(worked=True, uniform=longest)
    assert retries.delay_after(DOWN, now=0.0) == pytest.approx(0.1)

    retries.note_contact()
    with pytest.raises(UnavailableError):
        retries.delay_after(DOWN, now=PATIENCE)
    retries.note_progress()

    assert retries.delay_after(DOWN, now=PATIENCE) == pytest.approx(0.1)
