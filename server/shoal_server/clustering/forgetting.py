"""Half-life: how much of what came before still counts when a batch comes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shoal_server.clustering.config import HalfLife
from shoal_server.engines.contract import Float64Array
from shoal_server.errors import Reason, invalid

# A row that counts less counts nothing. Smaller weights would lose digits in float64, and their inverse overflow: each
# engine would then give other centroids.
MIN_WEIGHT = 1e-200
# Half-lives after which nothing is left in float64, with much to spare.
_ALL_FORGOTTEN = 1e4


class Decay(NamedTuple):
    """What a batch does to the weights."""

    half_lives: float  # that have passed since the batch before
    batch: float  # the factor of the batch itself: below 1 for one that is late
    latest_event: float | None
    late: float = 0.0  # seconds by which its event time was behind the newest before it

    @property
    def before(self) -> float:
        """The factor of what came before."""
        return float(0.5**self.half_lives)

    def weights(self, sample_weight: Float64Array | None, rows: int) -> Float64Array | None:
        """Return what the rows of the batch count, (rows,); None: each of them 1."""
        if sample_weight is None:
            return None if self.batch == 1 else np.full(rows, self.batch)
        return without_tiny(sample_weight if self.batch == 1 else sample_weight * self.batch)


def without_tiny(weights: Float64Array) -> Float64Array:
    """Return weights (n,) with 0 for those below MIN_WEIGHT."""
    tiny = weights < MIN_WEIGHT
    return np.where(tiny, 0.0, weights) if tiny.any() else weights


def decay(half_life: HalfLife | None, rows: int, event_time: float | None, latest_event: float | None) -> Decay:
    """Return the factors for a batch of `rows` accepted rows: 0.5 ** (Δ / half_life).

    In event time a batch that comes late counts as it would if it had come in time, so that the weights don't depend
    on the order: exponential decay relative to the newest event, as in Cormode, Shkapenyuk, Srivastava and Xu,
    "Forward decay" (2009).

    Raises
    ------
    DomainError
        EVENT_TIME_MISSING: the half-life is in seconds and the batch has no event time.
    """
    if half_life is not None and half_life.unit == "seconds":
        return _in_seconds(half_life.value, event_time, latest_event)
    latest, late = latest_event, 0.0
    if event_time is not None:
        latest, late = _later(event_time, latest_event), _late(event_time, latest_event)
    if half_life is None:
        return Decay(0.0, 1.0, latest, late)
    delta = 1 if half_life.unit == "batches" else rows
    return Decay(_half_lives(delta, half_life.value), 1.0, latest, late)


def _in_seconds(half_life: float, event_time: float | None, latest_event: float | None) -> Decay:
    if event_time is None:
        raise invalid(
            Reason.EVENT_TIME_MISSING,
            "event_time",
            "the session's half-life is in seconds of event time, and the batch has no event_time; say when its points "
            "happened",
        )
    if latest_event is None:
        return Decay(0.0, 1.0, event_time)
    late = _late(event_time, latest_event)
    counts = float(0.5 ** _half_lives(late, half_life))
    return Decay(
        half_lives=_half_lives(event_time - latest_event, half_life),
        batch=counts if counts >= MIN_WEIGHT else 0.0,
        latest_event=max(event_time, latest_event),
        late=late,
    )


def _half_lives(delta: float, half_life: float) -> float:
    return min(max(delta, 0.0) / half_life, _ALL_FORGOTTEN)


def _late(event_time: float, latest_event: float | None) -> float:
    return 0.0 if latest_event is None else max(latest_event - event_time, 0.0)


def _later(event_time: float, latest_event: float | None) -> float:
    return event_time if latest_event is None else max(latest_event, event_time)
