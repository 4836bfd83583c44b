"""What is told of sessions that are no more, and of servers that stop."""

from __future__ import annotations

from shoal_server.errors import DomainError, Kind, quoted

MAX_NAME_LENGTH = 128


def session_gone(name: str) -> DomainError:
    """Say that there is no such session, or no longer."""
    return DomainError(
        Kind.NOT_FOUND,
        "SESSION_NOT_FOUND",
        f"there is no session {quoted(name)}; create it first, or list the sessions to see their names",
        session=name[:MAX_NAME_LENGTH],
    )


def shutting_down() -> DomainError:
    """Say that the server had no time left for something."""
    return DomainError(
        Kind.UNAVAILABLE,
        "SERVER_DRAINING",
        "the server is shutting down and has not applied this; send it again when the server is back",
        retry_after=1.0,
    )
