"""Comparisons without a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal import CompareEngine, ComparisonResult
from shoal_server.compare.request import ComparisonRequest, check, prepare
from shoal_server.compare.running import run
from shoal_server.compare.steps import Comparison, Runner, Step

SIX_POINTS = [[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]]
GIVEN = [[5.5, 3], [1, 2]]
ALL: tuple[CompareEngine, ...] = ("scipy", "scipy-kmeans2", "sklearn", "sklearn-minibatch", "numba")


@dataclass(frozen=True)
class Finished:
    """A comparison and its events."""

    comparison: Comparison
    steps: list[Step]
    result: ComparisonResult

    def steps_of(self, engine: CompareEngine) -> list[Step]:
        return [step for step in self.steps if step.engine == engine]


@dataclass(frozen=True)
class Bench:
    """Runs comparisons."""

    runners: Mapping[CompareEngine, Runner]

    def compare(
        self,
        points: ArrayLike,
        n_clusters: int,
        *,
        init: Any = "k-means++",
        engines: tuple[CompareEngine, ...] = ALL,
        random_state: int = 0,
        max_iter: int = 100,
        tol: float = 0.0,
    ) -> Finished:
        given: Any = init if isinstance(init, str) else np.array(init, np.float64)
        request = ComparisonRequest(
            np.array(points, np.float64), n_clusters, given, random_state, engines, max_iter, tol
        )
        check(request, 10**9, 10**15)
        comparison = prepare(request, lambda: None)
        ticks = count()
        *steps, result = run(comparison, self.runners, lambda: float(next(ticks)))
        assert isinstance(result, ComparisonResult)
        return Finished(comparison, [step for step in steps if isinstance(step, Step)], result)


def squares(points: NDArray[Any], centroids: NDArray[Any]) -> NDArray[Any]:
    """Return the squared distances (n, m)."""
    offsets = points[:, None, :] - centroids[None, :, :]
    found: NDArray[Any] = (offsets**2).sum(axis=2)
    return found


def assert_nearest(points: NDArray[Any], centroids: NDArray[Any], labels: NDArray[Any]) -> None:
    """Check labels, but for what rounding can decide."""
    distances = squares(points, centroids)
    own = np.take_along_axis(distances, labels[:, None].astype(np.intp), axis=1)[:, 0]
    slack = 1e-9 * (1 + (points**2).sum(axis=1) + (centroids**2).sum(axis=1).max())
    assert (own <= distances.min(axis=1) + slack).all()
