"""A sample of the points that a session has applied lately, for those who show them. Slices and copies, no numerics.

It is taken once a hop, of a few of its batches, so that it costs the same however many there are. Nothing is drawn: the
same hops give the same sample. Every row is copied: a view would hold the whole message that the points came in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise

import numpy as np

from shoal_server.clustering.admission import BoolArray
from shoal_server.clustering.state import Outcome, PointBatch
from shoal_server.engines.contract import PointArray
from shoal_server.errors import DomainError
from shoal_server.sessions.jobs import Job, QueuedBatches, Result

MOST_ROWS = 1024
MOST_BYTES = 256 * 1024  # of the rows; an array of them takes 100 more, and there is one for each batch looked at
LEAST_HOPS = 16  # so many hops share the room at least: one hop alone doesn't push out all that came before
MOST_BATCHES = 4  # of a hop, that are looked at

ValidRows = Callable[[PointArray], BoolArray | None]
"""Says which rows of points (n, d) are valid as they were pushed, (n,); None: all."""


class RecentPoints:
    """What is kept of one session: at most MOST_ROWS rows in MOST_BYTES, but always one of the newest."""

    def __init__(self) -> None:
        self._kept: deque[PointArray] = deque()  # oldest first
        self._rows = 0
        self._bytes = 0

    def note(self, jobs: Sequence[Job], results: Sequence[Result], valid_rows: ValidRows) -> None:
        """Keep a few rows of what a hop has applied, none of what it refused; those that aren't valid are left out."""
        looked_at = list(_spread_over_applied(jobs, results))
        for points in looked_at:
            self._keep(_some_rows(points, len(looked_at), valid_rows))

    def newest(self, most: int, n_features: int) -> PointArray:
        """Return the newest rows, oldest first, (m, n_features) with m at most `most`; 0: all that are kept.

        They are in a type that holds every batch.
        """
        if not self._kept:
            return np.empty((0, n_features))
        points: PointArray = np.concatenate(self._kept)
        return points[-most:]  # [-0:] is all of it

    def _keep(self, points: PointArray) -> None:
        if not len(points):
            return
        self._kept.append(points)
        self._rows += len(points)
        self._bytes += points.nbytes
        while len(self._kept) > 1 and (self._rows > MOST_ROWS or self._bytes > MOST_BYTES):
            oldest = self._kept.popleft()
            self._rows -= len(oldest)
            self._bytes -= oldest.nbytes


def _spread_over_applied(jobs: Sequence[Job], results: Sequence[Result]) -> Iterator[PointArray]:
    """Yield the points of up to MOST_BATCHES batches that were applied: the first of each part of the hop."""
    told = [
        (job.batches[: len(result)], result)
        for job, result in zip(jobs, results, strict=False)
        if isinstance(job, QueuedBatches) and isinstance(result, list)
    ]
    batches = [*chain.from_iterable(batches for batches, _ in told)]
    outcomes = [*chain.from_iterable(outcomes for _, outcomes in told)]
    for begin, end in pairwise(len(outcomes) * part // MOST_BATCHES for part in range(MOST_BATCHES + 1)):
        yield from _first_applied(batches, outcomes, range(begin, end))


def _first_applied(
    batches: Sequence[PointBatch | DomainError], outcomes: Sequence[Outcome | Exception], places: range
) -> Iterator[PointArray]:
    for place in places:
        batch, outcome = batches[place], outcomes[place]
        if isinstance(batch, PointBatch) and isinstance(outcome, Outcome) and outcome.accepted:
            yield batch.points
            return


def _some_rows(points: PointArray, n_batches: int, valid_rows: ValidRows) -> PointArray:
    """Return copies of as many rows of points (n, d), spread evenly, as one of n batches of a hop may give."""
    room = MOST_BYTES // (points.shape[1] * points.itemsize)
    most = max(1, min(MOST_ROWS, room) // (LEAST_HOPS * n_batches))
    rows = points[:: -(-len(points) // most)].copy()
    valid = valid_rows(rows)
    return rows if valid is None else rows[valid]
