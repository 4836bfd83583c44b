"""The parameters, steps and results of a comparison, as plain values; see `_types`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

CompareEngine = Literal["scipy", "scipy-kmeans2", "sklearn", "sklearn-minibatch", "numba"]
CompareInit = Literal["given", "k-means++", "random"]
CompareAction = Literal["initialise", "assign", "update", "converged", "stopped", "fit"]


@dataclass(frozen=True, eq=False)
class ComparisonStart:
    """The parameters of the comparison, with the values that the server chose filled in."""

    points: NDArray[Any]
    """Shape (n, d)."""
    initial_centroids: NDArray[np.float64]
    """Shape (k, d): every engine begins with them."""
    init: CompareInit
    """Whether they were given, or how the server drew them."""
    random_state: int
    engines: tuple[CompareEngine, ...]
    """In the order in which they run."""
    max_iter: int
    tol: float
    example: str | None
    """The name of the points, where the server had them."""


@dataclass(frozen=True)
class OwnFigure:
    """A figure as the library itself gives it."""

    name: str
    value: float
    meaning: str


@dataclass(frozen=True, eq=False)
class ComparisonStep:
    """One step of one engine."""

    number: int
    """Counts from 1 over all engines."""
    engine: CompareEngine
    action: CompareAction
    """``converged``, ``stopped`` (by max_iter) and ``fit`` (one call makes all iterations) are an engine's last."""
    iteration: int
    """How many updates the engine has made."""
    centroids: NDArray[np.float64]
    """Shape (m, d); m is below k where the engine has dropped some."""
    clusters: NDArray[np.int32]
    """Shape (m,): the initial centroids that these have come from."""
    labels: NDArray[np.int32] | None
    """Shape (n,), rows of `centroids`; None where the step has none."""
    inertia: float | None
    """The sum of squared distances, of these centroids and labels; computed in the same way for every engine."""
    distortion: float | None
    """The mean of the distances; computed in the same way for every engine."""
    movement: NDArray[np.float64] | None
    """Shape (m,): how far the step moved each centroid (Euclidean); None where it moves none."""
    elapsed: float
    """Seconds that the library's calls of the step took."""
    path: NDArray[np.float64] | None
    """Shape (iterations, m, d): where the centroids were after each iteration of a step that makes several."""
    own_figures: tuple[OwnFigure, ...]
    notes: tuple[str, ...]
    """What the library did that one might not expect."""


@dataclass(frozen=True, eq=False)
class ComparedEngine:
    """How one engine ended."""

    engine: CompareEngine
    centroids: NDArray[np.float64]
    """Shape (m, d)."""
    labels: NDArray[np.int32]
    """Shape (n,), rows of `centroids`."""
    inertia: float
    distortion: float
    iterations: int
    """How many updates it made."""
    converged: bool
    """Whether it wasn't stopped by max_iter."""
    matching: NDArray[np.int32]
    """Shape (m,): the first engine's centroid that each of these corresponds to, -1: none."""
    elapsed: float
    """Seconds that all its library calls took."""


@dataclass(frozen=True)
class Agreement:
    """How much two engines agree."""

    one: CompareEngine
    other: CompareEngine
    adjusted_rand_index: float
    """Of their labels; 1: the same clusters, whatever they are called."""
    points_that_differ: int
    """Points that are in other clusters, once these are matched."""
    largest_difference: float
    """The largest Euclidean distance of matched centroids."""


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """The results of all engines."""

    engines: tuple[ComparedEngine, ...]
    agreements: tuple[Agreement, ...]
    """Of each two of them."""
