"""What every kind of file of points offers, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import Batch
from shoal.cli.failures import CommandError

Array = NDArray[Any]


@dataclass(frozen=True)
class Reading:
    """How files are to be read."""

    batch_rows: int
    columns: tuple[str, ...] | None = None  # None: every column but the weight
    weight_column: str | None = None
    header: bool | None = None  # of csv; None: as its first line looks


@dataclass(frozen=True)
class PointFile:
    """A file of points whose beginning has been read and found right.

    `batches` yields (n, d) points of `batch_rows` rows each, the last one fewer, with (n,) weights where a column was
    named for them. It is read once, and closed by whoever opened it.
    """

    name: str
    rows: int | None  # None: not known before the end
    batches: Iterator[Batch]
    close: Callable[[], object] = lambda: None


def no_rows(where: str) -> CommandError:
    """Make the error for a file without points."""
    return CommandError(f"{where}: there are no rows in it; at least one point is needed")


def cut(batch: Batch, start: int, stop: int) -> Batch:
    """Return rows `start` to `stop` of a batch, as views."""
    points, weight = np.asarray(batch.points), batch.sample_weight
    return Batch(points[start:stop], None if weight is None else np.asarray(weight)[start:stop])
