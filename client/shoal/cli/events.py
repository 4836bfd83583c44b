"""`shoal events`: what happened to the clusters of a session."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Annotated, Any

import typer

import shoal
from shoal._validation import INT64
from shoal.cli.documents import plain
from shoal.cli.failures import tell
from shoal.cli.invocation import invocation
from shoal.cli.output import Format, show_records, write_as_they_come, write_lines


def events(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION")],
    after: Annotated[
        int, typer.Option(min=0, max=INT64[1], help="Print only events newer than the one with this number.")
    ] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each event as it happens, until the session is deleted.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, max=sys.maxsize, help="Stop after this many events.")
    ] = None,
) -> None:
    """Print what happened to the clusters of a session, and to its configuration.

    With --output json the events are an array, and with --follow too each line is an event.

    A session keeps its newest events; a message tells how many older ones are lost.
    """
    form = invocation(ctx).output
    with invocation(ctx).connect() as client:
        if not follow:
            _show(client.session(session).events(after)[:count], form)
            return
        followed = client.session(session).watch_events(after)
        with closing(followed):
            written = write_as_they_come(_told(islice(followed, count)), form, _HEADINGS, _row, _document)
    if written != count:
        tell(f"session {session!r} is gone; there will be no further event")


_HEADINGS = f"{'event':>7}  {'version':>9}  {'time':19}  what happened"


def _show(events: list[shoal.Event], form: Format) -> None:
    events = list(_told(events))
    if form == "json":
        show_records([_document(event) for event in events], "json")
        return
    write_lines([_HEADINGS, *map(_row, events)] if events else [])


def _row(event: shoal.Event) -> str:
    time = event.time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{event.number:>7,}  {event.version:>9,}  {time}  {event}"


def _document(event: shoal.Event) -> dict[str, Any]:
    return {**plain(event), "text": str(event)}


def _told(events: Iterable[shoal.Event]) -> Iterator[shoal.Event]:
    """Yield events, and say before each how many that came before it are lost."""
    for event in events:
        if event.missed:
            tell(f"the session doesn't keep the {event.missed:,} events before event {event.number:,} any more")
        yield event
