"""Where a large batch is cut, so that several threads can work on it, and how the pieces come together again.

The boundaries of partial sums are part of the result's last bits: they depend on the shapes and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock

BLOCK_ROWS = 2048  # that are brought into the frame's coordinates at a time: they fit the cache
MAX_CHUNKS = 16
MAX_SUMS = 8  # where each chunk has a partial sum (k, d): it is kept until all are done,
ROWS_A_CLUSTER = 2  # and should cost little beside the rows; there may always be two chunks
# Multiplications below which giving a chunk to a thread costs more than it saves: 0.2 ms, at 50 a nanosecond.
MIN_CHUNK_WORK = 1 << 25
# Multiplications after which others may go first: 3 ms, or 10 where a thread has half a core.
PIECE_WORK = 1 << 27
_GROUP_ROWS = 64


@dataclass(frozen=True)
class Chunk:
    """Rows `start` to `stop` of a batch: the work of one task."""

    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """All of them."""
        return slice(self.start, self.stop)

    def blocks(self, block_rows: int = BLOCK_ROWS) -> Iterator[slice]:
        """Yield the rows block by block."""
        for start in range(self.start, self.stop, block_rows):
            yield slice(start, min(start + block_rows, self.stop))


def chunks(
    rows: int, n_clusters: int, n_features: int, *, with_sums: bool, group_rows: int = _GROUP_ROWS
) -> list[Chunk]:
    """Cut `rows` rows into few chunks of about the same length, each with work enough for a thread.

    Parameters
    ----------
    rows, n_clusters, n_features
        The shapes.
    with_sums
        Whether each chunk has a partial sum.
    group_rows
        How many rows are worked on at a time: all chunks but the last have a multiple of them. That depends on the
        machine, and is for chunks without sums.
    """
    count = min(max(rows // min_chunk_rows(n_clusters, n_features), 1), MAX_CHUNKS)
    if with_sums:
        count = min(count, MAX_SUMS, max(rows // (ROWS_A_CLUSTER * n_clusters), 2))
    step = max(_rounded_up(-(-rows // count), group_rows), group_rows)
    return [Chunk(start, min(start + step, rows)) for start in range(0, rows, step)]


def min_chunk_rows(n_clusters: int, n_features: int) -> int:
    """Return how many rows at least are work enough for a thread."""
    return _rounded_up(-(-MIN_CHUNK_WORK // row_work(n_clusters, n_features)), _GROUP_ROWS)


def piece_rows(n_clusters: int, n_features: int, group_rows: int = 1, *, extra_work: int = 0) -> int:
    """Return how many rows are one piece of work, with what each row costs besides: whole groups, at least one."""
    return max(PIECE_WORK // (row_work(n_clusters, n_features) + extra_work) // group_rows, 1) * group_rows


def row_work(n_clusters: int, n_features: int) -> int:
    """Return what a row costs, in multiplications."""
    return n_clusters * (n_features + 4) + 8 * n_features + 64


class OrderedReducer:
    """Calls a function for 0, 1, 2 … in this order, as soon as these are ready, on whatever thread made one ready.

    Where one thread calls it no other waits: what it makes ready meanwhile is left to the one that calls. Once a call
    has failed there are no more.
    """

    def __init__(self, function: Callable[[int], None]) -> None:
        self._function = function
        self._ready: set[int] = set()
        self._next = 0
        self._calling = False
        self._lock = Lock()

    def ready(self, index: int) -> Iterator[None]:
        """Mark one as ready, and call the function for all that are next, with a pause after each call."""
        with self._lock:
            self._ready.add(index)
            if self._calling:
                return
            self._calling = True
        while (following := self._take()) is not None:
            self._function(following)
            yield

    def _take(self) -> int | None:
        with self._lock:
            if self._next not in self._ready:
                self._calling = False
                return None
            self._ready.remove(self._next)
            self._next += 1
            return self._next - 1


def _rounded_up(rows: int, group_rows: int) -> int:
    return -(-rows // group_rows) * group_rows
