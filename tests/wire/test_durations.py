from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal import wire

MAX = wire.MAX_DURATION_SECONDS


@given(st.floats(-MAX, MAX))
def test_seconds_come_out_of_a_duration_to_the_nearest_nanosecond(seconds: float) -> None:
    duration = type(wire.duration_of(0)).FromString(wire.duration_of(seconds).SerializeToString())

    assert abs(wire.seconds_of(duration) - seconds) <= max(0.5e-9, 1e-15 * abs(seconds))


def test_the_longest_duration_is_one() -> None:
    assert wire.duration_of(MAX).seconds == MAX
    assert wire.duration_of(-MAX).seconds == -MAX
