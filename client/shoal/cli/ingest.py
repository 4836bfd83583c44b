"""`shoal ingest`: pours files into a session."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

import shoal
from shoal.cli import pouring
from shoal.cli.documents import plain
from shoal.cli.failures import tell, tell_error
from shoal.cli.files import Reading
from shoal.cli.invocation import invocation
from shoal.cli.output import show_thing
from shoal.cli.progress import PourBar, pour_bar


def ingest(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION")],
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="npy, csv, parquet or an image; - is standard input.")
    ],
    batch_rows: pouring.BatchRows = pouring.DEFAULT_BATCH_ROWS,
    columns: pouring.ColumnNames = None,
    weight_column: Annotated[str | None, typer.Option(help="The column that says how much a point counts.")] = None,
    time_column: Annotated[
        str | None,
        typer.Option(
            help="The column that says when, in seconds since 1970 or as 2026-01-31T23:59:59Z; a batch has the time of "
            "its newest row. A session whose half-life is in seconds needs it."
        ),
    ] = None,
    header: pouring.Header = None,
    producer: Annotated[
        str | None,
        typer.Option(help="A name of yours: the same command with it, run again after a crash, counts nothing twice."),
    ] = None,
    on_error: Annotated[Literal["raise", "skip"], typer.Option(help="What a refused batch does.")] = "raise",
) -> None:
    """Push the points of files into a session and say how they fit.

    The batches are the same each time, so with --producer a command can be repeated: batch i is the producer's i-th.
    """
    how = Reading(batch_rows, pouring.column_names(columns), weight_column, time_column, header)
    policy: Literal["raise", "return"] = "raise" if on_error == "raise" else "return"
    start = time.monotonic()
    with pouring.opened(files, how) as points, invocation(ctx).connect() as client:
        results = client.session(session).ingest(pouring.all_batches(points), producer=producer, on_error=policy)
        with closing(results), pour_bar(pouring.total_rows(points)) as bar:
            tally = _follow(results, bar)
    show_thing(tally.summary(session, time.monotonic() - start), invocation(ctx).output)


def _follow(results: Iterable[shoal.PushResult], bar: PourBar) -> Tally:
    tally = Tally()
    for result in results:
        tally = tally.plus(result)
        _tell_refusal(result)
        bar.advance(result.accepted + result.dropped, tally.inertia_per_point, tally.version)
    return tally


def _tell_refusal(result: shoal.PushResult) -> None:
    if result.error is not None:
        tell_error(f"batch {result.sequence} was refused: {result.error}")
    if result.sequence == 1 and result.duplicate:
        tell("this producer has pushed before: what the server has already is not counted again")


@dataclass(frozen=True)
class Tally:
    """What has come of the batches so far."""

    batches: int = 0
    refused: int = 0
    duplicates: int = 0
    accepted: int = 0
    dropped: int = 0
    version: int = 0
    inertia: float = 0.0
    measured: int = 0  # points whose inertia is known: those that came after the warming
    warming: shoal.Warming | None = None

    @property
    def inertia_per_point(self) -> float | None:
        """The mean squared distance to the centroid assigned; None while no batch has been measured."""
        return self.inertia / self.measured if self.measured else None

    def plus(self, result: shoal.PushResult) -> Tally:
        """Return the tally with one more answer."""
        return Tally(
            self.batches + 1,
            self.refused + (result.error is not None),
            self.duplicates + result.duplicate,
            self.accepted + (0 if result.duplicate else result.accepted),
            self.dropped + (0 if result.duplicate else result.dropped),
            max(self.version, result.version),
            self.inertia + (result.inertia if result.version else 0.0),
            self.measured + (result.accepted if result.version else 0),
            None if result.version else result.warming or self.warming,
        )

    def summary(self, session: str, seconds: float) -> dict[str, Any]:
        """Return what is printed at the end; `warming` only for a session that has no centroids yet."""
        rows = self.accepted + self.dropped
        return {
            "session": session,
            "batches": self.batches,
            "batches_refused": self.refused,
            "batches_counted_before": self.duplicates,
            "points_accepted": self.accepted,
            "points_dropped": self.dropped,
            "version": self.version,
            "warming": plain(self.warming),
            "inertia_per_point": self.inertia_per_point,
            "seconds": round(seconds, 3),
            "rows_per_second": round(rows / seconds) if seconds > 0 else None,
        }
