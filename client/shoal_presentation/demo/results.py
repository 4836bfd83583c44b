"""The results of the demo, as plain values; pictures and report are made from them alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal_presentation.demo.image import Photograph

Array = NDArray[np.float64]

PARTIAL_FIT, SHOAL, OFFLINE = "partial_fit", "Shoal", "offline KMeans"


@dataclass(frozen=True)
class Fit:
    """How one of the three ended: what paints the whole photograph."""

    name: str
    centroids: Array  # (k, 3)
    labels: NDArray[np.int32]  # (height * width,)
    inertia: float  # of the whole photograph
    seconds: float


@dataclass(frozen=True)
class Version:
    """The centroids of one moment of a stream."""

    version: int
    rows: int  # pixels that had come
    centroids: Array  # (k, 3)
    refined: bool = False


@dataclass(frozen=True)
class OnePass:
    """One pass over the pixels in scan order."""

    fit: Fit
    versions: tuple[Version, ...]  # those that were seen: a watcher may miss some, but not the last
    refinements: int

    @property
    def last_version(self) -> int:
        """How many versions the pass made."""
        return self.versions[-1].version


@dataclass(frozen=True)
class Moment:
    """How good centroids were at one moment of the stream, for all pixels that had come by then."""

    rows: int
    inertia_per_point: float
    refined: bool = False


@dataclass(frozen=True)
class DemoResults:
    """All data of the report."""

    photograph: Photograph
    partial_fit: OnePass
    shoal: OnePass
    offline: Fit
    n_iter: int  # of the offline fit
    curves: Mapping[str, tuple[Moment, ...]]  # by name of the fit; those of offline fits are few
    seconds: float  # from the start of the server to the last measurement

    @property
    def fits(self) -> tuple[Fit, Fit, Fit]:
        """The three fits, in the order in which they are shown."""
        return self.partial_fit.fit, self.shoal.fit, self.offline

    def ratio(self, fit: Fit) -> float:
        """Return how many times the offline fit's inertia a fit has."""
        return fit.inertia / self.offline.inertia

    def ratios(self, name: str) -> tuple[float, ...]:
        """Return how many times the inertia of an offline fit a fit had, at each moment that has one, in order."""
        newest = {moment.rows: moment.inertia_per_point for moment in self.curves[name]}
        return tuple(
            newest[moment.rows] / moment.inertia_per_point
            for moment in self.curves[OFFLINE]
            if moment.rows in newest  # unless the watcher missed it
        )
