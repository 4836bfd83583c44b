"""Whether to prune a model's assignment, by counted work: never by the clock, and without effect on results.

Without pruning every score is computed. With it (pruned_assignment.py) upper bounds are computed in a few principal
axes of the centroids, and then only the distances that could be the least. It pays where the spectrum decays, as that
of most real data does, and where there are many centroids. A look at a sample of the points tells, and how many axes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shoal_server.engines.contract import Float64Array, Frame
from shoal_server.engines.numba.layout import NO_AXES, Layout

SAMPLE_ROWS, MIN_SAMPLE_ROWS = 256, 32
# With many centroids fewer rows, so that a look keeps to memory and time: so many scores, or those of a few rows.
_SAMPLE_SCORES, _FEWEST_ROWS = 1 << 18, 8
# A look costs no more than a twentieth of the work before it, and half that with each look that changes nothing.
WORK_BEFORE_A_LOOK = 20
# Pruning is begun if it promises to save so much, and ended if it turns out not to save anything.
_WORTH_IT = 0.8
_CHOICES = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160)
_MIN_COLUMNS, _MAX_COLUMNS = 24, 1024
_MIN_CENTROIDS = 32
# In multiplications of the kernel, 50 a nanosecond: what follows on each score and on each bound, which is kept; and
# what a candidate costs, most of it the way of its centroid to the first cache (45 ns for 192 columns, 63 for 384).
_SCORE_WORK, _BOUND_WORK = 6, 14
_TRY_WORK, _TRY_WORK_A_COLUMN = 1350, 4.7


@dataclass
class PruningPolicy:
    """What is known of a model's points. Threads may lose each other's notes: they are estimates."""

    axes: Float64Array = field(default_factory=lambda: NO_AXES)  # (p, d) of the bounds; NO_AXES: no pruning
    work: float = 0.0  # in multiplications, since the last look
    patience: float = field(default=WORK_BEFORE_A_LOOK)  # how many times the work of a look is done before the next
    bounded_rows: int = 0  # that have been labelled by bounds since that was last judged,
    bounded_tries: int = 0  # and the distances that were computed for them one by one

    def concerns(self, layout: Layout) -> bool:
        """Return whether anything is pruned or could be: otherwise there is nothing to note."""
        return layout.axes is not NO_AXES or self.axes is not NO_AXES or may_be_bounded(len(layout.norms), layout.d)

    def note(self, layout: Layout, rows: int, tried: int) -> None:
        """Take note of rows that have been labelled, and how many distances were computed one by one."""
        k, d = layout.centroids.shape[0], layout.d
        self.work += rows * _plain_work(k, d)
        if layout.axes is NO_AXES or layout.axes is not self.axes:
            return
        self.bounded_rows += rows
        self.bounded_tries += tried
        if self.bounded_rows < SAMPLE_ROWS:
            return
        tries = self.bounded_tries / self.bounded_rows
        self.bounded_rows = self.bounded_tries = 0
        if _bounded_work(k, d, len(layout.axes), tries) > _plain_work(k, d):
            self.axes = NO_AXES
            self.patience = WORK_BEFORE_A_LOOK

    def is_due(self, k: int, d: int) -> bool:
        """Return whether to look at points again."""
        if not may_be_bounded(k, d):
            return False
        look = 10 * d**3 + sample_rows(k) * k * (d + 8 * len(_CHOICES) + max(_CHOICES))
        return self.work >= self.patience * look

    def look(self, frame: Frame, sample: Float64Array) -> None:
        """Choose whether to prune for points like those of a sample (m, d) in the frame's coordinates."""
        axes = best_axes(frame.centroids.astype(np.float64), sample)
        same = (axes is NO_AXES) == (self.axes is NO_AXES)
        self.axes = axes
        self.work = 0.0
        self.bounded_rows = self.bounded_tries = 0
        self.patience = 2 * self.patience if same else WORK_BEFORE_A_LOOK


def sample_rows(k: int) -> int:
    """Return how many points to look at, at most, for so many centroids."""
    return max(_FEWEST_ROWS, min(SAMPLE_ROWS, _SAMPLE_SCORES // k))


def may_be_bounded(k: int, d: int) -> bool:
    """Return whether pruning could pay at all."""
    return k >= _MIN_CENTROIDS and _MIN_COLUMNS <= d <= _MAX_COLUMNS


def best_axes(centroids: Float64Array, sample: Float64Array) -> Float64Array:
    """Return the principal axes (p, d) that make the least work for points like a sample (m, d), or NO_AXES."""
    k, d = centroids.shape
    with np.errstate(over="ignore", invalid="ignore"):
        products = centroids.T @ centroids
    if not np.isfinite(products).all():
        return NO_AXES
    _, vectors = np.linalg.eigh(products)
    principal = vectors[:, ::-1]
    tries = _tries(centroids, sample, principal)
    work = {p: _bounded_work(k, d, p, tries[p]) for p in tries}
    p = min(work, key=work.__getitem__)
    return principal[:, :p].T.copy() if work[p] < _WORTH_IT * _plain_work(k, d) else NO_AXES


def _tries(centroids: Float64Array, sample: Float64Array, principal: Float64Array) -> dict[int, float]:
    """Return for each number of axes how many distances a point would need on average.

    The centroid that is likely to be the nearest comes first, then by their labels all whose bounds reach the best
    score so far.
    """
    scores = sample @ centroids.T - (centroids**2).sum(axis=1) / 2
    points, codes = sample @ principal, centroids @ principal
    before = np.full_like(scores, -np.inf)
    np.maximum.accumulate(scores[:, :-1], axis=1, out=before[:, 1:])
    tries = {}
    for p in (p for p in _CHOICES if p < centroids.shape[1]):
        rest = np.outer(_lengths(points[:, p:]), _lengths(codes[:, p:])) / 2
        likely = points[:, :p] @ codes[:, :p].T + rest - (centroids**2).sum(axis=1) / 2
        reached = np.take_along_axis(scores, likely.argmax(axis=1)[:, None], axis=1)
        tries[p] = float((likely + rest >= np.maximum(reached, before)).sum(axis=1).mean())
    return tries


def _lengths(rows: Float64Array) -> Float64Array:
    lengths: Float64Array = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return lengths


def _plain_work(k: int, d: int) -> float:
    return k * (d + _SCORE_WORK)


def _bounded_work(k: int, d: int, p: int, tries: float) -> float:
    return p * d + k * (p + _BOUND_WORK) + tries * (_TRY_WORK + _TRY_WORK_A_COLUMN * d)
