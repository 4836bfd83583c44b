"""Frames and points for the kernels, and checks of their results against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from shoal_server.engines.contract import Assignment, Contribution, Frame, run_in_order
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.numba.microkernel import TILE, group_rows
from shoal_server.engines.numba.pruning_policy import PruningPolicy
from tests import naive

Reals = NDArray[np.floating[Any]]

GROUPS = {np.dtype(np.float32): group_rows(types.float32), np.dtype(np.float64): group_rows(types.float64)}
WIDTHS = [1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 127, 128, 129, 257, 384]
CLUSTERS = [1, 2, 3, 4, 5, 7, 8, 9, 64]


def row_counts(dtype: np.dtype[Any]) -> list[int]:
    """Return numbers of rows around those at which the kernel takes another path."""
    group = GROUPS[dtype]
    return [1, 2, 3, 4, 5, group - 1, group, group + 1, group + 4, group + 5, 2 * group, 5 * group + 3]


def frame_of(centroids: Reals, *, origin: Reals | None = None, cosine: bool = False) -> Frame:
    """Return a frame of centroids (k, d) in its coordinates, in their type."""
    start = np.zeros(centroids.shape[1], centroids.dtype) if origin is None else origin
    return Frame(centroids, start, np.zeros(len(centroids)), cosine=cosine)


def bounded(frame: Frame, axes: int) -> Frame:
    """Return the same frame with pruning in some axes (at most the number of columns)."""
    other = frame_of(frame.centroids, origin=frame.origin, cosine=frame.cosine)
    count = min(axes, frame.centroids.shape[1] // TILE * TILE)
    if not count:
        return other
    wide = frame.centroids.astype(np.float64)
    _, _, principal = np.linalg.svd(wide / (np.abs(wide).max() or 1.0), full_matrices=False)
    others = np.random.default_rng(0).normal(size=(count, wide.shape[1]))
    axes_then_others, _ = np.linalg.qr(np.concatenate([principal[:count], others]).T)
    other.cache.get(PruningPolicy).axes = axes_then_others[:, :count].T.copy()
    return other


def unaligned(points: NDArray[Any]) -> NDArray[Any]:
    """Return the points in a read-only buffer, one byte after an aligned address."""
    message = b"\x01" + points.tobytes() + b"\xff" * 64
    return np.frombuffer(message, points.dtype, points.size, offset=1).reshape(points.shape)


def both_ways(
    engine: NumbaEngine, points: NDArray[Any], weight: naive.Array | None, frame: Frame
) -> tuple[Contribution, Assignment]:
    """Return the engine's results for the points, with the pruning of the frame even if that doesn't pay."""
    pruning = frame.cache.get(PruningPolicy)
    axes = pruning.axes
    contribution = engine.contribute(points, weight, frame, run_in_order)
    pruning.axes = axes
    again = frame.at(frame.centroids, frame.weights)
    return contribution, engine.assign(points, again, run_in_order, return_distances=True)


def check(
    contribution: Contribution, assignment: Assignment, inside: Reals, weight: naive.Array | None, frame: Frame
) -> None:
    """Check results for points (n, d) against the oracle; `inside` are the points in the frame's coordinates."""
    wide, centroids = inside.astype(np.float64), frame.centroids.astype(np.float64)
    check_labels(assignment.labels, wide, centroids)
    np.testing.assert_array_equal(contribution.labels, assignment.labels)
    labels = assignment.labels
    squares = ((wide - centroids[labels]) ** 2).sum(axis=1)
    check_distances(assignment.distances, squares, frame)
    each = np.ones(len(wide)) if weight is None else weight
    check_sums(contribution, wide, each, frame)
    share = (frame.centroids.shape[1] + 8) * float(np.finfo(frame.dtype).eps)
    least = float(np.finfo(frame.dtype).tiny) * frame.centroids.shape[1] * each.sum()
    np.testing.assert_allclose(contribution.inertia, np.dot(each, squares), rtol=share, atol=least)


def check_labels(labels: NDArray[np.int32], inside: naive.Array, centroids: naive.Array) -> None:
    """Check labels against exact arithmetic, except where float64 can't distinguish two distances.

    The sum of d squares, each of a difference, errs by (d + 3) roundings at most.
    """
    squares = naive.squared_distances(inside, centroids)
    chosen = np.take_along_axis(squares, labels[:, None].astype(np.intp), axis=1)[:, 0]
    rounding = 2 * (inside.shape[1] + 3) * float(np.finfo(np.float64).eps)
    np.testing.assert_array_less(chosen, squares.min(axis=1) * (1 + rounding) + 1e-300)
    firsts = np.array([int((centroids == centroid).all(axis=1).argmax()) for centroid in centroids])
    np.testing.assert_array_equal(labels, firsts[labels])


def check_distances(distances: Reals | None, squares: naive.Array, frame: Frame) -> None:
    """Hold squared distances to the oracle's: they are rounded to the frame's type once."""
    limits = np.finfo(frame.dtype)
    assert distances is not None
    assert distances.dtype == frame.dtype
    rounding = float(limits.eps) + (frame.centroids.shape[1] + 8) * 2.0**-52
    np.testing.assert_allclose(distances, squares, rtol=rounding, atol=float(limits.tiny))


def check_sums(contribution: Contribution, inside: naive.Array, weight: naive.Array, frame: Frame) -> None:
    """Check counts and sums against those of the labels."""
    counts, sums = naive.added(inside, weight, contribution.labels, len(frame.centroids))
    _, most = naive.added(np.abs(inside), weight, contribution.labels, len(frame.centroids))
    np.testing.assert_allclose(contribution.counts, counts, rtol=1e-13)
    np.testing.assert_array_less(np.abs(contribution.sums - sums), 1e-13 * most + 1e-300)
