"""Wrong answers that one may take for right: all different, from the right one too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WRONG = 3  # a question


def other_labels(right: NDArray[np.int32], points: NDArray[Any], centroids: NDArray[np.float64]) -> list[NDArray[Any]]:
    """Return labels (n,) that are not the right ones of points (n, d) and centroids (m, d)."""
    found = {tuple(right.tolist()): right}
    for labels in _labels(right, points, centroids):
        found.setdefault(tuple(labels.tolist()), labels)
    return list(found.values())[1 : 1 + _WRONG]


def _labels(right: NDArray[np.int32], points: NDArray[Any], centroids: NDArray[np.float64]) -> Iterator[NDArray[Any]]:
    """Yield what is likely to be taken for right; the last three differ from it and one another in any case."""
    m = len(centroids)
    offsets = points.astype(np.float64)[:, None, :] - centroids[None, :, :]
    yield (m - 1 - right).astype(np.int32)  # the centroids counted from the end
    yield np.linalg.norm(offsets, axis=2).argmax(axis=1).astype(np.int32)  # the farthest
    yield right + 1  # counted from 1
    yield np.full_like(right, -1)  # no cluster at all
    yield right + 2


def other_steps(right: int, steps: Sequence[int]) -> list[int]:
    """Return numbers of steps around the right one, first those that the engine has."""
    later = range(steps[-1] + 1, steps[-1] + 1 + _WRONG)
    near = sorted((number for number in steps if number != right), key=lambda number: (abs(number - right), number))
    return [*near, *later][:_WRONG]
