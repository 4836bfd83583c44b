"""The loop of k-means for libraries that assign and update in calls of their own, and what is measured in it.

It is measured in the same way for every engine, in float64 and without expanding squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal.wire.comparison import CompareAction, CompareEngine
from shoal_server.clustering.state import shifts
from shoal_server.compare.steps import Clock, Comparison, Step
from shoal_server.engines.contract import Float64Array, LabelArray

T = TypeVar("T")

_LAST_DIGIT = 4 * np.finfo(np.float64).eps  # relative to the centroids, all together
_BLOCK_VALUES = 1 << 16  # of the points that are worked on at a time


@dataclass(frozen=True)
class Updated:
    """Where an update has put the centroids."""

    centroids: Float64Array  # (m, d)
    kept: NDArray[np.intp]  # (m,): the rows that these were before
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """A library's own calls."""

    def assign(self, centroids: Float64Array) -> LabelArray:
        """Return the label of each point, (n,)."""

    def update(self, centroids: Float64Array, labels: LabelArray) -> Updated:
        """Return the centroids after one iteration from these, (m, d)."""


@dataclass(frozen=True)
class _Place:
    """Where the engine is."""

    engine: CompareEngine
    comparison: Comparison
    iteration: int
    centroids: Float64Array
    clusters: NDArray[np.int32]

    def step(self, action: CompareAction, labels: LabelArray | None, elapsed: float, **more: Any) -> Step:
        """Return the step that has led here."""
        inertia = distortion = None
        if labels is not None:
            inertia, distortion = objectives(self.comparison.points, self.centroids, labels)
        return Step(
            engine=self.engine,
            action=action,
            iteration=self.iteration,
            centroids=self.centroids,
            clusters=self.clusters,
            labels=labels,
            inertia=inertia,
            distortion=distortion,
            elapsed=elapsed,
            **more,
        )


def iterate(engine: CompareEngine, method: Method, comparison: Comparison, clock: Clock) -> Iterator[Step]:
    """Assign and update until the centroids are settled, max_iter times at most."""
    centroids = comparison.initial_centroids
    place = _Place(engine, comparison, 0, centroids, np.arange(len(centroids), dtype=np.int32))
    yield place.step("initialise", None, 0.0)
    for iteration in range(1, comparison.max_iter + 1):
        labels, seconds = _timed(clock, method.assign, place.centroids)
        yield place.step("assign", labels, seconds)
        comparison.pause()
        updated, seconds = _timed(clock, method.update, place.centroids, labels)
        moved = shifts(place.centroids[updated.kept], updated.centroids)
        none_lost = len(updated.kept) == len(place.centroids)
        place = _Place(engine, comparison, iteration, updated.centroids, place.clusters[updated.kept])
        if none_lost and settled(moved, updated.centroids, comparison.tol):
            if moved.any():
                comparison.pause()
                labels, more = _timed(clock, method.assign, place.centroids)
                seconds += more
            yield place.step("converged", labels, seconds, movement=moved, converged=True, notes=updated.notes)
            return
        yield place.step("update", None, seconds, movement=moved, notes=updated.notes)
    labels, seconds = _timed(clock, method.assign, place.centroids)
    yield place.step("stopped", labels, seconds)


def objectives(points: Float64Array, centroids: Float64Array, labels: LabelArray) -> tuple[float, float]:
    """Return inertia and distortion: the sum of the squared distances, and the mean of the distances, as SciPy has it.

    Parameters
    ----------
    points, centroids, labels
        (n, d), (m, d), and of each point the row of its centroid, (n,).
    """
    squares = np.empty(len(points))
    rows = max(1, _BLOCK_VALUES // points.shape[1])
    for start in range(0, len(points), rows):
        block = slice(start, start + rows)
        offsets = points[block] - centroids[labels[block]]
        squares[block] = np.einsum("nd,nd->n", offsets, offsets)
    return float(squares.sum()), float(np.sqrt(squares).mean())


def settled(moved: Float64Array, centroids: Float64Array, tol: float) -> bool:
    """Return whether centroids (m, d) that have moved so far (m,) moved by no more than tol, all together.

    What rounding can move doesn't count: a running mean of the same points may differ in its last digit.
    """
    return bool(np.linalg.norm(moved) <= max(tol, _LAST_DIGIT * np.linalg.norm(centroids)))


def _timed(clock: Clock, function: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    """Call a function, and return what it returned and how many seconds it took."""
    began = clock()
    returned = function(*arguments)
    return returned, clock() - began
