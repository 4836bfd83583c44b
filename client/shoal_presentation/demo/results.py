"""What the demo measures. Plain values: the pictures and the report are made of nothing else."""

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
    """What the answer to one batch said."""

    version: int
    rows: int
    inertia: float


@dataclass(frozen=True)
class Pass:
    """One engine's way through all pixels."""

    updates: tuple[Update, ...]
    seconds: float
    inertia: float  # of the whole picture, with the centroids as they were at the end of the pass


@dataclass(frozen=True)
class WatchedVersion:
    """What a watcher was sent."""

    version: int
    centroids: Array  # (k, 3)


@dataclass(frozen=True)
class EngineRun:
    """All about one engine."""

    engine: str
    passes: tuple[Pass, ...]
    watched: tuple[WatchedVersion, ...]
    centroids: Array  # (k, 3)
    labels: NDArray[np.int32]  # (height * width,)

    @property
    def updates(self) -> list[Update]:
        """Of all passes, in order."""
        return [update for one in self.passes for update in one.updates]

    @property
    def inertia(self) -> float:
        """Of the whole picture at the end."""
        return self.passes[-1].inertia

    @property
    def seconds(self) -> float:
        """Of streaming, all passes together."""
        return sum(one.seconds for one in self.passes)

    @property
    def rows(self) -> int:
        """How many points were streamed."""
        return sum(update.rows for update in self.updates)

    @property
    def rows_per_second(self) -> float:
        """Of streaming, while the other engines were streaming too."""
        return self.rows / self.seconds

    @property
    def version(self) -> int:
        """The last one."""
        return self.updates[-1].version


@dataclass(frozen=True)
class OfflineRun:
    """The fit that had all pixels at once."""

    centroids: Array  # (k, 3)
    labels: NDArray[np.int32]
    inertia: float
    seconds: float
    n_iter: int


@dataclass(frozen=True)
class DemoResults:
    """Everything that the report is made of."""

    photograph: Photograph
    runs: tuple[EngineRun, ...]
    offline: OfflineRun
    seconds: float  # from the start of the server to the end of the last fit
    half_life: float  # batches


def distance_travelled(watched: tuple[WatchedVersion, ...]) -> tuple[list[int], list[float]]:
    """Return versions and how far the centroids have come since the first frame: the sum over the watched of the mean
    Euclidean distance of a centroid to where it was in the frame before, in levels of colour (0 to 255).
    """  # noqa: D205  (one sentence)
    steps = [np.linalg.norm(new.centroids - old.centroids, axis=1).mean() for old, new in pairwise(watched)]
    return [frame.version for frame in watched], [0.0, *np.cumsum(steps).tolist()][: len(watched)]


def disagreement(runs: Sequence[EngineRun]) -> float:
    """Return the largest difference between two engines in any coordinate of a centroid, in levels of colour."""
    return float(np.ptp([run.centroids for run in runs], axis=0).max())


def differing_labels(runs: Sequence[EngineRun]) -> int:
    """Return for how many pixels not all engines give the same label."""
    labels = np.stack([run.labels for run in runs])
    return int(np.count_nonzero((labels != labels[0]).any(axis=0)))
