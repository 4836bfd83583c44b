"""The options that say how files are read, shared by `ingest` and `assign`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from typing import Annotated

import typer

from shoal import Batch
from shoal.cli.files import PointFile, Reading, open_points

BatchRows = Annotated[int, typer.Option(min=1, help="Rows of a batch.")]
ColumnNames = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,…",
        help="The columns to read; else all. Without names they are 0, 1, 2 …; channels of an image are R, G, B.",
    ),
]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether csv begins with names; else as it looks.")
]

DEFAULT_BATCH_ROWS = 8192


def column_names(text: str | None) -> tuple[str, ...] | None:
    """Return the names that --columns lists."""
    return None if text is None else tuple(name.strip() for name in text.split(","))


@contextmanager
def opened(names: Sequence[str], how: Reading) -> Iterator[list[PointFile]]:
    """Open all files before the first is read, so that a wrong name is told at once; close them at the end."""
    with ExitStack() as stack:
        files = []
        for name in names:
            file = open_points(name, how, _standard_input)
            stack.callback(file.close)
            files.append(file)
        yield files


def all_batches(files: Sequence[PointFile]) -> Iterator[Batch]:
    """Yield the batches of one file after the other."""
    for file in files:
        yield from file.batches


def total_rows(files: Sequence[PointFile]) -> int | None:
    """Return how many rows the files have together, None where one of them doesn't say."""
    rows = [file.rows for file in files if file.rows is not None]
    return sum(rows) if len(rows) == len(files) else None


def _standard_input() -> BufferedReader:
    # Not sys.stdin: a reader that still waits for it when Ctrl-C ends the process is fatal to the interpreter.
    return open(sys.stdin.fileno(), "rb", closefd=False)
