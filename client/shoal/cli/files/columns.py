"""Which columns of a file are coordinates and which is the weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal import Batch
from shoal.cli.failures import wrong_usage
from shoal.cli.files.contract import Array, Reading

_SHOWN = 12


@dataclass(frozen=True)
class Columns:
    """The columns to read, by position in the file."""

    points: tuple[int, ...]
    weight: int | None
    everything: bool  # all of the file's columns, in their order, are coordinates

    @property
    def all(self) -> tuple[int, ...]:
        """The coordinates and, last, the weight."""
        return self.points if self.weight is None else (*self.points, self.weight)


def choose(names: Sequence[str], reading: Reading, where: str) -> Columns:
    """Return the columns that `reading` asks for.

    Raises
    ------
    CommandError
        For a column that isn't there, or is there more than once; the message lists those that are.
    """
    weight = None if reading.weight_column is None else _find(reading.weight_column, names, where)
    if reading.columns is None:
        points = tuple(place for place in range(len(names)) if place != weight)
    else:
        points = tuple(_find(name, names, where) for name in reading.columns)
    if not points:
        raise wrong_usage(f"{where}: no column is left for the points; name one with --columns")
    return Columns(points, weight, points == tuple(range(len(names))))


def take(rows: Array, columns: Columns) -> Batch:
    """Pick the columns out of an (n, all columns) array."""
    points = rows if columns.everything else rows[:, list(columns.points)]
    return Batch(points, None if columns.weight is None else rows[:, columns.weight].astype("f8"))


def _find(name: str, names: Sequence[str], where: str) -> int:
    places = [place for place, there in enumerate(names) if there == name]
    if not places:
        raise wrong_usage(f"{where} has no column {name!r}; it has {_listed(names)}")
    if len(places) > 1:
        raise wrong_usage(f"{where} has {len(places)} columns {name!r}; rename them, so that one can be named")
    return places[0]


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
