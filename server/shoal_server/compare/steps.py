"""What a comparison is asked for, and what it says: the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import Float64Array, LabelArray

CompareEngine = Literal["scipy", "scipy-kmeans2", "sklearn", "sklearn-minibatch", "numba"]
Action = Literal["initialise", "assign", "update", "converged", "stopped", "fit"]

Clock = Callable[[], float]  # seconds, from some moment on


@dataclass(frozen=True)
class Comparison:
    """What every engine is given."""

    points: Float64Array  # (n, d), finite
    initial_centroids: Float64Array  # (k, d)
    engines: tuple[CompareEngine, ...]
    random_state: int
    max_iter: int
    tol: float
    pause: Callable[[], None] = field(default=lambda: None, compare=False)  # between two iterations; may raise Halted


@dataclass(frozen=True)
class OwnFigure:
    """A figure as the library itself gives it."""

    name: str
    value: float
    meaning: str


@dataclass(frozen=True)
class Step:
    """One step of one engine; compare.proto says more about each field."""

    engine: CompareEngine
    action: Action
    iteration: int  # updates so far
    centroids: Float64Array  # (m, d)
    clusters: NDArray[np.int32]  # (m,): the initial centroids that these have come from
    labels: LabelArray | None = None  # (n,)
    inertia: float | None = None
    distortion: float | None = None
    movement: Float64Array | None = None  # (m,)
    elapsed: float = 0.0  # seconds
    converged: bool = False  # whether it is the last one because the centroids have settled
    path: Float64Array | None = None  # (iterations, m, d)
    own_figures: tuple[OwnFigure, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineResult:
    """How one engine ended."""

    engine: CompareEngine
    centroids: Float64Array  # (m, d)
    labels: LabelArray  # (n,)
    inertia: float
    distortion: float
    iterations: int
    converged: bool
    matching: NDArray[np.int32]  # (m,): rows of the first engine's centroids, -1: none
    elapsed: float  # seconds, of all its steps


@dataclass(frozen=True)
class Agreement:
    """How much two engines agree."""

    one: CompareEngine
    other: CompareEngine
    adjusted_rand_index: float
    points_that_differ: int
    largest_difference: float


@dataclass(frozen=True)
class Result:
    """What is known when every engine has finished."""

    engines: tuple[EngineResult, ...]
    agreements: tuple[Agreement, ...]


class Runner(Protocol):
    """Runs one engine."""

    def __call__(self, comparison: Comparison, clock: Clock) -> Iterator[Step]:
        """Yield its steps; the last one says that it is."""
