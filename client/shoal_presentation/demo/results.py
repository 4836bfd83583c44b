"""The results of the demo, as plain values; pictures and report are made from them alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shoal_presentation.demo.image import Photograph

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Update:
    """The result of one batch."""

    version: int
    rows: int
    inertia: float


@dataclass(frozen=True)
class Pass:
    """One engine's pass over all pixels."""

    updates: tuple[Update, ...]
    seconds: float
    inertia: float  # of the whole picture, with the centroids as they were at the end of the pass


@dataclass(frozen=True)
class WatchedVersion:
    """A version that a watcher was sent."""

    version: int
    centroids: Array  # (k, 3)


@dataclass(frozen=True)
class EngineRun:
    """The results of one engine."""

    engine: str
    passes: tuple[Pass, ...]
    watched: tuple[WatchedVersion, ...]
    centroids: Array  # (k, 3)
    labels: NDArray[np.int32]  # (height * width,)

    @property
    def updates(self) -> list[Update]:
        """The updates of all passes, in order."""
        return [update for one in self.passes for update in one.updates]

    @property
    def inertia(self) -> float:
        """The inertia of the whole picture at the end."""
        return self.passes[-1].inertia

    @property
    def seconds(self) -> float:
        """Seconds of streaming, over all passes."""
        return sum(one.seconds for one in self.passes)

    @property
    def rows(self) -> int:
        """The number of points streamed."""
        return sum(update.rows for update in self.updates)

    @property
    def rows_per_second(self) -> float:
        """The rate of streaming, while the other engines streamed too."""
        return self.rows / self.seconds

    @property
    def version(self) -> int:
        """The last version."""
        return self.updates[-1].version


@dataclass(frozen=True)
class OfflineRun:
    """The fit to all pixels at once."""

    centroids: Array  # (k, 3)
    labels: NDArray[np.int32]
    inertia: float
    seconds: float
    n_iter: int


@dataclass(frozen=True)
class DemoResults:
    """All data of the report."""

    photograph: Photograph
    runs: tuple[EngineRun, ...]
    offline: OfflineRun
    seconds: float  # from the start of the server to the end of the last fit
    half_life: float  # batches


def distance_travelled(watched: tuple[WatchedVersion, ...]) -> tuple[list[int], list[float]]:
    """Return the versions, and the distance that the centroids have travelled from the first version to each.

    It is the sum, over versions, of a centroid's mean distance from its previous place, in levels of colour (0 to 255).
    """
    steps = [np.linalg.norm(new.centroids - old.centroids, axis=1).mean() for old, new in pairwise(watched)]
    return [frame.version for frame in watched], [0.0, *np.cumsum(steps).tolist()][: len(watched)]


def disagreement(runs: Sequence[EngineRun]) -> float:
    """Return the largest difference between two engines in any coordinate of a centroid, in levels of colour."""
    return float(np.ptp([run.centroids for run in runs], axis=0).max())


def differing_labels(runs: Sequence[EngineRun]) -> int:
    """Return the number of pixels whose labels differ between engines."""
    labels = np.stack([run.labels for run in runs])
    return int(np.count_nonzero((labels != labels[0]).any(axis=0)))
