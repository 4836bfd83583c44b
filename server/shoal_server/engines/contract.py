"""The one contract of the engines: points and centroids in, what the points add up to out.

An engine never moves a centroid: it answers with a Contribution, and the update rule of clustering/ applies it. So the
engines differ in how they assign and add, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
LabelArray = NDArray[np.int32]
PointArray = NDArray[Any]  # (n, d): float32 or float64 after validation, or small integers as they came


@dataclass(frozen=True)
class Frame:
    """The coordinates in which an engine computes: relative to an origin, in one precision, perhaps of length 1.

    Points far from zero lose their digits in float32; relative to an origin among them they don't. The origin is
    exact in `dtype`, and is zero for the cosine metric.
    """

    centroids: NDArray[np.floating[Any]]  # (k, d) in dtype, relative to origin; rows of length 1 under cosine
    origin: NDArray[np.floating[Any]]  # (d,) in dtype
    weights: Float64Array  # (k,) after forgetting
    cosine: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the computing: float32 or float64."""
        return self.centroids.dtype

    def enter(self, points: PointArray) -> NDArray[np.floating[Any]]:
        """Points (n, d) in these coordinates: a new C-contiguous array in `dtype`."""
        if self.cosine:
            return np.ascontiguousarray(to_sphere(points.astype(np.float64)), dtype=self.dtype)
        # In the wider of the two types: a float64 point loses its digits only after the shift.
        wide = np.result_type(points.dtype, self.dtype)
        inside: NDArray[np.floating[Any]] = np.subtract(points, self.origin, dtype=wide)
        return inside.astype(self.dtype, order="C", copy=False)


def to_sphere(rows: Float64Array) -> Float64Array:
    """Scale rows (n, d), none of them all zeros, to length 1: by the largest value first, lest a square overflow."""
    scaled = rows / np.abs(rows).max(axis=1, keepdims=True)
    unit: Float64Array = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return unit


@dataclass(frozen=True)
class Contribution:
    """What points add to a model. Contributions to one version add up, in any grouping."""

    counts: Float64Array  # (k,) sum of the sample weights of the points of each cluster
    sums: Float64Array  # (k, d) sum of weight times point, relative to the frame's origin
    inertia: float  # sum of weight times squared distance to the nearest centroid
    labels: LabelArray  # (n,)


def empty_contribution(frame: Frame) -> Contribution:
    """Return what no points add up to."""
    counts = np.zeros(len(frame.centroids))
    return Contribution(counts, np.zeros(frame.centroids.shape), 0.0, np.empty(0, np.int32))


@dataclass(frozen=True)
class Assignment:
    """The nearest centroid of each point; of equally near ones the lowest."""

    labels: LabelArray  # (n,)
    distances: NDArray[np.floating[Any]]  # (n,) squared


# Runs tasks 0 … count-1, on whatever threads there are, and returns when all are done.
RunTasks = Callable[[Callable[[int], None], int], None]


def run_in_order(task: Callable[[int], None], count: int) -> None:
    """Run the tasks on this thread, one after another."""
    for index in range(count):
        task(index)


class Engine(Protocol):
    """Assigns points to centroids and adds them up. Holds nothing that belongs to a session."""

    def contribute(
        self,
        points: PointArray,  # (n, d), finite, C-contiguous
        sample_weight: Float64Array | None,  # (n,)
        frame: Frame,
        run: RunTasks,
    ) -> Contribution:
        """Assign the points to the frame's centroids and add them up."""
        ...

    def assign(self, points: PointArray, frame: Frame, run: RunTasks) -> Assignment:
        """Assign the points to the frame's centroids."""
        ...

    def warm_up(self) -> None:
        """Do whatever the first call would otherwise wait for: compile, load."""
        ...
