"""Results of a demo that never ran, for tests of its report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal_presentation.demo.image import load_photograph
from shoal_presentation.demo.results import Array, DemoResults, EngineRun, Pass, Update, WatchedVersion
from shoal_presentation.demo.run import fit_offline

N_CLUSTERS = 4
UPDATES = 3  # of a pass


def demo_results(engines: dict[str, Array], watched: int = 2 * UPDATES) -> DemoResults:
    """Return results in which each engine ends with the centroids given."""
    picture = load_photograph(step=8)
    runs = tuple(_run(name, centroids, picture.pixels, watched) for name, centroids in engines.items())
    return DemoResults(picture, runs, fit_offline(picture, N_CLUSTERS, 0), seconds=12.3, half_life=1)


def centroids() -> Array:
    return np.linspace(30, 220, 3 * N_CLUSTERS).reshape(N_CLUSTERS, 3)


def _run(engine: str, ends: Array, pixels: NDArray[np.uint8], watched: int) -> EngineRun:
    distances = ((pixels[:, None, :] - ends[None]) ** 2).sum(axis=2)
    inertia = float(distances.min(axis=1).sum())
    return EngineRun(
        engine=engine,
        passes=tuple(Pass(_updates(first), 0.5, inertia * worse) for first, worse in ((1, 2), (UPDATES + 1, 1))),
        watched=tuple(WatchedVersion(version, ends + 9 / version) for version in range(1, watched + 1)),
        centroids=ends,
        labels=distances.argmin(axis=1).astype(np.int32),
    )


def _updates(first: int) -> tuple[Update, ...]:
    return tuple(Update(version, 100, 5e4 / version) for version in range(first, first + UPDATES))
