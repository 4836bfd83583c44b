"""When to retry: after UnavailableError, and only calls that are safe to repeat; a stream also if the server says when.

What the server refuses for a full memory may stay refused for long: a call raises that at once, with `retry_after`. But
a stream is ended for it through no fault of its own.

No clock and no sleeping here: the caller passes the time, and waits.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from shoal._errors import ShoalError, UnavailableError
from shoal._statuses import UNREACHABLE

_FIRST_DELAY = 0.1  # seconds; then twice as long each time
_MAX_DELAY = 2.0
# Seconds without anybody at the address: enough for a hiccup, and a server that isn't there is soon told.
UNREACHABLE_PATIENCE = 3.0
STARTING = "SERVER_STARTING"
PATIENCE = 60.0  # seconds that a stream which once worked may be down
# Seconds after which a connection that has broken counts as one that was up, though nothing had come over it.
_STABLE_SECONDS = 10.0
_NEVER = float("inf")  # on a clock

Uniform = Callable[[float, float], float]


class ResumableStream(Protocol):
    """A stream that can continue over another connection."""

    @property
    def session(self) -> str:
        """The name of the session."""
        ...

    def reconnect_delay(self, failure: ShoalError | None, now: float) -> float:
        """Return the seconds to wait before connecting again; raise the failure if retrying is pointless.

        Parameters
        ----------
        failure
            Why the connection ended; None: the server ended it.
        now
            Seconds of any clock that only goes forward.
        """


class CallRetries:
    """The retries of one unary call: until its deadline, as long as a server listens at the address.

    Parameters
    ----------
    deadline
        When the call must be over, in the seconds of the clock that `delay_after` is told.
    repeatable
        Whether the call may be made again, though the server may have taken it.
    uniform
        Draws a random number between two; spreads the clients of a server that comes back.
    """

    def __init__(self, deadline: float, *, repeatable: bool, uniform: Uniform = random.uniform) -> None:
        self._deadline = deadline
        self._repeatable = repeatable
        self._backoff = _Backoff(uniform)
        self._unreachable = _UnreachableTimer()

    def remaining(self, now: float) -> float:
        """Return the timeout of an attempt in seconds."""
        return max(0.0, self._deadline - now)

    def delay_after(self, failure: ShoalError, now: float) -> float:
        """Return the seconds to wait before the next attempt, or raise the failure if there will be none."""
        delay = self._backoff.next(failure)
        may_repeat = self._repeatable or failure.reason == STARTING  # that server has done nothing yet
        if not may_repeat or not isinstance(failure, UnavailableError) or now + delay >= self._deadline:
            raise failure
        if self._unreachable.seconds_unreachable(failure, now, delay) > UNREACHABLE_PATIENCE:
            raise failure
        return delay


class StreamRetries:
    """The retries of a stream: those of a unary call until it has worked once, then until it is down for `PATIENCE`.

    Parameters
    ----------
    timeout
        Seconds until the stream must have worked.
    worked
        Whether the server has been heard already.
    uniform
        Draws a random number between two.
    """

    def __init__(self, timeout: float = PATIENCE, *, worked: bool = False, uniform: Uniform = random.uniform) -> None:
        self._timeout = timeout
        self._worked = worked
        self._uniform = uniform
        self._down_since = _NEVER
        self._connected_at = _NEVER  # again, or tried to
        self._backoff = _Backoff(uniform)
        self._unreachable = _UnreachableTimer()

    def note_contact(self) -> None:
        """Note that the server has answered."""
        self._worked = True

    def note_progress(self) -> None:
        """Note that the server has answered everything: the time limit starts again."""
        self._worked = True
        self._down_since = _NEVER
        self._backoff = _Backoff(self._uniform)

    def delay_after(self, failure: ShoalError, now: float, *, owed: bool = False) -> float:
        """Return the seconds to wait before the next attempt, or raise the failure if there will be none.

        Parameters
        ----------
        failure
            Why the connection ended.
        now
            When, in seconds.
        owed
            Whether the server had something to answer. If not, its silence is no failure, and a connection that
            lasted was up.
        """
        if not owed and failure.reason != UNREACHABLE and now - self._connected_at > _STABLE_SECONDS:
            self.note_progress()
        self._down_since = min(self._down_since, now)
        delay = self._backoff.next(failure)
        self._connected_at = now + delay
        is_temporary = isinstance(failure, UnavailableError) or failure.retry_after is not None
        if not is_temporary or self._too_long(failure, now, delay):
            raise failure
        return delay

    def _too_long(self, failure: ShoalError, now: float, delay: float) -> bool:
        down = now + delay - self._down_since
        if self._worked:
            return down > PATIENCE
        return down > self._timeout or self._unreachable.seconds_unreachable(failure, now, delay) > UNREACHABLE_PATIENCE


class _UnreachableTimer:
    """Measures for how long no server has listened at the address."""

    def __init__(self) -> None:
        self._since = _NEVER

    def seconds_unreachable(self, failure: ShoalError, now: float, delay: float) -> float:
        """Return for how many seconds no server will have listened after the delay; 0 if one listens."""
        if failure.reason != UNREACHABLE:
            self._since = _NEVER
            return 0.0
        self._since = min(self._since, now)
        return now + delay - self._since


class _Backoff:
    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._ceiling = _FIRST_DELAY

    def next(self, failure: ShoalError) -> float:
        """Return the next delay, added to the one that the server asks for."""
        delay = self._uniform(self._ceiling / 2, self._ceiling)
        self._ceiling = min(2 * self._ceiling, _MAX_DELAY)
        return delay + (failure.retry_after or 0.0)
