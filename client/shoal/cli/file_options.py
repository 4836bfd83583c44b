"""The options for reading files, shared by `ingest` and `assign`, and the opening of these files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from typing import Annotated

import typer

from shoal._validation import INT32
from shoal.cli.files import PointFile, ReadOptions, open_points

FILES = "npy, csv, parquet or an image; - is standard input, npy or csv."

BatchRows = Annotated[
    int | None,
    typer.Option(
        min=1, max=INT32[1], help="Rows in a batch. By default about 1 MiB of rows, at most 8192.", show_default=False
    ),
]
ColumnNames = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,…",
        help="The columns to read. By default all. Columns without names are 0, 1, 2 …; those of an image R, G, B.",
    ),
]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether csv starts with column names. By default detected.")
]


def column_names(text: str | None) -> tuple[str, ...] | None:
    """Return the names that --columns lists."""
    return None if text is None else tuple(name.strip() for name in text.split(","))


@contextmanager
def opened(names: Sequence[str], options: ReadOptions) -> Iterator[list[PointFile]]:
    """Open all files before reading the first, so that a wrong name is reported at once; close them at the end."""
    with ExitStack() as stack:
        files = []
        for name in names:
            file = open_points(name, options, _standard_input)
            stack.callback(file.close)
            files.append(file)
        yield files


def _standard_input() -> BufferedReader:
    # Not sys.stdin: a reader that still waits for it when Ctrl-C ends the process is fatal to the interpreter.
    return open(sys.stdin.fileno(), "rb", closefd=False)
