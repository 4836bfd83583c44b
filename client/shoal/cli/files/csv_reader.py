"""csv: numbers in lines, with or without a line of names. Streamed.

Columns without names are called by their numbers, from 0.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BufferedReader
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from shoal import Precision
from shoal.cli.failures import CommandError, tell
from shoal.cli.files.arrow_rows import as_rows
from shoal.cli.files.columns import Columns, select_columns
from shoal.cli.files.point_file import PointFile, ReadOptions, no_rows_error
from shoal.cli.files.rows import Rows, in_batches

_NULLS = frozenset(arrow_csv.ConvertOptions().null_values)
_NOT_A_NUMBER = re.compile(
    r"In CSV column #(?P<column>\d+): Row #(?P<row>\d+): CSV conversion error to double: invalid value '(?P<value>.*)'",
    re.DOTALL,
)
_BLOCK_BYTES = 1 << 20
_FEWEST_NAMES, _MAX_SHOWN = 3, 40  # of two columns, 1,2 is likely to be a point


def read_csv(stream: BufferedReader, options: ReadOptions, where: str) -> PointFile:
    """Read csv from a file or a stream; the first line decides the names of the columns."""
    first = _first_line(stream, where)
    fields = [field.strip() for field in next(csv.reader([first]))]
    has_header = _looks_like_names(fields) if options.header is None else options.header
    if options.header is None and _are_consecutive(fields):
        tell(f"{where}: the first line, {first[:_MAX_SHOWN]}, counts as a point; use --header if it has names")
    if has_header and not _has_more(stream):
        raise no_rows_error(where)
    names = fields if has_header else [str(index) for index in range(len(fields))]
    columns = select_columns(names, options, where)
    blocks = _blocks(stream, b"" if has_header else first.encode() + b"\n")
    pieces = _pieces(blocks, names, columns, where, _other_separator(first))
    batches = in_batches((_typed(rows, options.dtype) for rows in pieces), options)
    return PointFile(where, None, batches, first_row=1, typed=False)


def _first_line(stream: BufferedReader, where: str) -> str:
    if not _has_more(stream):
        raise no_rows_error(where)
    try:
        return stream.readline().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{where}: neither csv in UTF-8 nor npy: its first line isn't text; parquet and images "
            f"need their file extension"
        ) from error


def _has_more(stream: BufferedReader) -> bool:
    while (following := stream.peek(1)[:1]) in (b"\n", b"\r"):
        stream.read(1)
    return following != b""


def _looks_like_names(fields: Sequence[str]) -> bool:
    """Return whether no field is a number. A row of numbers taken for names would silently lose a point."""
    texts = [field for field in fields if field not in _NULLS]
    return bool(texts) and not any(_is_number(text) for text in texts)


def _are_consecutive(fields: Sequence[str]) -> bool:
    """Return whether fields are 0, 1, 2 or 2019, 2020 or the like: numbers, but probably names of columns."""
    if len(fields) < _FEWEST_NAMES or not all(re.fullmatch(r"\d{1,9}", field) for field in fields):
        return False
    first = int(fields[0])
    return [int(field) for field in fields] == [*range(first, first + len(fields))]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _blocks(stream: BufferedReader, begin: bytes) -> Iterator[bytes]:
    """Yield whole lines as they come, without waiting until a slow pipe has filled a block."""
    if begin:
        yield begin
    rest = b""
    while piece := stream.read1(_BLOCK_BYTES):
        lines, newline, rest = (rest + piece).rpartition(b"\n")
        if newline:
            yield lines + newline
    if rest:
        yield rest


def _other_separator(line: str) -> str:
    """Return the separator that a line seems to use instead of commas; empty if there is none."""
    if ";" in line or "\t" in line:
        return "';'" if ";" in line else "tabs"
    return "spaces" if " " in line and "," not in line else ""


def _typed(rows: Rows, dtype: Precision) -> Rows:
    with np.errstate(over="ignore"):  # becomes infinity, which the server refuses by name
        return replace(rows, points=rows.points.astype(dtype, copy=False))


def _pieces(
    blocks: Iterator[bytes], names: Sequence[str], columns: Columns, where: str, other_separator: str
) -> Iterator[Rows]:
    rows = 0
    for block in blocks:
        try:
            table = _parse(block, names, columns)
        except pa.ArrowInvalid as error:
            raise CommandError(f"{where}: {_explained(str(error), names, rows, other_separator)}") from error
        yield as_rows([table.column(name).combine_chunks() for name in _wanted(names, columns)], names, columns, where)
        rows += table.num_rows


def _parse(block: bytes, names: Sequence[str], columns: Columns) -> Any:
    return arrow_csv.read_csv(
        pa.BufferReader(block),
        # Arrow's threads, were they to wait for a pipe, would outlive Ctrl-C.
        read_options=arrow_csv.ReadOptions(column_names=_unique(names), use_threads=False),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(_wanted(names, columns)[: columns.n_numbers], pa.float64()),
            include_columns=list(dict.fromkeys(_wanted(names, columns))),
            strings_can_be_null=True,
        ),
    )


def _wanted(names: Sequence[str], columns: Columns) -> list[str]:
    return [_unique(names)[index] for index in columns.all]


def _unique(names: Sequence[str]) -> list[str]:
    return [f"{index}:{name}" for index, name in enumerate(names)]  # two columns may have one name


def _explained(error: str, names: Sequence[str], rows_before: int, other_separator: str) -> str:
    text = _NOT_A_NUMBER.search(error)
    if text and not other_separator:
        row, name = rows_before + int(text["row"]), names[int(text["column"])]
        return (
            f"row {row:,}, column {name!r}: {text['value']!r} is not a number; choose number columns with --columns, "
            f"or use --header if the first line has names"
        )
    told = re.sub(r"Row #(\d+)", lambda match: f"row {rows_before + int(match[1]):,}", error)
    told = re.sub(r"In CSV column #(\d+)", lambda match: f"column {names[int(match[1])]!r}", told)
    if other_separator:
        return f"{told}; the fields seem to be separated by {other_separator}: write commas between them"
    return f"{told}; each row needs {len(names)} values, and numbers where they are read: see --columns and --header"
