"""Standard output: a table for people, JSON for programs."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shoal.cli.failures import CommandError

Format = Literal["table", "json"]
T = TypeVar("T")

_NOT_COUNTED = {"config.random_state"}  # to be copied, not read as a quantity
_WHOLE = 1e5  # from here on, what is behind the point isn't shown
_UNWRAPPED = 10_000  # columns; a pipe has no edge to wrap at


def show_record(thing: Mapping[str, Any], form: Format) -> None:
    """Write one record: its fields below one another, nested ones as ``outer.inner``, or a JSON document."""
    if form == "json":
        write_lines([as_json(thing, indent=2)])
    else:
        rows = [(name, _as_named(name, value)) for name, value in _flat(thing) if value is not None]
        _print_table(["", ""], rows, header=False)


def show_records(things: Sequence[Mapping[str, Any]], form: Format, *, wraps: bool = False) -> None:
    """Write records of one kind: a row for each, whose texts may wrap, or one JSON array."""
    if form == "json":
        write_lines([as_json(things, indent=2)])
    elif things:
        _print_table(list(things[0]), [tuple(thing.values()) for thing in things], wraps=wraps)


def fits_terminal(things: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a table fits the width of the terminal; without a terminal everything fits."""
    console, table = _console(), _table(list(things[0]), [tuple(thing.values()) for thing in things])
    return console.measure(table, options=console.options.update_width(_UNWRAPPED)).maximum <= console.width


def write_lines(lines: Iterable[str]) -> None:
    """Write lines at once, for a reader at the other end of a pipe."""
    with _writing():
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


def write_as_they_come(
    records: Iterable[T], form: Format, headings: str, row: Callable[[T], str], document: Callable[[T], Any]
) -> int:
    """Write a line for each record as soon as it comes, and return how many there were.

    Parameters
    ----------
    records
        What is written.
    form
        A table, or a JSON document a line.
    headings
        The first line of the table, written before its first row.
    row, document
        Return what is written of a record in each form.
    """
    written = 0
    for record in records:
        first = [headings] if form == "table" and not written else []  # not before it is known that there are any
        write_lines([*first, as_json(document(record)) if form == "json" else row(record)])
        written += 1
    return written


def as_json(document: Any, indent: int | None = None) -> str:
    """Return a JSON document on one line or indented; NaN and infinity, which JSON lacks, become null."""
    try:
        return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(document), indent=indent, ensure_ascii=False)


def as_text(value: Any) -> str:
    """Return the text of a value in a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return "–" if not math.isfinite(value) else f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"an array of shape {np.shape(value)}" if isinstance(value, list) else str(value)


def _as_named(name: str, value: Any) -> Any:
    return str(value) if name in _NOT_COUNTED else value


def _print_table(
    names: Sequence[str], rows: Sequence[Sequence[Any]], *, header: bool = True, wraps: bool = False
) -> None:
    with _writing():
        _console().print(_table(names, rows, header=header, wraps=wraps))


def _console() -> Console:
    return Console() if Console().is_terminal else Console(width=_UNWRAPPED)


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]], *, header: bool = True, wraps: bool = False) -> Table:
    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(names):
        numbers = header and all(isinstance(row[index], int | float) for row in rows)
        style = "bold" if not header and index == 0 else ""
        justify: Literal["right", "left"] = "right" if numbers else "left"
        table.add_column(Text(name), style=style, no_wrap=not wraps, overflow="fold", justify=justify)
    for row in rows:
        table.add_row(*(Text(as_text(value)) for value in row))
    return table


@contextmanager
def _writing() -> Iterator[None]:
    """Turn errors of standard output into a message; end quietly if the reader closes the pipe."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        # What is still in the buffer would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandError(f"can't write to standard output: {error.strerror}") from error


def _flat(thing: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in thing.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
