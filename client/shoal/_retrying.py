"""When to try again. Only UnavailableError is worth it, and only for what is safe to repeat.

No clock here and no sleeping: whoever calls says how late it is, and waits.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from shoal._errors import ShoalError, UnavailableError

_FIRST_DELAY = 0.1  # seconds; then twice as long each time
_LONGEST_DELAY = 2.0
_FEW = 5  # attempts, in about a second: enough for a hiccup, and a server that isn't there is soon told
PATIENCE = 60.0  # seconds that a stream which once worked may be down

Uniform = Callable[[float, float], float]


class CallRetries:
    """For one unary call: a few attempts within its deadline.

    Parameters
    ----------
    deadline
        When the call must be over, in the seconds of the clock that `delay_after` is told.
    repeatable
        Whether the call may be made again.
    uniform
        Draws a random number between two; spreads the clients of a server that comes back.
    """

    def __init__(self, deadline: float, *, repeatable: bool, uniform: Uniform = random.uniform) -> None:
        self._deadline = deadline
        self._left = _FEW - 1 if repeatable else 0
        self._backoff = _Backoff(uniform)

    def remaining(self, now: float) -> float:
        """Return the seconds that an attempt has."""
        return max(0.0, self._deadline - now)

    def delay_after(self, failure: ShoalError, now: float) -> float:
        """Return the seconds to wait before the next attempt, or raise the failure if there is to be none."""
        delay = self._backoff.next()
        if not isinstance(failure, UnavailableError) or not self._left or now + delay >= self._deadline:
            raise failure
        self._left -= 1
        return delay


class StreamRetries:
    """For a stream: as a unary call until it has worked once, then `PATIENCE` without progress.

    Parameters
    ----------
    worked
        Whether the server has been heard already.
    uniform
        Draws a random number between two.
    """

    def __init__(self, *, worked: bool = False, uniform: Uniform = random.uniform) -> None:
        self._worked = worked
        self._uniform = uniform
        self._failures = 0
        self._down_since: float | None = None
        self._backoff = _Backoff(uniform)

    def note_contact(self) -> None:
        """Say that the server has been heard."""
        self._worked = True

    def note_progress(self) -> None:
        """Say that the server has done something: patience begins anew."""
        self._worked = True
        self._failures = 0
        self._down_since = None
        self._backoff = _Backoff(self._uniform)

    def delay_after(self, failure: ShoalError, now: float) -> float:
        """Return the seconds to wait before the next attempt, or raise the failure if there is to be none."""
        self._failures += 1
        if self._down_since is None:
            self._down_since = now
        delay = self._backoff.next()
        given_up = now + delay - self._down_since > PATIENCE if self._worked else self._failures >= _FEW
        if given_up or not isinstance(failure, UnavailableError):
            raise failure
        return delay


class _Backoff:
    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._ceiling = _FIRST_DELAY

    def next(self) -> float:
        delay = self._uniform(self._ceiling / 2, self._ceiling)
        self._ceiling = min(2 * self._ceiling, _LONGEST_DELAY)
        return delay
