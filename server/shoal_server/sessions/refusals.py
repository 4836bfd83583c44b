"""Refusals of what sessions are asked for: sessions that are gone, a server that stops, batches from the future."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from shoal_server.clustering.state import Batch
from shoal_server.engines.contract import UnusablePoints
from shoal_server.errors import DomainError, Reason, Refusal, quoted, refused

MAX_NAME_LENGTH = 128


def session_gone(name: str) -> Refusal:
    """Return the refusal of a call to a session that doesn't exist, or no longer."""
    return Refusal(
        Reason.SESSION_NOT_FOUND,
        f"there is no session {quoted(name)}; create it first, or list the sessions to see their names",
        session=name[:MAX_NAME_LENGTH],
    )


def shutting_down() -> Refusal:
    """Return the refusal of what was not applied before the server stopped."""
    return Refusal(
        Reason.SERVER_DRAINING,
        "the server is shutting down and has not applied this; send it again when the server is back",
        retry_after=1.0,
    )


def etag_mismatch(name: str, etag: str, newest: str) -> Refusal:
    """Return the refusal of a change of a session that has changed meanwhile."""
    return Refusal(
        Reason.ETAG_MISMATCH,
        f"etag {quoted(etag)} is stale, session {name!r} has {newest!r}: read the session and try again",
        session=name,
    )


def too_many_changes(name: str, most: int) -> Refusal:
    """Return the refusal of a change of the configuration while too many wait."""
    return Refusal(
        Reason.TOO_MANY_CHANGES,
        f"{most} changes of session {name!r} wait for the batches before them: wait for one to be answered first",
        session=name,
        retry_after=1.0,
    )


@contextmanager
def errors_of_far_points(whose: str, advice: str) -> Iterator[None]:
    """Refuse what is fitted to a summary whose points lie too far apart for it, with VALUE_TOO_LARGE.

    Parameters
    ----------
    whose
        Points, as the message says it.
    advice
        What would be right.
    """
    try:
        yield
    except UnusablePoints:
        raise refused(
            Reason.VALUE_TOO_LARGE,
            f"{whose} points lie so far apart that their squared distances overflow; {advice}",
        ) from None


def out_of_memory() -> Refusal:
    """Return the refusal of a computation for which there is no memory."""
    return Refusal(
        Reason.OUT_OF_MEMORY,
        "the server has not enough memory to compute this; send smaller batches, or try again when it has less to do",
        retry_after=1.0,
    )


def future_refused(message: Sequence[Batch], now: Callable[[], datetime], most: float) -> Sequence[Batch]:
    """Return batches that have just come, with those refused whose event time is more than `most` seconds ahead of now.

    Checked when batches come and not when they are applied: the same batches give the same centroids at any time.
    """
    if all(batch.event_time is None for batch in message):
        return message
    arrival = now().timestamp()
    return [_refused_if_ahead(batch, arrival, most) for batch in message]


def _refused_if_ahead(batch: Batch, now: float, most: float) -> Batch:
    if batch.event_time is None or batch.refusal is not None or batch.event_time - now <= most:
        return batch
    return batch._replace(
        refusal=Refusal(
            Reason.EVENT_TIME_AHEAD,
            f"event_time is {_shown(batch.event_time)}, {batch.event_time - now:,.0f} seconds ahead of the server's "
            f"{_shown(now)}, and at most {most:,g} are allowed, since all that comes later would count as late; give "
            f"the time when the points happened, or raise SHOAL_MAX_EVENT_TIME_AHEAD",
            "event_time",
        )
    )


def _shown(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return f"{moment:g} seconds since 1970"


@contextmanager
def errors_of_session(name: str) -> Iterator[None]:
    """Attach a session's name to the refusals that are raised within."""
    try:
        yield
    except DomainError as error:
        raise DomainError(error.refusal.for_session(name)) from None
