"""The oracle of a swap that is tried: the steps of engines/numba/swaps.py, as plainly as can be, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.numba.local_moves import HOPE, LOCAL_STEPS, MAX_LOCAL
from shoal_server.engines.numba.swaps import MAX_LOSS, MIN_SAVED
from tests import naive

Array = NDArray[np.float64]


def seeds(points: Array, weights: Array, draws: Array) -> list[int]:
    """Greedy k-means++ with as many candidates as there are draws for each centroid (k, candidates)."""
    squares = np.ones(len(points))
    chosen: list[int] = []
    for shares in draws:
        if not (weights * squares).any():
            squares = np.ones(len(points))
        rows = [draw(weights * squares, share) for share in (shares if chosen else shares[:1])]
        near = [naive.squared_distances(points, points[[row]])[:, 0] for row in rows]
        near = [np.minimum(each, squares) if chosen else each for each in near]
        best = int(np.argmin([weights @ each for each in near]))
        chosen.append(rows[best])
        squares = near[best]
    return chosen


def draw(added: Array, share: float) -> int:
    """Return the first row at which the running sum passes a share of the whole."""
    return int(np.searchsorted(np.cumsum(added), share * added.sum(), side="right"))


def after_swap(
    points: Array, weights: Array, centroids: Array, draws: Array, reach: float, *, allowed: float, cosine: bool
) -> Array | None:
    """Return the centroids after one swap is tried, or None if they stay what they are."""
    squares = naive.squared_distances(points, centroids)
    labels = squares.argsort(axis=1, kind="stable")[:, :2]
    first, second = np.take_along_axis(squares, labels, axis=1).T
    own = labels[:, 0]
    best = None
    if not (weights * first).any():
        return None
    spare = (allowed / len(centroids) - MIN_SAVED) * (weights @ first)
    for share in draws:
        row = draw(weights * first, share)
        candidate = centroids[own[row]] + reach * (points[row] - centroids[own[row]])
        if cosine:
            candidate = candidate / np.linalg.norm(candidate)
        near = ((points - candidate) ** 2).sum(axis=1)
        taken = (near < first) & (weights > 0)
        if not taken.any():
            continue
        without = np.minimum(near, second) - np.minimum(near, first)
        losses = np.array([weights[own == label] @ without[own == label] for label in range(len(centroids))])
        residual = weights[taken] @ (points[taken] - candidate)
        saved = weights[taken] @ (first - near)[taken] + residual @ residual / weights[taken].sum()
        loss = losses.min()
        if loss <= MAX_LOSS * saved + spare and (best is None or saved - loss > best[0]):
            best = saved - loss, candidate, int(losses.argmin()), near
    if best is None:
        return None
    _, candidate, leaving, near = best
    involved = np.bincount(own[near < first], weights[near < first], len(centroids))
    given = (own == leaving) & (near >= second)
    involved += np.bincount(labels[given, 1], weights[given], len(centroids))
    involved[leaving] = 0
    members = [leaving, *(int(each) for each in np.argsort(-involved, kind="stable") if involved[each] > 0)][:MAX_LOCAL]
    rows = np.isin(own, members)
    moved = _moved(points[rows], weights[rows], np.array([candidate, *centroids[members[1:]]]), first[rows], cosine)
    saved = weights[rows] @ first[rows] - moved[1]
    if saved <= -spare:
        return None
    result = centroids.copy()
    result[members] = moved[0]
    return result


def _moved(points: Array, weights: Array, means: Array, before: Array, cosine: bool) -> tuple[Array, float]:
    last = np.inf
    for step in range(LOCAL_STEPS + 1):
        squares = naive.squared_distances(points, means)
        inertia = float(weights @ squares.min(axis=1))
        if step == LOCAL_STEPS or inertia - weights @ before > HOPE * (last - inertia):
            break
        last = inertia
        counts, sums = naive.added(points, weights, squares.argmin(axis=1), len(means))
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1e-300)[:, None], means)
        if cosine:
            means = means / np.linalg.norm(means, axis=1, keepdims=True)
    return means, inertia
