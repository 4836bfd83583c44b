"""`shoal assign`: the label of each point of a file, one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import shoal
from shoal.cli import file_options
from shoal.cli.batch_source import BatchSource
from shoal.cli.failures import tell
from shoal.cli.files import ReadOptions
from shoal.cli.invocation import invocation
from shoal.cli.output import Format, as_json, write_lines


def assign(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION")],
    file: Annotated[str, typer.Argument(metavar="FILE", help=file_options.FILES)],
    distances: Annotated[bool, typer.Option("--distances", help="Print squared distances too.")] = False,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores", help="Print how unusual each point is, too; only for a session with an outlier threshold."
        ),
    ] = False,
    batch_rows: file_options.BatchRows = None,
    columns: file_options.ColumnNames = None,
    header: file_options.Header = None,
) -> None:
    """Print the label of each point, in the order of the file. Never changes the session.

    Each line is a label; with --distances and --scores the squared distance and the score follow it, with commas
    between. With --output json each line is {"label": …}, with "distance" and "score" where you ask for them.
    """
    options = ReadOptions(batch_rows, file_options.column_names(columns), header=header)
    with file_options.opened([file], options) as points, invocation(ctx).connect() as client:
        source = BatchSource(points)
        batches = (batch.points for batch in source.batches())
        answers = client.session(session).assign_stream(batches, return_distances=distances, return_scores=scores)
        with closing(answers):
            versions = _write_all(answers, source, invocation(ctx).output)
    if len(versions) > 1:
        tell(f"the session moved meanwhile: the labels are of versions {min(versions)} to {max(versions)}")


def _write_all(answers: Iterable[shoal.Assignment], source: BatchSource, form: Format) -> set[int]:
    """Write the labels as they come; return their versions."""
    versions: set[int] = set()
    try:
        for answer in answers:
            source.answered()
            versions.add(answer.version)
            write_lines(_lines(answer, form))
    except shoal.ShoalError as error:
        raise source.explain(error) from error
    return versions


def _lines(answer: shoal.Assignment, form: Format) -> Iterator[str]:
    columns: dict[str, NDArray[Any] | None] = {
        "label": answer.labels,
        "distance": answer.distances,
        "score": answer.scores,
    }
    asked = {name: np.asarray(column).tolist() for name, column in columns.items() if column is not None}
    for row in zip(*asked.values(), strict=True):
        yield as_json(dict(zip(asked, row, strict=True))) if form == "json" else ",".join(map(repr, row))
