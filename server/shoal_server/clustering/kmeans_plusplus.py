"""k-means++ in pieces: what scikit-learn's kmeans_plusplus draws and chooses, while others get their turns.

Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007; greedy, as scikit-learn has it. For very
many centroids it takes minutes, and scikit-learn's own is one call that can't be stopped. Up to one block of points the
operations are the same; more points are added up block by block, and may differ in the last digit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import n_trials
from shoal_server.engines.contract import Float64Array, RunTasks

BLOCK_VALUES = 1 << 20  # of points, and of distances to the candidates: 5 ms of work, and 16 MiB


def kmeans_plusplus(
    points: Float64Array, weight: Float64Array, n_clusters: int, random: np.random.RandomState, run: RunTasks
) -> NDArray[np.intp]:
    """Return which of points (n, d) of weights (n,) are chosen, (n_clusters,)."""
    chosen = np.empty(n_clusters, np.intp)
    run(lambda _: _choose(points, weight, random, chosen), 1)
    return chosen


def _choose(
    points: Float64Array, weight: Float64Array, random: np.random.RandomState, chosen: NDArray[np.intp]
) -> Iterator[None]:
    """Write what is chosen; between two pieces of the work others may go first."""
    seeding = _Seeding(points, weight, n_trials(len(chosen)))
    chosen[0] = random.choice(len(points), p=weight / weight.sum())
    yield from seeding.add(chosen[:1])
    for place in range(1, len(chosen)):
        yield
        candidates = seeding.find(random.uniform(size=seeding.trials) * seeding.potential)
        yield from seeding.add(candidates)
        chosen[place] = candidates[seeding.best]


class _Seeding:
    """How far each point is from the nearest of those that are chosen so far."""

    def __init__(self, points: Float64Array, weight: Float64Array, trials: int) -> None:
        n, d = points.shape
        rows = max(1, BLOCK_VALUES // (trials + d))
        self.trials = trials
        self.potential = np.inf  # the weighted sum of the squared distances
        self.best = 0  # which of the candidates was chosen last
        self._points, self._weight = points, weight
        self._lengths = np.einsum("nd,nd->n", points, points)
        self._squares = np.full(n, np.inf)  # (n,)
        self._blocks = [slice(start, min(start + rows, n)) for start in range(0, n, rows)]
        self._totals = np.zeros(len(self._blocks))

    def find(self, values: Float64Array) -> NDArray[np.intp]:
        """Return the points at which the running sum of weighted squares reaches the values, one for each."""
        ends = np.cumsum(self._totals)
        last = len(self._points) - 1
        return np.array([min(self._find(value, ends), last) for value in values], np.intp)

    def add(self, candidates: NDArray[np.intp]) -> Iterator[None]:
        """Choose the candidate that leaves the least potential."""
        potentials = np.zeros(len(candidates))
        for number, block in enumerate(self._blocks):
            if number:
                yield
            squares = self._squares_with(candidates, block)
            potentials += squares @ self._weight[block]
        self.best = int(np.argmin(potentials))
        self.potential = potentials[self.best]
        if len(self._blocks) == 1:
            self._squares = squares[self.best]
            return
        for number, block in enumerate(self._blocks):
            yield
            self._squares[block] = self._squares_with(candidates[self.best : self.best + 1], block)[0]
            self._totals[number] = self._squares[block] @ self._weight[block]

    def _find(self, value: float, ends: Float64Array) -> int:
        number = min(int(np.searchsorted(ends, value)), len(ends) - 1) if len(ends) > 1 else 0
        block = self._blocks[number]
        before = ends[number - 1] if number else 0.0
        running = np.cumsum(self._weight[block] * self._squares[block])
        return block.start + min(int(np.searchsorted(running, value - before)), len(running) - 1)

    def _squares_with(self, candidates: NDArray[np.intp], block: slice) -> Float64Array:
        """Return the squared distances of a block's points (m,) if a candidate were chosen, (candidates, m)."""
        squares: Float64Array = -2 * (self._points[candidates] @ self._points[block].T)
        squares += self._lengths[candidates][:, None]
        squares += self._lengths[block]
        np.maximum(squares, 0, out=squares)
        np.minimum(self._squares[block], squares, out=squares)
        return squares
