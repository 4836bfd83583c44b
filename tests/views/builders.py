"""Runs for the views: comparisons without a server, as the client would have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from shoal import ComparisonStart, ComparisonStep
from shoal.wire.comparison import EngineStep
from shoal_presentation.views import Run
from shoal_server.compare.steps import Step
from tests.compare.comparing import GIVEN, SIX_POINTS, Bench, Finished

Compare = Callable[..., Run]

# Four points and a start far from all of them: of its three clusters one is empty at once.
FEW = [[0.0, 0.0], [0.0, 1.0], [5.0, 5.0], [5.0, 6.0]]
FAR_AWAY = [[0.0, 0.0], [1.0, 0.0], [900.0, 900.0]]


def comparing(bench: Bench) -> Compare:
    """Return a function that runs a comparison, by default of the six points."""

    def compare(points: ArrayLike = SIX_POINTS, n_clusters: int = 2, *, init: Any = GIVEN, **more: Any) -> Run:
        return as_run(bench.compare(points, n_clusters, init=init, **more), init)

    return compare


def as_run(finished: Finished, init: Any) -> Run:
    """Return what a client would have been told."""
    comparison = finished.comparison
    start = ComparisonStart(
        points=comparison.points,
        initial_centroids=comparison.initial_centroids,
        init=init if isinstance(init, str) else "given",  # type: ignore[arg-type]  # one of two names
        random_state=comparison.random_state,
        engines=comparison.engines,
        max_iter=comparison.max_iter,
        tol=comparison.tol,
        example=None,
    )
    steps = tuple(_numbered(step, number) for number, step in enumerate(finished.steps, 1))
    return Run(start, steps, finished.result)


def blobs(seed: int, n: int = 60, d: int = 2) -> NDArray[np.float64]:
    """Return points (n, d) in three heaps."""
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) + 6 * random.integers(0, 3, size=(n, 1))


@st.composite
def compare_arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a comparison: points, many of them equal at times, k, a start, engines in any order."""
    n, d = draw(st.integers(1, 30)), draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = random.normal(size=(n, d)) * draw(st.sampled_from([1e-6, 1.0, 1e6])) + draw(st.sampled_from([0.0, 1e4]))
    if draw(st.booleans()):
        points = points.round(0)
    if draw(st.booleans()):
        points = points[random.integers(0, n, n)]
    k = draw(st.integers(1, n))
    given = points[random.integers(0, n, k)] + random.normal(size=(k, d)) * draw(st.sampled_from([0.0, 1.0, 100.0]))
    engines = draw(st.permutations(["scipy", "scipy-kmeans2", "sklearn", "sklearn-minibatch", "numba"]))
    return {
        "points": points,
        "n_clusters": k,
        "init": draw(st.sampled_from(["k-means++", "random", given])),
        "engines": tuple(engines[: draw(st.integers(1, 5))]),
        "random_state": draw(st.integers(0, 2**32 - 1)),
        "max_iter": draw(st.sampled_from([1, 2, 15])),
        "tol": draw(st.sampled_from([0.0, 0.5])),
    }


def _numbered(step: Step, number: int) -> ComparisonStep:
    """Return a step of the server as the client has it."""
    own = {field.name: getattr(step, field.name) for field in fields(EngineStep)}
    return ComparisonStep(**own, number=number)
