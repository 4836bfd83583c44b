"""`shoal assign`: the label of each point of a file, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

import numpy as np
import typer

import shoal
from shoal.cli import pouring
from shoal.cli.failures import tell
from shoal.cli.files import Reading
from shoal.cli.invocation import invocation
from shoal.cli.output import Format, as_json, write_lines


def assign(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="npy, csv, parquet or an image; - is standard input.")],
    distances: Annotated[bool, typer.Option("--distances", help="The squared distance as well.")] = False,
    batch_rows: pouring.BatchRows = pouring.DEFAULT_BATCH_ROWS,
    columns: pouring.ColumnNames = None,
    header: pouring.Header = None,
) -> None:
    """Print the label of each point, in the order of the file. Never changes the session.

    A line is the label, with --distances a comma and the squared distance; as JSON {"label": …, "distance": …}.
    """
    how = Reading(batch_rows, pouring.column_names(columns), header=header)
    versions: set[int] = set()
    with (
        pouring.opened([file], how) as points,
        invocation(ctx).connect() as client,
    ):
        batches = (batch.points for batch in pouring.all_batches(points))
        with closing(client.session(session).assign_stream(batches, return_distances=distances)) as answers:
            for answer in answers:
                versions.add(answer.version)
                write_lines(_lines(answer, invocation(ctx).output))
    _tell_versions(versions)


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


def _tell_versions(versions: set[int]) -> None:
    if len(versions) > 1:
        tell(f"the session moved meanwhile: the labels are of versions {min(versions)} to {max(versions)}")
