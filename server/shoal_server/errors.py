"""What can go wrong, in the words of the domain. No grpc here: rpc/ turns these into statuses.

Every error has a `reason` that stays the same from release to release, and a message that says what was wrong, where,
and what would be right.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_QUOTE_LENGTH = 200


class Kind(Enum):
    """What sort of failure it is; the values are the names of gRPC's status codes."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True)
class Violation:
    """A field of the request and what is wrong with it."""

    field: str
    description: str


class DomainError(Exception):
    """An error that the caller is told about.

    Parameters
    ----------
    kind
        The sort of failure.
    reason
        The stable name, such as ``SESSION_NOT_FOUND``.
    message
        What was wrong, where, and what would be right.
    field
        The path of the request's field that is wrong, such as ``points`` or ``config.n_clusters``; for
        INVALID_ARGUMENT.
    session
        The session concerned, where there is one.
    retry_after
        Seconds after which a repetition may succeed, where that is so.
    """

    def __init__(
        self,
        kind: Kind,
        reason: str,
        message: str,
        *,
        field: str = "",
        session: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.field = field
        self.session = session
        self.retry_after = retry_after

    def again(self) -> DomainError:
        """Return the same error anew: one that was raised holds the frames it came through, and the points in them."""
        return DomainError(
            self.kind,
            self.reason,
            self.message,
            field=self.field,
            session=self.session,
            retry_after=self.retry_after,
        )

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The fields that are wrong."""
        return (Violation(self.field, self.message),) if self.field else ()


class StartError(Exception):
    """The server can't start as it is asked to; the message is for whoever started it."""


def quoted(said: object) -> str:
    """Return what the request said as a message quotes it: gRPC refuses a status of more than 8 KiB."""
    text = repr(said)
    return text if len(text) <= MAX_QUOTE_LENGTH else f"{text[:MAX_QUOTE_LENGTH]}…"


def invalid(reason: str, field: str, message: str) -> DomainError:
    """Input that can never be right, whatever the state of the session."""
    return DomainError(Kind.INVALID_ARGUMENT, reason, message, field=field)


def internal() -> DomainError:
    """Say that there is a bug, and nothing of its story: that is for the log."""
    return DomainError(
        Kind.INTERNAL,
        "INTERNAL",
        "the server has a bug: the call failed and changed nothing; its log says more",
    )
