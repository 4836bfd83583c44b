"""From which step on the centroids of an engine stay where they are."""

from __future__ import annotations

import numpy as np

from shoal._comparison_types import CompareEngine, ComparisonStep
from shoal.views.run import Run

_ROUNDING = 4 * np.finfo(np.float64).eps  # relative to the centroids, all together, as the service has it


def settling_step(run: Run, engine: CompareEngine) -> ComparisonStep:
    """Return the first step of an engine after which its centroids no longer change, but by rounding."""
    before, *others = run.steps_of(engine)
    settled = before
    for step in others:
        if len(step.centroids) != len(before.centroids) or has_moved(step):
            settled = step
        before = step
    return settled


def has_moved(step: ComparisonStep) -> bool:
    """Tell whether a step has moved centroids by more than rounding."""
    if step.movement is None or not step.movement.any():
        return False
    scale = max(np.abs(step.centroids).max(), step.movement.max())  # or the squares of huge numbers overflow
    moved, most = np.linalg.norm(step.movement / scale), np.linalg.norm(step.centroids / scale)
    return bool(moved > _ROUNDING * most)
