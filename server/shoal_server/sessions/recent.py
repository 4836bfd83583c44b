"""A sample of the points that a session has applied lately, for those who show them. Slices and copies, no numerics.

It is taken once a dispatch, of a few of its batches, so that it costs the same however many there are. Nothing is
drawn: the same dispatches give the same sample. Every row is copied: a view would hold the whole message that the
points came in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.clustering.validation import only_valid
from shoal_server.engines.contract import PointArray
from shoal_server.sessions.jobs import BatchJob, ChangeJob, Job

MAX_ROWS = 1024
MAX_BYTES = 256 * 1024  # of the rows; an array of them takes 100 more, and there is one for each batch looked at
MIN_DISPATCHES = 16  # so many share the bytes at least: one dispatch alone doesn't push out all that came before
MAX_BATCHES = 4  # of a dispatch, that are looked at


class RecentPoints:
    """What is kept of one session: at most MAX_ROWS rows in MAX_BYTES, but always one of the newest."""

    def __init__(self) -> None:
        self._kept: deque[PointArray] = deque()  # oldest first
        self._rows = 0
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What the rows take."""
        return self._bytes

    def note(self, jobs: Sequence[Job], results: Sequence[Sequence[BatchResult]], model: Model) -> None:
        """Keep a few rows of what a dispatch has applied, but none that it refused, dropped or filled in.

        Parameters
        ----------
        jobs, results
            Of the dispatch.
        model
            After it.
        """
        looked_at = _spread_over_applied(jobs, results)
        # While a change was made values may have been imputed, whatever the policy is now.
        may_impute = model.config.on_invalid == "impute" or any(isinstance(job, ChangeJob) for job in jobs)
        for points, outcome in looked_at:
            rows = _some_rows(points, len(looked_at))
            if may_impute or outcome.dropped:
                rows = only_valid(model, rows)
            self._keep(rows)

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
        while len(self._kept) > 1 and (self._rows > MAX_ROWS or self._bytes > MAX_BYTES):
            oldest = self._kept.popleft()
            self._rows -= len(oldest)
            self._bytes -= oldest.nbytes


def _spread_over_applied(
    jobs: Sequence[Job], results: Sequence[Sequence[BatchResult]]
) -> list[tuple[PointArray, BatchResult]]:
    """Return the points of up to MAX_BATCHES batches that were applied: the first of each part of the dispatch."""
    batches: list[Batch] = []
    outcomes: list[BatchResult] = []
    for job, result in zip(jobs, results, strict=False):
        if isinstance(job, BatchJob):
            batches += job.batches[: len(result)]
            outcomes += result
    ends = [len(outcomes) * part // MAX_BATCHES for part in range(MAX_BATCHES + 1)]
    found = [_first_applied(batches, outcomes, range(*part)) for part in pairwise(ends)]
    return [each for each in found if each is not None]


def _first_applied(
    batches: Sequence[Batch], outcomes: Sequence[BatchResult], places: range
) -> tuple[PointArray, BatchResult] | None:
    for place in places:
        batch, outcome = batches[place], outcomes[place]
        if outcome.accepted:
            return batch.points, outcome
    return None


def _some_rows(points: PointArray, n_batches: int) -> PointArray:
    """Return copies of as many rows of points (n, d), spread evenly, as one of n batches of a dispatch may give."""
    fitting = MAX_BYTES // (points.shape[1] * points.itemsize)
    most = max(1, min(MAX_ROWS, fitting) // (MIN_DISPATCHES * n_batches))
    return points[:: -(-len(points) // most)].copy()
