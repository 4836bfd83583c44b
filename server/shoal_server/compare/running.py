"""One engine after the other, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shoal.wire.comparison import CompareEngine, ComparisonResult
from shoal_server.compare import scipy, sklearn
from shoal_server.compare.matching import conclude
from shoal_server.compare.numba import NumbaRunner
from shoal_server.compare.steps import Clock, Comparison, Runner, Step
from shoal_server.engines.contract import Engine


def runners(numba: Engine) -> dict[CompareEngine, Runner]:
    """Return what runs each engine; `numba` is the ready engine of the sessions."""
    return {
        "scipy": scipy.run_kmeans,
        "scipy-kmeans2": scipy.run_kmeans2,
        "sklearn": sklearn.run_kmeans,
        "sklearn-minibatch": sklearn.run_mini_batch,
        "numba": NumbaRunner(numba),
    }


def run(
    comparison: Comparison, runners: Mapping[CompareEngine, Runner], clock: Clock
) -> Iterator[Step | ComparisonResult]:
    """Yield the steps of each engine as they are computed, and the result."""
    lasts: list[Step] = []
    seconds: list[float] = []
    for engine in comparison.engines:
        elapsed = 0.0
        for step in runners[engine](comparison, clock):
            elapsed += step.elapsed
            yield step
        lasts.append(step)
        seconds.append(elapsed)
    yield conclude(lasts, seconds)
