"""`shoal watch`: a line for each new version of the centroids."""

from __future__ import annotations

import sys
from contextlib import closing
from itertools import islice
from typing import Annotated

import numpy as np
import typer

import shoal
from shoal._validation import INT64
from shoal.cli.documents import plain
from shoal.cli.failures import tell
from shoal.cli.invocation import invocation
from shoal.cli.output import write_as_they_come
from shoal.wire import MAX_DURATION_SECONDS


def watch(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION")],
    after_version: Annotated[
        int | None, typer.Option(min=0, max=INT64[1], help="Print only versions newer than this one.")
    ] = None,
    min_interval: Annotated[
        float | None,
        typer.Option(min=0, max=MAX_DURATION_SECONDS, help="Minimum number of seconds between two updates."),
    ] = None,
    min_shift: Annotated[
        float | None, typer.Option(min=0, help="Print an update only when a centroid has moved at least this far.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, max=sys.maxsize, help="Stop after this many updates.")
    ] = None,
) -> None:
    """Follow the centroids of a session until it is deleted, or Ctrl-C.

    With --output json each line is a whole update, centroids and weights included.

    A reader that is slower than the updates misses versions in between, never the newest.
    """
    form = invocation(ctx).output
    with invocation(ctx).connect() as client:
        updates = client.session(session).watch(
            after_version=after_version, min_interval=min_interval, min_shift=min_shift
        )
        with closing(updates):
            written = write_as_they_come(islice(updates, count), form, _HEADINGS, _row, plain)
    if written != count:
        tell(f"session {session!r} is gone; there will be no newer version")


_HEADINGS = f"{'version':>10}  {'points':>14}  {'inertia of batch':>16}  {'farthest move':>13}  made by"


def _row(update: shoal.CentroidUpdate) -> str:
    movement = float(np.max(update.movement, initial=0.0))
    inertia = "–" if update.inertia is None else f"{update.inertia:,.6g}"
    made_by = "a refinement" if update.refined else "a batch" if update.version else "–"  # version 0: they are given
    return f"{update.version:>10,}  {update.points_accepted:>14,}  {inertia:>16}  {movement:>13,.4g}  {made_by}"
