"""Rows of a file on their way to a batch: they can be cut and joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from shoal import Batch
from shoal.cli.files.point_file import Array, ReadOptions


@dataclass(frozen=True)
class Rows:
    """Points with their weights and times."""

    points: Array  # (n, d)
    weight: Array | None = None  # (n,)
    time: Array | None = None  # (n,), seconds since 1970 in UTC, NaN where it isn't known

    @property
    def batch(self) -> Batch:
        """The rows as one batch, whose time is that of its newest row."""
        return Batch(self.points, self.weight, None if self.time is None else _newest(self.time))

    def cut(self, start: int, stop: int) -> Rows:
        """Return some of the rows, as views."""
        return Rows(self.points[start:stop], _cut(self.weight, start, stop), _cut(self.time, start, stop))


def in_batches(pieces: Iterable[Rows], options: ReadOptions) -> Iterator[Batch]:
    """Cut pieces of any length into batches (the last may be shorter); the first piece sets the width of the rows."""
    waiting: list[Rows] = []
    n_rows = batch_rows = 0
    for piece in pieces:
        batch_rows = batch_rows or options.rows_of(piece.points[0].nbytes)
        waiting.append(piece)
        n_rows += len(piece.points)
        if n_rows < batch_rows:
            continue
        joined, whole = _join(waiting), n_rows // batch_rows * batch_rows
        for start in range(0, whole, batch_rows):
            yield joined.cut(start, start + batch_rows).batch
        waiting, n_rows = [joined.cut(whole, n_rows)], n_rows - whole
    if n_rows:
        yield _join(waiting).batch


def _newest(time: Array) -> datetime | None:
    known = time[np.isfinite(time)]
    return datetime.fromtimestamp(float(known.max()), UTC) if len(known) else None


def _cut(values: Array | None, start: int, stop: int) -> Array | None:
    return None if values is None else values[start:stop]


def _join(pieces: Sequence[Rows]) -> Rows:
    return Rows(
        np.concatenate([piece.points for piece in pieces]),
        _concatenated([piece.weight for piece in pieces]),
        _concatenated([piece.time for piece in pieces]),
    )


def _concatenated(pieces: Sequence[Array | None]) -> Array | None:
    there = [piece for piece in pieces if piece is not None]
    return np.concatenate(there) if there else None
