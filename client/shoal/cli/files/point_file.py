"""The common interface of all files of points, and the options for reading them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from shoal import Batch, Precision
from shoal.cli.failures import CommandError

Array = NDArray[Any]

BATCH_BYTES = 1 << 20  # a message's worth; far below what a server takes
MAX_ROWS = 8192


@dataclass(frozen=True)
class ReadOptions:
    """The options for reading files."""

    batch_rows: int | None = None  # None: as many as `BATCH_BYTES` hold
    columns: tuple[str, ...] | None = None  # None: every column but those of weight and time
    weight_column: str | None = None
    time_column: str | None = None
    header: bool | None = None  # of csv; None: as its first line looks
    dtype: Precision = "float64"  # of csv, whose numbers have none

    def rows_of(self, row_bytes: int) -> int:
        """Return how many rows of so many bytes each make a batch."""
        return self.batch_rows or min(MAX_ROWS, max(1, BATCH_BYTES // row_bytes))


@dataclass(frozen=True)
class PointFile:
    """A file of points whose beginning has been read and is valid.

    `batches` yields (n, d) points of equally many rows each, the last one fewer, with (n,) weights and the time of the
    newest row where columns were named for them. It is read once, and closed by whoever opened it.
    """

    name: str
    rows: int | None  # None: not known before the end
    batches: Iterator[Batch]
    close: Callable[[], object] = lambda: None
    first_row: int = 0  # what people call the first row of such a file
    typed: bool = True  # the file says what type its numbers have


def no_rows_error(where: str) -> CommandError:
    """Return the error for a file without points."""
    return CommandError(f"{where}: the file has no rows; at least one point is needed")
