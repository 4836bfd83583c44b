"""The step after which the centroids of an engine no longer move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal import CompareEngine, ComparisonStep
from shoal_presentation.views.numbers import number_text
from shoal_presentation.views.run import Run

_ROUNDING = 4 * np.finfo(np.float64).eps  # relative to the centroids, all together, as the service has it


def convergence_step(run: Run, engine: CompareEngine) -> ComparisonStep:
    """Return the first step of an engine after which its centroids no longer change by more than rounding."""
    before, *others = run.steps_of(engine)
    settled = before
    for step in others:
        if len(step.centroids) != len(before.centroids) or has_moved(step):
            settled = step
        before = step
    return settled


def has_converged(run: Run, engine: CompareEngine) -> bool:
    """Return whether an engine stopped because nothing moved, and not because of max_iter or tol."""
    (result,) = (result for result in run.result.engines if result.engine == engine)
    return result.converged and (run.start.tol == 0 or not has_moved(run.steps_of(engine)[-1]))


def has_moved(step: ComparisonStep) -> bool:
    """Return whether a step has moved centroids by more than rounding."""
    return step.movement is not None and _exceeds(step.movement, step.centroids)


def differ_beyond_rounding(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Return whether centroids, both (m, d), differ by more than rounding."""
    return _exceeds(after - before, after)


def distance_text(run: Run, distance: float) -> str:
    """Return a distance between the centroids of two engines as the end of a sentence.

    Means of n points that are summed in another order differ by up to some sqrt(n) roundings (Higham, 2002).
    """
    if distance == 0:
        return "equal"
    if not _exceeds(np.array([distance]) / len(run.start.points) ** 0.5, run.result.engines[0].centroids):
        return "equal but for rounding"
    return f"at most {number_text(distance)} apart"


def _exceeds(differences: NDArray[np.float64], centroids: NDArray[np.float64]) -> bool:
    if not differences.any():
        return False
    # Or the squares of huge numbers overflow, and those of tiny ones vanish.
    scale = max(np.abs(centroids).max(), np.abs(differences).max())
    moved, most = np.linalg.norm(differences / scale), np.linalg.norm(centroids / scale)
    return bool(moved > _ROUNDING * most)
