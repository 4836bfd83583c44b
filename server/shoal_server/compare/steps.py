"""What every engine of a comparison is given, and what it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from shoal.wire.comparison import CompareEngine, EngineStep
from shoal_server.engines.contract import Float64Array

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


@dataclass(frozen=True, eq=False)
class Step(EngineStep):
    """A step as its engine yields it."""

    converged: bool = False
    """Whether it is the last one because the centroids have settled."""


class Runner(Protocol):
    """Runs one engine."""

    def __call__(self, comparison: Comparison, clock: Clock) -> Iterator[Step]:
        """Yield its steps; the last one says that it is."""
