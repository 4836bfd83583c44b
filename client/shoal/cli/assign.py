"""`shoal assign`: the label of each point of a file, one a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated

import numpy as np
import typer

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
    batch_rows: file_options.BatchRows = None,
    columns: file_options.ColumnNames = None,
    header: file_options.Header = None,
) -> None:
    """Print the label of each point, in the order of the file. Never changes the session.

    Each line is a label; with --distances, a label, a comma and the squared distance. With --output json each line is
    {"label": …} or {"label": …, "distance": …}.
    """
    options = ReadOptions(batch_rows, file_options.column_names(columns), header=header)
    with file_options.opened([file], options) as points, invocation(ctx).connect() as client:
        source = BatchSource(points)
        batches = (batch.points for batch in source.batches())
        answers = client.session(session).assign_stream(batches, return_distances=distances)
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
    for label, distance in _rows(answer):
        if form == "json":
            yield as_json({"label": label} if distance is None else {"label": label, "distance": distance})
        else:
            yield str(label) if distance is None else f"{label},{distance!r}"


def _rows(answer: shoal.Assignment) -> Iterator[tuple[int, float | None]]:
    labels = np.asarray(answer.labels).tolist()
    distances = [None] * len(labels) if answer.distances is None else answer.distances.tolist()
    return zip(labels, distances, strict=True)
