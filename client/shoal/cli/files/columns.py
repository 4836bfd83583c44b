"""Which columns of a file are coordinates, and which are the weight and the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.cli.failures import usage_error
from shoal.cli.files.point_file import Array, ReadOptions
from shoal.cli.files.rows import Rows

_SHOWN = 12


@dataclass(frozen=True)
class Columns:
    """The columns to read, by position in the file."""

    points: tuple[int, ...]
    weight: int | None
    time: int | None
    everything: bool  # all of the file's columns, in their order, are coordinates

    @property
    def all(self) -> tuple[int, ...]:
        """The coordinates, then the weight, then the time."""
        return (*self.points, *(column for column in (self.weight, self.time) if column is not None))

    @property
    def n_numbers(self) -> int:
        """The number of numeric columns in `all`: all but the time."""
        return len(self.all) - (self.time is not None)

    def join(self, arrays: Sequence[Array]) -> Rows:
        """Join the columns that `all` names side by side."""
        beside = iter(arrays[len(self.points) :])
        weight = None if self.weight is None else next(beside).astype("f8")
        time = None if self.time is None else next(beside)
        return Rows(np.column_stack(arrays[: len(self.points)]), weight, time)

    def take(self, table: Array) -> Rows:
        """Pick the columns out of an (n, all columns) array."""
        points = table if self.everything else table[:, list(self.points)]
        weight, time = (
            None if column is None else table[:, column].astype("f8") for column in (self.weight, self.time)
        )
        return Rows(points, weight, time)


def select_columns(names: Sequence[str], options: ReadOptions, where: str) -> Columns:
    """Return the columns that `options` asks for.

    Raises
    ------
    CommandError
        For a column that isn't there, or is there more than once; the message lists those that are.
    """
    weight = None if options.weight_column is None else _find(options.weight_column, names, where)
    time = None if options.time_column is None else _find(options.time_column, names, where)
    if options.columns is None:
        points = tuple(index for index in range(len(names)) if index not in (weight, time))
    else:
        points = tuple(_find(name, names, where) for name in options.columns)
    if not points:
        raise usage_error(f"{where}: no column is left for the points; name one with --columns")
    return Columns(points, weight, time, points == tuple(range(len(names))))


def _find(name: str, names: Sequence[str], where: str) -> int:
    places = [index for index, there in enumerate(names) if there == name]
    if not places:
        raise usage_error(f"{where} has no column {name!r}; it has {_listed(names)}")
    if len(places) > 1:
        raise usage_error(f"{where} has {len(places)} columns {name!r}; rename one of them")
    return places[0]


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
