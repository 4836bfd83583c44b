"""Where a large batch is cut, so that several threads can work on it.

The boundaries are part of the result's last bits: they depend on the number of rows and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BLOCK_ROWS = 2048  # that are brought into the frame's coordinates at a time: they fit the cache
MOST_SPANS = 8  # a partial sum (k, d) each is kept until all are done
LEAST_SPAN_BLOCKS = 4  # below that a thread costs more than it saves


@dataclass(frozen=True)
class Span:
    """Rows `start` to `stop` of a batch: the work of one task."""

    start: int
    stop: int

    def blocks(self) -> Iterator[slice]:
        """Yield the rows block by block."""
        for start in range(self.start, self.stop, BLOCK_ROWS):
            yield slice(start, min(start + BLOCK_ROWS, self.stop))


def spans(rows: int) -> list[Span]:
    """Cut `rows` rows into at most MOST_SPANS spans of whole blocks."""
    blocks = -(-rows // BLOCK_ROWS)
    blocks_each = max(LEAST_SPAN_BLOCKS, -(-blocks // MOST_SPANS))
    step = blocks_each * BLOCK_ROWS
    return [Span(start, min(start + step, rows)) for start in range(0, rows, step)]
