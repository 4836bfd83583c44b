"""csv: numbers in lines, with or without a line of names. Streamed; everything is read as float64.

Columns without names are called by their numbers, from 0.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from io import BufferedReader
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from shoal import Batch
from shoal.cli.failures import CommandError
from shoal.cli.files.columns import Columns, choose
from shoal.cli.files.contract import PointFile, Reading, no_rows
from shoal.cli.files.tables import as_array, in_batches

_NULLS = frozenset(arrow_csv.ConvertOptions().null_values)


def read_csv(stream: BufferedReader, reading: Reading, where: str) -> PointFile:
    """Read csv from a file or a stream; the first line decides what the columns are called."""
    first = _first_line(stream, where)
    has_header = _looks_like_names(first) if reading.header is None else reading.header
    names = first if has_header else [str(place) for place in range(len(first))]
    columns = choose(names, reading, where)
    begin = [] if has_header else [_as_row(first, columns, where)]
    _skip_empty_lines(stream)
    if has_header and not stream.peek(1):
        raise no_rows(where)
    pieces = _pieces(begin, stream, names, columns, where)
    return PointFile(where, None, in_batches(pieces, reading.batch_rows))


def _first_line(stream: BufferedReader, where: str) -> list[str]:
    _skip_empty_lines(stream)
    try:
        line = stream.readline().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise CommandError(f"{where}: neither csv in UTF-8 nor npy: its first line isn't text") from error
    if not line:
        raise no_rows(where)
    return [field.strip() for field in next(csv.reader([line]))]


def _skip_empty_lines(stream: BufferedReader) -> None:
    while stream.peek(1)[:1] in (b"\n", b"\r"):
        stream.read(1)


def _looks_like_names(fields: Sequence[str]) -> bool:
    """Tell a line of names by its having no number: taking a row for names would lose a point without a word."""
    texts = [field for field in fields if field not in _NULLS]
    return bool(texts) and not any(_is_number(text) for text in texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_row(fields: Sequence[str], columns: Columns, where: str) -> Batch:
    try:
        values = np.array([[_number(fields[place]) for place in columns.all]])
    except ValueError as error:
        raise CommandError(f"{where}: line 1 isn't all numbers ({error}); if it holds names, say --header") from error
    return _split(values, columns)


def _number(text: str) -> float:
    return math.nan if text in _NULLS else float(text)


def _split(values: np.ndarray[Any, Any], columns: Columns) -> Batch:
    return Batch(values) if columns.weight is None else Batch(values[:, :-1], values[:, -1])


def _pieces(
    begin: list[Batch], stream: BufferedReader, names: Sequence[str], columns: Columns, where: str
) -> Iterator[Batch]:
    yield from begin
    rows = len(begin)
    try:
        for batch in _open(stream, names, columns) if stream.peek(1) else ():
            yield _split(np.column_stack([as_array(column) for column in batch.columns]), columns)
            rows += batch.num_rows
    except pa.ArrowInvalid as error:
        raise CommandError(f"{where}: after row {rows:,}: {_explained(str(error), names)}") from error


def _open(stream: BufferedReader, names: Sequence[str], columns: Columns) -> Any:
    unique = [f"{place}:{name}" for place, name in enumerate(names)]  # two columns may have one name
    wanted = [unique[place] for place in columns.all]
    return arrow_csv.open_csv(
        stream,
        read_options=arrow_csv.ReadOptions(column_names=unique),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.float64()), include_columns=wanted, strings_can_be_null=True
        ),
    )


def _explained(error: str, names: Sequence[str]) -> str:
    told = re.sub(r"In CSV column #(\d+): CSV ", lambda match: f"in column {names[int(match[1])]!r}: ", error)
    return f"{told}; each line needs {len(names)} values, numbers in the columns read (--columns chooses)"
