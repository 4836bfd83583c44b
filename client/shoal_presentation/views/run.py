"""A finished comparison, and the names of its engines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from shoal import CompareEngine, ComparisonResult, ComparisonStart, ComparisonStep


@dataclass(frozen=True, eq=False)
class Run:
    """The start, steps and result of a comparison."""

    start: ComparisonStart
    steps: tuple[ComparisonStep, ...]
    result: ComparisonResult

    @property
    def engines(self) -> tuple[CompareEngine, ...]:
        """The engines in the order in which they ran."""
        return self.start.engines

    def steps_of(self, engine: CompareEngine) -> tuple[ComparisonStep, ...]:
        """Return the steps of one engine."""
        return tuple(step for step in self.steps if step.engine == engine)

    @staticmethod
    def of(comparison: FinishedComparison, steps: Iterable[ComparisonStep]) -> Run:
        """Return the run of a finished comparison, sync or asyncio, with these steps."""
        taken = tuple(steps)  # first: reading the steps may fill in start and result
        if comparison.start is None or comparison.result is None:
            raise AssertionError("a comparison that ends well has a start and a result")
        return Run(comparison.start, taken, comparison.result)


class FinishedComparison(Protocol):
    """The start and result of a comparison, of the sync or the asyncio client."""

    @property
    def start(self) -> ComparisonStart | None:
        """The points and parameters."""
        ...

    @property
    def result(self) -> ComparisonResult | None:
        """The results of all engines."""
        ...


@dataclass(frozen=True)
class EngineText:
    """The names of an engine."""

    library: str  # several engines may have the same library
    calls: str  # that it makes


_ENGINE_TEXTS: dict[str, EngineText] = {
    "scipy": EngineText("SciPy", "vq and kmeans"),
    "scipy-kmeans2": EngineText("SciPy kmeans2", "vq and kmeans2"),
    "sklearn": EngineText("scikit-learn", "KMeans.fit"),
    "sklearn-minibatch": EngineText("scikit-learn MiniBatch", "MiniBatchKMeans.partial_fit"),
    "numba": EngineText("Shoal", "the compiled kernel"),
}


def engine_text(engine: str) -> EngineText:
    """Return the names of an engine; an engine newer than this client keeps its own name."""
    return _ENGINE_TEXTS.get(engine, EngineText(engine, engine))
