"""Where a large batch is cut, so that several threads can work on it.

The boundaries are part of the result's last bits: they depend on the shapes and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BLOCK_ROWS = 2048  # that are brought into the frame's coordinates at a time: they fit the cache
MOST_SPANS = 8  # a partial sum (k, d) each is kept until all are done
ROWS_A_CLUSTER = 2  # of a span, so that its partial sums cost little beside its rows; two spans there may always be
SPAN_ROWS = 64  # a span has a multiple of them: whole groups of the compiled kernel's
# Multiplications below which handing a span to a thread costs more than it saves: 0.2 ms, at 50 a nanosecond.
LEAST_SPAN_WORK = 1 << 25


@dataclass(frozen=True)
class Span:
    """Rows `start` to `stop` of a batch: the work of one task."""

    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """All of them."""
        return slice(self.start, self.stop)

    def blocks(self) -> Iterator[slice]:
        """Yield the rows block by block."""
        for start in range(self.start, self.stop, BLOCK_ROWS):
            yield slice(start, min(start + BLOCK_ROWS, self.stop))


def spans(rows: int, n_clusters: int, n_features: int) -> list[Span]:
    """Cut `rows` rows into at most MOST_SPANS spans of about the same length, each with work enough for a thread."""
    enough = max(rows // span_rows(n_clusters, n_features), 1)
    count = min(enough, MOST_SPANS, max(rows // (ROWS_A_CLUSTER * n_clusters), 2))
    step = max(_whole_groups(-(-rows // count)), SPAN_ROWS)
    return [Span(start, min(start + step, rows)) for start in range(0, rows, step)]


def span_rows(n_clusters: int, n_features: int) -> int:
    """Return how many rows at least are work enough for a thread."""
    row_work = n_clusters * (n_features + 4) + 8 * n_features + 64
    return _whole_groups(-(-LEAST_SPAN_WORK // row_work))


def _whole_groups(rows: int) -> int:
    return -(-rows // SPAN_ROWS) * SPAN_ROWS
