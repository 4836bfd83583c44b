"""Which centroids of two engines correspond, and how much the engines agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from shoal.wire.comparison import Agreement, ComparedEngine, ComparisonResult
from shoal_server.compare.steps import Step
from shoal_server.engines.contract import Float64Array
from shoal_server.libraries import library

NONE = -1


def conclude(lasts: Sequence[Step], seconds: Sequence[float]) -> ComparisonResult:
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


def match(reference: Float64Array, centroids: Float64Array) -> NDArray[np.int32]:
    """Return for each centroid (m, d) the row of the reference (r, d) that it corresponds to, NONE where there is none.

    The sum of the squared distances is the least that there is; the method is SciPy's linear_sum_assignment (Crouse,
    "On implementing 2D rectangular assignment algorithms", 2016).
    """
    squares = library("scipy.spatial.distance").cdist(centroids, reference, "sqeuclidean")
    rows, columns = library("scipy.optimize").linear_sum_assignment(squares)
    matching = np.full(len(centroids), NONE, np.int32)
    matching[rows] = columns
    return matching


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
        matching=match(reference, last.centroids),
        elapsed=elapsed,
    )


def _agreement(one: ComparedEngine, other: ComparedEngine) -> Agreement:
    matching = match(one.centroids, other.centroids)
    matched = matching != NONE
    differences = np.linalg.norm(other.centroids[matched] - one.centroids[matching[matched]], axis=1)
    return Agreement(
        one=one.engine,
        other=other.engine,
        adjusted_rand_index=float(library("sklearn.metrics").adjusted_rand_score(one.labels, other.labels)),
        points_that_differ=int(np.count_nonzero(matching[other.labels] != one.labels)),
        largest_difference=float(differences.max(initial=0.0)),
    )
