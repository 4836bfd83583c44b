"""Points as people type or paste them, and as a link carries them."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 100_000
_ROW = re.compile(r"[\n;]+")
_NUMBER = re.compile(r"[,\t ]+")


class TextError(ValueError):
    """A text that isn't points; the message says where and what would be right."""


def parse_points(text: str, what: str = "points") -> NDArray[np.float64]:
    """Return points (n, d): a row a line, or between semicolons; numbers between commas, tabs or spaces.

    A first line without a number is taken for names and left out.

    Raises
    ------
    TextError
        For what isn't a number, and rows that don't have as many as the first.
    """
    lines = [(number, line.strip()) for number, line in enumerate(_ROW.split(text.strip()), 1) if line.strip()]
    if lines and not any(_is_number(cell) for cell in _cells(lines[0][1])):
        lines = lines[1:]
    if not lines:
        raise TextError(f"there are no {what} yet: write a row a line, such as 1, 2")
    if len(lines) > MOST_ROWS:
        raise TextError(f"these are {len(lines):,} {what}; this page takes {MOST_ROWS:,} at most")
    rows = [_parse_row(line, number, what) for number, line in lines]
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise TextError(f"row {number} of the {what} has {_numbers(len(row))}, the first one has {len(rows[0])}")
    return np.array(rows)


def format_points(points: NDArray[np.float64], between: str = "\n") -> str:
    """Return points (n, d) as `parse_points` reads them."""
    return between.join(", ".join(f"{value:.10g}" for value in row) for row in points.tolist())


def _parse_row(line: str, number: int, what: str) -> list[float]:
    cells = _cells(line)
    for place, cell in enumerate(cells, 1):
        if not _is_number(cell):
            raise TextError(f"row {number} of the {what}: {cell[:40]!r} at place {place} is not a finite number")
    return [float(cell) for cell in cells]


def _cells(line: str) -> list[str]:
    return _NUMBER.split(line.strip().strip("[]()").strip(" ,\t"))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"
