"""What is computed in the same way for every engine, in float64 and without expanding squares."""

from __future__ import annotations

import numpy as np

from shoal_server.engines.contract import Float64Array, LabelArray

_ROUNDING = 1e-7  # relative; far above what squares that were expanded lose
_LAST_DIGIT = 4 * np.finfo(np.float64).eps  # relative to the centroids, all together
_BLOCK_VALUES = 1 << 16  # of the points that are worked on at a time


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


def farther(points: Float64Array, centroids: Float64Array, labels: LabelArray, others: LabelArray) -> int:
    """Return how many points (n, d) are farther from the centroid of their label (n,) than from that of the other (n,).

    What the libraries' ways to compute distances lose by rounding doesn't count.
    """
    rows = np.flatnonzero(labels != others)
    own = np.linalg.norm(points[rows] - centroids[labels[rows]], axis=1)
    other = np.linalg.norm(points[rows] - centroids[others[rows]], axis=1)
    slack = _ROUNDING * (np.linalg.norm(points[rows], axis=1) + other)
    return int(np.count_nonzero(own > other + slack))


def movement(before: Float64Array, after: Float64Array) -> Float64Array:
    """Return how far each centroid (m, d) moved (Euclidean), (m,)."""
    moved: Float64Array = np.linalg.norm(after - before, axis=1)
    return moved


def settled(moved: Float64Array, centroids: Float64Array, tol: float) -> bool:
    """Return whether centroids (m, d) that have moved so far (m,) moved by no more than tol, all together.

    What rounding can move doesn't count: a running mean of the same points may differ in its last digit.
    """
    return bool(np.linalg.norm(moved) <= max(tol, _LAST_DIGIT * np.linalg.norm(centroids)))
