"""Points as people type or paste them, and as a link carries them."""

from __future__ import annotations

import math
import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import shoal

MAX_ROWS = 100_000
_UNITS: dict[str, Literal["batches", "points", "seconds"]] = {
    "batches": "batches",
    "points": "points",
    "seconds": "seconds",
}
_HALF_LIFE = re.compile(r"\s*(.*?)\s*(batches|points|seconds)\s*")
_BETWEEN_BRACKETS = re.compile(r"[\])]\s*[,;]?\s*[\[(]")
_COLUMN = re.compile(r"[,;\t]")
_AROUND = " \t\r\"'[]()"


class ParseError(ValueError):
    """The text can't be parsed; the message says where it is wrong, and what would be right."""


def parse_points(text: str, what: str = "points") -> NDArray[np.float64]:
    """Return points (n, d): a row a line; numbers between commas, semicolons, tabs or spaces, with brackets or without.

    In a single line, semicolons separate rows. A first line without a number is a line of names and is left out.

    Raises
    ------
    ParseError
        For what isn't a number, and rows that don't have as many as the first.
    """
    lines = [(number, line) for number, line in enumerate(_lines(text), 1) if line]
    if lines and not any(_is_number(cell) for cell in _cells(lines[0][1])):
        lines = lines[1:]
    if not lines:
        raise ParseError(f"there are no {what} yet: write a row a line, such as 1, 2")
    if len(lines) > MAX_ROWS:
        raise ParseError(f"these are {len(lines):,} {what}; this page takes {MAX_ROWS:,} at most")
    rows = [_parse_row(line, number, what) for number, line in lines]
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise ParseError(f"row {number} of the {what} has {_numbers(len(row))}, the first one has {len(rows[0])}")
    return np.array(rows)


def format_points(points: NDArray[np.float64], between: str = "\n") -> str:
    """Return points (n, d) as `parse_points` reads them, with every digit."""
    return between.join(", ".join(repr(value).removesuffix(".0") for value in row) for row in points.tolist())


def parse_half_life(text: str) -> shoal.HalfLife | None:
    """Return the half-life that a text such as ``1000 points`` names; None if it is empty.

    Raises
    ------
    ParseError
        If it says something else.
    """
    if not text.strip():
        return None
    said = _HALF_LIFE.fullmatch(text)
    if said is None or not _is_number(said[1]):
        raise ParseError(
            f"half-life is {text[:40]!r}; write a number and batches, points or seconds, such as 1000 points"
        )
    return shoal.HalfLife(float(said[1]), _UNITS[said[2]])


def half_life_text(half_life: shoal.HalfLife | None) -> str:
    """Return a half-life as `parse_half_life` reads it."""
    return "" if half_life is None else f"{half_life.value:g} {half_life.unit}"


def _lines(text: str) -> list[str]:
    """Return a row a line, without brackets and other surroundings."""
    text = _BETWEEN_BRACKETS.sub("\n", text.removeprefix("\ufeff").strip())
    rows = text.split("\n") if "\n" in text else text.split(";")
    return [row.strip(_AROUND) for row in rows]


def _parse_row(line: str, number: int, what: str) -> list[float]:
    if "," in line and ";" in line:
        raise ParseError(
            f"row {number} of the {what} has commas and semicolons: write 1.5 for one and a half, and one of both "
            "between numbers"
        )
    cells = _cells(line)
    for place, cell in enumerate(cells, 1):
        if not cell:
            raise ParseError(f"row {number} of the {what}: place {place} is empty")
        if not _is_number(cell):
            raise ParseError(f"row {number} of the {what}: {cell[:40]!r} at place {place} is not a finite number")
    return [float(cell) for cell in cells]


def _cells(line: str) -> list[str]:
    return [cell.strip(_AROUND) for cell in (_COLUMN.split(line) if _COLUMN.search(line) else line.split())]


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"
