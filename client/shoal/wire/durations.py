"""Seconds as google.protobuf.Duration, and back."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

MAX_DURATION_SECONDS = 315_576_000_000
"""The most seconds that a google.protobuf.Duration may hold: about 10,000 years, forwards or back."""


def duration_of(seconds: float) -> Duration:
    """Return seconds, at most MAX_DURATION_SECONDS, to the nearest nanosecond."""
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def seconds_of(duration: Duration) -> float:
    """Return how many seconds a duration has."""
    return duration.ToNanoseconds() / 1e9
