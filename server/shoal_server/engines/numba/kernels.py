"""The compiled kernels. A block of points is transposed, so that the vector lanes run across points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

LANES = 64  # points whose distances are in registers and the first cache at a time

# All of fast-math but nnan and ninf, which would break the handling of NaN and infinity.
_FASTMATH = {"reassoc", "nsz", "arcp", "contract", "afn"}


@dataclass(frozen=True)
class Kernels:
    """Compiled for float32 and float64; a call with any other type is an error, never a compilation."""

    assign: Callable[..., None]
    add_up: Callable[..., None]


def compile_kernels() -> Kernels:
    """Compile every signature, or load it from the cache on disk."""
    return Kernels(assign=_compile(_assign, _assign_signatures()), add_up=_compile(_add_up, _add_up_signatures()))


def _compile(function: Callable[..., None], signatures: list[Any]) -> Callable[..., None]:
    compiled: Callable[..., None] = numba.njit(signatures, nogil=True, cache=True, fastmath=_FASTMATH)(function)
    return compiled


def _assign_signatures() -> list[Any]:
    return [
        types.void(_read_only(real, 2), _read_only(real, 2), types.int32[::1], types.Array(real, 1, "C"))
        for real in (types.float32, types.float64)
    ]


def _add_up_signatures() -> list[Any]:
    return [
        types.void(
            _read_only(real, 2),
            _read_only(types.float64, 1),
            _read_only(types.int32, 1),
            types.float64[::1],
            types.float64[:, ::1],
        )
        for real in (types.float32, types.float64)
    ]


def _read_only(element: Any, dimensions: int) -> Any:
    return types.Array(element, dimensions, "C", readonly=True)


def _assign(  # noqa: C901  (compiled: one loop in another)
    points: NDArray[Any], centroids: NDArray[Any], labels: NDArray[np.int32], distances: NDArray[Any]
) -> None:
    """Write the label of the nearest centroid, of equally near ones the lowest, and the squared distance."""
    n, d = points.shape
    lanes = np.empty((d, LANES), points.dtype)
    squares = np.empty(LANES, points.dtype)
    best = np.empty(LANES, points.dtype)
    best_label = np.empty(LANES, np.int32)
    for start in range(0, n, LANES):
        width = min(LANES, n - start)
        for lane in range(width):
            for feature in range(d):
                lanes[feature, lane] = points[start + lane, feature]
        for lane in range(LANES):
            best[lane] = np.inf
            best_label[lane] = 0
        for label in range(len(centroids)):
            for lane in range(LANES):
                squares[lane] = 0
            for feature in range(d):
                coordinate = centroids[label, feature]
                for lane in range(LANES):
                    difference = lanes[feature, lane] - coordinate
                    squares[lane] += difference * difference
            for lane in range(LANES):
                nearer = squares[lane] < best[lane]
                best[lane] = squares[lane] if nearer else best[lane]
                best_label[lane] = np.int32(label) if nearer else best_label[lane]
        for lane in range(width):
            labels[start + lane] = best_label[lane]
            distances[start + lane] = best[lane]


def _add_up(
    points: NDArray[Any],
    weight: NDArray[np.float64],
    labels: NDArray[np.int32],
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Add weights to the counts and weighted points to the sums, by label, row after row."""
    n, d = points.shape
    for row in range(n):
        label = labels[row]
        counts[label] += weight[row]
        for feature in range(d):
            sums[label, feature] += weight[row] * points[row, feature]
