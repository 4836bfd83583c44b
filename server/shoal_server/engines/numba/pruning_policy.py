"""Whether to prune a model's assignment, by counted work: never by the clock, and without effect on results.

Without pruning every score is computed. With it (pruned_assignment.py) upper bounds are computed in a few principal
axes of the centroids, and then only the distances that could be the least. It pays where the spectrum decays, as that
of most real data does, and where there are many centroids. A look at a sample of the points tells, and how many axes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np

from shoal_server.engines.contract import Float64Array, Frame
from shoal_server.engines.numba.layout import NO_AXES, Layout

SAMPLE_ROWS, MIN_SAMPLE_ROWS = 64, 32
# With many centroids fewer rows, so that a look keeps to memory and time: so many scores, or those of a few rows.
_SAMPLE_SCORES, _FEWEST_ROWS = 1 << 18, 8
# A piece of a look has so many multiplications in a matrix product, or scores: a few milliseconds of NumPy.
_PRODUCTS, _SCORES = 1 << 26, 1 << 15
# Principal axes are exact for so many columns, and nearly exact for more.
_MAX_WHOLE_COLUMNS = 256
_ITERATIONS, _OVERSAMPLED = 3, 8
# What a look holds at once, at most: copies of a whole decomposition's matrix, of an iteration's vectors, and of the
# scores of a piece.
_WHOLE_COPIES, _TALL_COPIES, _SCORE_COPIES = 6, 6, 8
# A look costs no more than a tenth of the work before it, and half that with each look that changes nothing.
WORK_BEFORE_A_LOOK = 10
# Pruning is begun if it promises to save so much, and ended if it turns out not to save anything.
_WORTH_IT = 0.8
_CHOICES = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160)
_MIN_COLUMNS, _MAX_COLUMNS = 24, 1024
_MIN_CENTROIDS = 32
# In multiplications of the kernel, 50 a nanosecond: what NumPy takes for each in a matrix product, for the cube of the
# columns in a decomposition, and for the passes over each score and choice of a look.
_PRODUCT_WORK, _DECOMPOSITION_WORK, _PASSES_WORK = 2.5, 55, 400
# In the same: what follows on each score and on each bound, which is kept; and
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
        return self.work >= self.patience * _look_work(k, d)

    def look(self, frame: Frame, sample: Float64Array) -> Iterator[None]:
        """Choose, piece by piece, whether to prune for points like a sample (m, d) in the frame's coordinates."""
        self.work = 0.0  # at once: meanwhile no other call is to look
        axes = yield from best_axes(frame.centroids.astype(np.float64), sample)
        same = (axes is NO_AXES) == (self.axes is NO_AXES)
        self.axes = axes
        self.bounded_rows = self.bounded_tries = 0
        self.patience = 2 * self.patience if same else WORK_BEFORE_A_LOOK


def sample_rows(k: int) -> int:
    """Return how many points to look at, at most, for so many centroids."""
    return max(_FEWEST_ROWS, min(SAMPLE_ROWS, _SAMPLE_SCORES // k))


def may_be_bounded(k: int, d: int) -> bool:
    """Return whether pruning could pay at all."""
    return k >= _MIN_CENTROIDS and _MIN_COLUMNS <= d <= _MAX_COLUMNS


def look_values(k: int, d: int) -> int:
    """Return how many float64 values a look takes at most; 0 where there is none."""
    if not may_be_bounded(k, d):
        return 0
    count, whole = min(d, _CHOICES[-1]), d <= _MAX_WHOLE_COLUMNS
    rows = sample_rows(k)
    points = rows * (d + count)
    decomposing = _WHOLE_COPIES * d**2 if whole else 2 * d**2 + _TALL_COPIES * (count + _OVERSAMPLED) * d
    axes = d * (d if whole else count)
    projecting = axes + 2 * k * count
    scoring = axes + k * (count + len(_CHOICES) + _TALL_COPIES) + _SCORE_COPIES * min(max(_SCORES, k), rows * k)
    return k * d + points + max(decomposing, projecting, scoring)


def best_axes(centroids: Float64Array, sample: Float64Array) -> Generator[None, None, Float64Array]:
    """Return the principal axes (p, d) that make the least work for points like a sample (m, d), or NO_AXES.

    Each piece of the work takes some milliseconds.
    """
    k, d = centroids.shape
    principal = yield from _principal_axes(centroids)
    if principal is None:
        return NO_AXES
    tries = yield from _tries(centroids, sample, principal)
    work = {p: _bounded_work(k, d, p, tries[p]) for p in tries}
    p = min(work, key=work.__getitem__)
    return principal[:, :p].T.copy() if work[p] < _WORTH_IT * _plain_work(k, d) else NO_AXES


def _principal_axes(centroids: Float64Array) -> Generator[None, None, Float64Array | None]:
    """Return the first principal axes (d, p) side by side, as many as could be chosen; None without finite ones."""
    k, d = centroids.shape
    count = min(d, _CHOICES[-1])
    products = np.zeros((d, d))
    for rows in _blocks(k, _PRODUCTS // d**2):
        with np.errstate(over="ignore", invalid="ignore"):
            products += centroids[rows].T @ centroids[rows]
        yield
    largest = products.max(initial=0)  # on the diagonal
    if not np.isfinite(products).all() or largest == 0:
        return None
    products /= largest
    if d <= _MAX_WHOLE_COLUMNS:
        _, vectors = np.linalg.eigh(products)
        yield
        return vectors[:, : -count - 1 : -1]
    return (yield from _subspace_iteration(products, count))


def _subspace_iteration(matrix: Float64Array, count: int) -> Generator[None, None, Float64Array]:
    """Return nearly the first eigenvectors (d, count) of a symmetric matrix (d, d): orthonormal, but not exact.

    Halko, Martinsson and Tropp, "Finding structure with randomness" (2011), algorithm 4.4. A whole decomposition of a
    thousand columns takes a third of a second, in one piece.
    """
    vectors = np.random.default_rng(0).normal(size=(len(matrix), count + _OVERSAMPLED))
    for _ in range(_ITERATIONS):
        product = matrix @ vectors
        yield
        vectors, _ = np.linalg.qr(product)
        yield
    product = matrix @ vectors
    yield
    _, rotation = np.linalg.eigh(vectors.T @ product)
    yield
    principal: Float64Array = vectors @ rotation[:, : -count - 1 : -1]
    return principal


def _tries(
    centroids: Float64Array, sample: Float64Array, principal: Float64Array
) -> Generator[None, None, dict[int, float]]:
    """Return for each number of axes how many distances a point would need on average.

    The centroid that is likely to be the nearest comes first, then by their labels all whose bounds reach the best
    score so far.
    """
    (k, d), count = centroids.shape, principal.shape[1]
    choices = [p for p in _CHOICES if p < d]
    codes = np.empty((k, count))
    for rows in _blocks(k, _PRODUCTS // (d * count)):
        codes[rows] = centroids[rows] @ principal
        yield
    squares = _squares(centroids)
    rests: dict[int, Float64Array] = {}
    rest, first = squares, 0
    for p in choices:
        rest = rest - _squares(codes[:, first:p])
        rests[p] = np.sqrt(np.maximum(rest, 0))
        first = p
        yield
    tries = dict.fromkeys(choices, 0)
    for rows in _blocks(len(sample), _SCORES // k):
        points = sample[rows]
        scores = points @ centroids.T - squares / 2
        before = np.full_like(scores, -np.inf)
        np.maximum.accumulate(scores[:, :-1], axis=1, out=before[:, 1:])
        point_codes, point_squares = points @ principal, _squares(points)
        yield
        for p in choices:
            own = np.sqrt(np.maximum(point_squares - _squares(point_codes[:, :p]), 0))
            slack = np.outer(own, rests[p] / 2)
            likely = point_codes[:, :p] @ codes[:, :p].T
            likely += slack
            likely -= squares / 2
            reached = np.take_along_axis(scores, likely.argmax(axis=1)[:, None], axis=1)
            likely += slack
            tries[p] += int(np.count_nonzero(likely >= np.maximum(reached, before)))
            yield
    return {p: tries[p] / len(sample) for p in choices}


def _blocks(rows: int, block_rows: int) -> Iterator[slice]:
    step = max(block_rows, 1)
    return (slice(start, start + step) for start in range(0, rows, step))


def _squares(rows: Float64Array) -> Float64Array:
    squares: Float64Array = np.einsum("nd,nd->n", rows, rows)
    return squares


def _plain_work(k: int, d: int) -> float:
    return k * (d + _SCORE_WORK)


def _look_work(k: int, d: int) -> float:
    axes = min(d, _CHOICES[-1])
    decomposed = (
        d**3 * _DECOMPOSITION_WORK if d <= _MAX_WHOLE_COLUMNS else 3 * _ITERATIONS * d**2 * axes * _PRODUCT_WORK
    )
    products = k * d * (d + axes) * _PRODUCT_WORK
    scores = sample_rows(k) * k * (d * _PRODUCT_WORK + len(_CHOICES) * _PASSES_WORK + sum(_CHOICES) * _PRODUCT_WORK)
    return decomposed + products + scores


def _bounded_work(k: int, d: int, p: int, tries: float) -> float:
    return p * d + k * (p + _BOUND_WORK) + tries * (_TRY_WORK + _TRY_WORK_A_COLUMN * d)
