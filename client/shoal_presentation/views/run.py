"""A comparison that has been run, and what its engines are called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from shoal import CompareEngine, ComparisonResult, ComparisonStart, ComparisonStep


@dataclass(frozen=True, eq=False)
class Run:
    """All that a comparison has said."""

    start: ComparisonStart
    steps: tuple[ComparisonStep, ...]
    result: ComparisonResult

    @property
    def engines(self) -> tuple[CompareEngine, ...]:
        """In the order in which they ran."""
        return self.start.engines

    def steps_of(self, engine: CompareEngine) -> tuple[ComparisonStep, ...]:
        """Return the steps of one engine."""
        return tuple(step for step in self.steps if step.engine == engine)

    @staticmethod
    def of(comparison: FinishedComparison, steps: Iterable[ComparisonStep]) -> Run:
        """Return a comparison, sync or asyncio, that has come to its end with these steps."""
        taken = tuple(steps)  # first: reading them may be what brings the rest
        if comparison.start is None or comparison.result is None:
            raise AssertionError("a comparison that ends well has a start and a result")
        return Run(comparison.start, taken, comparison.result)


class FinishedComparison(Protocol):
    """What a comparison of either client says beside its steps."""

    @property
    def start(self) -> ComparisonStart | None:
        """What is compared."""
        ...

    @property
    def result(self) -> ComparisonResult | None:
        """The results of all engines."""
        ...


@dataclass(frozen=True)
class EngineText:
    """What an engine is called."""

    library: str  # of several of one library too
    calls: str  # that it makes


_ENGINE_TEXTS: dict[str, EngineText] = {
    "scipy": EngineText("SciPy", "vq and kmeans"),
    "scipy-kmeans2": EngineText("SciPy kmeans2", "vq and kmeans2"),
    "sklearn": EngineText("scikit-learn", "KMeans.fit"),
    "sklearn-minibatch": EngineText("scikit-learn MiniBatch", "MiniBatchKMeans.partial_fit"),
    "numba": EngineText("Shoal", "the compiled kernel"),
}


def engine_text(engine: str) -> EngineText:
    """Return what an engine is called; one that is newer than this client by its own name."""
    return _ENGINE_TEXTS.get(engine, EngineText(engine, engine))
