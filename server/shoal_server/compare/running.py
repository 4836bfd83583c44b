"""One engine after the other, which centroids of theirs correspond, and how much they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from shoal.wire.comparison import Agreement, ComparedEngine, CompareEngine, ComparisonResult
from shoal_server.compare import scipy, sklearn
from shoal_server.compare.numba import NumbaRunner
from shoal_server.compare.steps import Clock, Comparison, Runner, Step
from shoal_server.engines.contract import Engine, Float64Array
from shoal_server.libraries import library

_NONE = -1  # where no centroid corresponds


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
    yield _conclude(lasts, seconds)


def _conclude(lasts: Sequence[Step], seconds: Sequence[float]) -> ComparisonResult:
    """Return what engines come to.

    Parameters
    ----------
    lasts
        The last step of each; centroids are matched to those of the first one.
    seconds
        What all steps of each took.
    """
    results = [_result(last, elapsed, lasts[0].centroids) for last, elapsed in zip(lasts, seconds, strict=True)]
    return ComparisonResult(tuple(results), tuple(_agreement(one, other) for one, other in combinations(results, 2)))


def _result(last: Step, elapsed: float, reference: Float64Array) -> ComparedEngine:
    if last.labels is None or last.inertia is None or last.distortion is None:
        raise AssertionError("the last step of an engine has labels")
    return ComparedEngine(
        engine=last.engine,
        centroids=last.centroids,
        labels=last.labels,
        inertia=last.inertia,
        distortion=last.distortion,
        iterations=last.iteration,
        converged=last.converged,
        matching=_match(reference, last.centroids),
        elapsed=elapsed,
    )


def _agreement(one: ComparedEngine, other: ComparedEngine) -> Agreement:
    matching = _match(one.centroids, other.centroids)
    matched = matching != _NONE
    differences = np.linalg.norm(other.centroids[matched] - one.centroids[matching[matched]], axis=1)
    return Agreement(
        one=one.engine,
        other=other.engine,
        adjusted_rand_index=float(library("sklearn.metrics").adjusted_rand_score(one.labels, other.labels)),
        points_that_differ=int(np.count_nonzero(matching[other.labels] != one.labels)),
        largest_difference=float(differences.max(initial=0.0)),
    )


def _match(reference: Float64Array, centroids: Float64Array) -> NDArray[np.int32]:
    """Return for each centroid (m, d) the row of the reference (r, d) that it corresponds to, _NONE for none.

    The sum of the squared distances is the least that there is; the method is SciPy's linear_sum_assignment (Crouse,
    "On implementing 2D rectangular assignment algorithms", 2016).
    """
    squares = library("scipy.spatial.distance").cdist(centroids, reference, "sqeuclidean")
    rows, columns = library("scipy.optimize").linear_sum_assignment(squares)
    matching = np.full(len(centroids), _NONE, np.int32)
    matching[rows] = columns
    return matching
