"""The exceptions of Shoal, as one tree.

::

    ShoalError
    ├── InvalidArgumentError        the request is invalid: shapes, dtypes, names, values (also a ValueError)
    ├── SessionNotFoundError        there is no session of this name, or no longer
    ├── SessionExistsError          there is a session of this name already
    ├── SessionReplacedError        the session is gone, and another one has taken its name
    ├── SessionWarmingError         the session has no centroids yet
    ├── StaleEtagError              the session has changed since its etag was read
    ├── ProducerFencedError         another producer of the same id has taken over
    ├── UnauthenticatedError        the server doesn't know who calls: no token, or one that isn't valid
    ├── PermissionDeniedError       the server knows who calls, and doesn't allow them this
    ├── LimitExceededError          more than the server allows: sessions, bytes of a batch, k·d
    ├── PreconditionError           the session is in some other state that the call can't use
    ├── UnavailableError            the server can't be reached, or is shutting down
    ├── DeadlineExceededError       no answer in time (also a TimeoutError)
    ├── UnsupportedError            the server is older than this client, or not Shoal
    ├── ClientClosedError           this client has been closed
    ├── ServerStartError            `shoal.testing` couldn't start a server or a dashboard
    └── InternalError               a bug, in the server or in this client

A bad batch in a stream makes the same exceptions as a bad batch alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Violation:
    """A field of the request and what is wrong with it."""

    field: str
    description: str


class ShoalError(Exception):
    """The base class of all exceptions of this library.

    Parameters
    ----------
    message
        For people: what was wrong, where, and what would be right.
    reason
        For programs: stays the same from release to release, such as ``SESSION_NOT_FOUND``.
    violations
        The fields of the request that are wrong, where it is that.
    session
        The name of the session concerned, empty where there is none.
    retry_after
        Seconds after which the same may succeed, where the server says so.
    sequence
        The sequence of the batch concerned, in an `ingest`.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: tuple[Violation, ...] = (),
        session: str = "",
        retry_after: float | None = None,
        sequence: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.violations = violations
        self.session = session
        self.retry_after = retry_after
        self.sequence = sequence

    def with_message(self, message: str) -> Self:
        """Return the same error with another message."""
        return type(self)(
            message,
            reason=self.reason,
            violations=self.violations,
            session=self.session,
            retry_after=self.retry_after,
            sequence=self.sequence,
        )


class InvalidArgumentError(ShoalError, ValueError):
    """The request is invalid, whatever the state of the session."""


class SessionNotFoundError(ShoalError):
    """There is no session of this name, or it was deleted."""


class SessionExistsError(ShoalError):
    """There is a session of this name already."""


class SessionReplacedError(ShoalError):
    """While a stream was disconnected, its session ended and another one got its name."""


class SessionWarmingError(ShoalError):
    """The session is collecting its first points and has no centroids yet."""


class StaleEtagError(ShoalError):
    """The session has changed since its etag was read: read it and try again."""


class ProducerFencedError(ShoalError):
    """Another producer of the same id has taken over; this one must stop."""


class UnauthenticatedError(ShoalError):
    """The server can't identify the caller: the token is missing or invalid."""


class PermissionDeniedError(ShoalError):
    """The caller isn't allowed to do this."""


class LimitExceededError(ShoalError):
    """A limit of the server is reached; the message says which."""


class PreconditionError(ShoalError):
    """The session is in a state that the call can't use; the message says which."""


class UnavailableError(ShoalError):
    """The server can't be reached, or is shutting down. Try again later."""


class DeadlineExceededError(ShoalError, TimeoutError):
    """The answer didn't come in time. The call may or may not have taken effect."""


class UnsupportedError(ShoalError):
    """The server doesn't know the method."""


class ClientClosedError(ShoalError):
    """The client has been closed."""


class ServerStartError(ShoalError):
    """A server or dashboard of `shoal.testing` didn't start; the message has the end of its log."""


class InternalError(ShoalError):
    """A bug, in the server or in this client."""
