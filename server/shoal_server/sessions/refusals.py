"""What is told of sessions that are no more, and of servers that stop."""

from __future__ import annotations

from shoal_server.errors import Reason, Refusal, quoted

MAX_NAME_LENGTH = 128


def session_gone(name: str) -> Refusal:
    """Say that there is no such session, or no longer."""
    return Refusal(
        Reason.SESSION_NOT_FOUND,
        f"there is no session {quoted(name)}; create it first, or list the sessions to see their names",
        session=name[:MAX_NAME_LENGTH],
    )


def shutting_down() -> Refusal:
    """Say that the server had no time left for something."""
    return Refusal(
        Reason.SERVER_DRAINING,
        "the server is shutting down and has not applied this; send it again when the server is back",
        retry_after=1.0,
    )


def out_of_memory() -> Refusal:
    """Return why something is not computed for which there is no memory."""
    return Refusal(
        Reason.OUT_OF_MEMORY,
        "the server has not enough memory to compute this; send smaller batches, or try again when it has less to do",
        retry_after=1.0,
    )
