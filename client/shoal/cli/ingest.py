"""`shoal ingest`: pushes files into a session."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Literal

import typer

import shoal
from shoal import Precision
from shoal.cli import file_options
from shoal.cli.batch_source import BatchSource
from shoal.cli.failures import CommandError, tell, tell_error
from shoal.cli.files import ReadOptions
from shoal.cli.ingest_summary import IngestSummary
from shoal.cli.invocation import Invocation, invocation
from shoal.cli.output import show_record
from shoal.cli.progress import IngestProgress, ingest_progress


def ingest(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION")],
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help=file_options.FILES)],
    batch_rows: file_options.BatchRows = None,
    columns: file_options.ColumnNames = None,
    weight_column: Annotated[str | None, typer.Option(help="The column of sample weights.")] = None,
    time_column: Annotated[
        str | None,
        typer.Option(
            help="The column of event times, in seconds since 1970 or like 2026-01-31T23:59:59Z. A batch has the "
            "time of its newest row. Required by a session whose half-life is in seconds."
        ),
    ] = None,
    header: file_options.Header = None,
    dtype: Annotated[
        Precision, typer.Option(help="The type to read csv numbers as. Other files keep their own types.")
    ] = "float64",
    producer: Annotated[
        str | None,
        typer.Option(
            help="Name of the producer. If you repeat the command with it after a crash, nothing counts twice."
        ),
    ] = None,
    on_error: Annotated[Literal["raise", "skip"], typer.Option(help="Whether to stop at a refused batch.")] = "raise",
) -> None:
    """Push the points of files into a session and print how well they fit.

    The first refused batch stops the command; batches already on their way still count. A summary is printed in
    any case, after Ctrl-C too.

    The same files always give the same batches, so you can repeat a command with --producer.
    """
    options = ReadOptions(batch_rows, file_options.column_names(columns), weight_column, time_column, header, dtype)
    with file_options.opened(files, options) as points, invocation(ctx).connect() as client:
        run = _IngestRun(
            BatchSource(points),
            stop_at_refusal=on_error == "raise",
            weighted=weight_column is not None,
            producer=producer,
        )
        # Not on_error="raise": the answers to what is in flight behind a refused batch are wanted too.
        results = client.session(session).ingest(run.source.batches(), producer=producer, on_error="return")
        with _summarised(run, session, invocation(ctx)), closing(results), ingest_progress(run.source.rows) as bar:
            run.consume(results, bar)
    if run.failure:
        raise CommandError(run.failure)
    run.tell_if_all_counted_before()


class _IngestRun:
    """The state of one `shoal ingest`: its source and the results so far."""

    def __init__(self, source: BatchSource, *, stop_at_refusal: bool, weighted: bool, producer: str | None) -> None:
        self.source = source
        self._producer = producer
        self._weighted = weighted
        self.summary = IngestSummary()
        self._stop_at_refusal = stop_at_refusal
        self._refusal = ""  # the one that stopped the source
        self._summary_at_refusal = IngestSummary()

    @property
    def failure(self) -> str:
        """Why the source was stopped, and the result of the batches behind; empty if it wasn't."""
        behind = self.summary.batches - self._summary_at_refusal.batches
        refused = self.summary.refused - self._summary_at_refusal.refused
        return f"{self._refusal}{_batches_behind(behind, refused)}" if self._refusal else ""

    @property
    def warning(self) -> str:
        """A warning about batches that came too late to count; empty if there are none."""
        faded = 0 if self._weighted else self.summary.faded  # what weights would have counted in time isn't known
        if not faded:
            return ""
        return (
            f"{faded} of {self.summary.batches} batches came so late that they counted less than half: push the oldest "
            f"points first, or give the session a longer half-life"
        )

    @property
    def _reused(self) -> str:
        return f"producer {self._producer!r} has already pushed other points; use another --producer for these files"

    def consume(self, results: Iterable[shoal.PushResult], bar: IngestProgress) -> None:
        """Count the answers; if the source is stopped, until all batches already taken are answered."""
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "nothing was added")  # tell_if_all_counted_before says so
                for result in results:
                    self._count(result)
                    bar.advance(result.accepted + result.dropped, self.summary.inertia_per_point, self.summary.version)
                    if self._refusal and not self.source.unanswered:
                        return
        except shoal.ShoalError as error:
            if self._refusal:
                tell_error(self.failure)
            raise self.source.explain(error) from error

    def tell_if_all_counted_before(self) -> None:
        """Report that nothing was added; raise CommandError unless it is certain that the batches are the same."""
        before = self.summary.duplicates
        if not before or before + self.summary.refused < self.summary.batches:
            return
        if self.summary.unverified:
            raise CommandError(
                f"nothing was added: producer {self._producer!r} has pushed {before:,} batches before. "
                f"If these are new points, use another --producer"
            )
        tell(f"nothing was added: producer {self._producer!r} has pushed exactly these batches before")

    def _count(self, result: shoal.PushResult) -> None:
        rows = self.source.answered()
        self.summary = self.summary.with_result(result)
        if result.sequence == 1 and result.duplicate:
            tell("this producer has pushed before: what the server has already is not counted again")
        if result.error is None or self._refusal:
            return
        reused = result.error.reason == "SEQUENCE_REUSED"
        refusal = f"batch {result.sequence} was refused: {self._reused if reused else rows.explain(result.error)}"
        if self._stop_at_refusal or reused:  # those behind it are other points too
            self.source.stop()
            self._refusal, self._summary_at_refusal = refusal, self.summary
        else:
            tell_error(refusal)


def _batches_behind(behind: int, refused: int) -> str:
    if not behind:
        return ""
    those = "the batch after it that was" if behind == 1 else f"the {behind} batches after it that were"
    if not refused:
        return f"; {those} on {'its' if behind == 1 else 'their'} way {'has' if behind == 1 else 'have'} been applied"
    return f"; of {those} on the way, {behind - refused} applied and {refused} refused as well"


@contextmanager
def _summarised(run: _IngestRun, session: str, shared: Invocation) -> Iterator[None]:
    """Print the summary at the end, also after a failure, unless that comes before the first answer."""
    start = time.monotonic()
    interrupted = False
    try:
        yield
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        if run.summary.batches or interrupted:
            _tell(run, session, time.monotonic() - start, shared)


def _tell(run: _IngestRun, session: str, seconds: float, shared: Invocation) -> None:
    unanswered = run.source.unanswered
    if unanswered:
        tell(f"no answer to the last {unanswered} batch{'es' * (unanswered > 1)}: what was sent may have been applied")
    if run.warning:
        tell(run.warning)
    show_record(run.summary.record(session, unanswered, seconds), shared.output)
