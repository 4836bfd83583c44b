"""What a plot of a run needs, without drawing: places in two dimensions, colours, trails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal import CompareEngine, ComparisonStep
from shoal_presentation.views.colouring import colours_of
from shoal_presentation.views.projection import Axis, Projection, projection_of
from shoal_presentation.views.run import Run

MAX_POINTS = 2000


@dataclass(frozen=True, eq=False)
class Trail:
    """Where a centroid has been, up to a step."""

    colour: int
    places: NDArray[np.float64]  # (t, 2), the oldest first; the last one is where it is


@dataclass(frozen=True, eq=False)
class Frame:
    """What an engine's panel shows at a step."""

    engine: CompareEngine
    centroids: NDArray[np.float64]  # (m, 2)
    colours: NDArray[np.int32]  # (m,): of the centroids, from 0
    point_colours: NDArray[np.int32] | None  # (s,): of the points shown; None before any were assigned
    whole_trails: Mapping[int, NDArray[np.float64]]  # by colour, (t, 2) each: of all steps, the same for all frames
    reached: NDArray[np.int32]  # (m,): how much of its centroid's trail there is so far

    @property
    def trails(self) -> tuple[Trail, ...]:
        """Of each centroid that is left, (m,)."""
        colours, reached = self.colours.tolist(), self.reached.tolist()
        return tuple(
            Trail(colour, self.whole_trails[colour][:so_far]) for colour, so_far in zip(colours, reached, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Plot:
    """A run in two dimensions, the same for all its engines and steps."""

    axes: tuple[Axis, Axis]
    points: NDArray[np.float64]  # (s, 2), those shown
    rows: NDArray[np.intp]  # (s,): which of the run's points they are
    frames: Mapping[int, Frame]  # by a step's number

    @property
    def shows_nearness(self) -> bool:
        """Whether what is near in the plot is near: its axes are the columns themselves."""
        return all(axis.share is None for axis in self.axes)

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The least and the greatest of both coordinates, (2,) each, of all points, centroids and trails."""
        last = {frame.engine: frame for frame in self.frames.values()}  # its trails are the whole ones
        trails = [trail.places for frame in last.values() for trail in frame.trails]
        # A centroid that was dropped has none at the end, but was in a frame.
        places = np.concatenate([self.points, *trails, *(frame.centroids for frame in self.frames.values())])
        return places.min(axis=0), places.max(axis=0)


def plot_of(run: Run) -> Plot:
    """Return what a plot needs; of more than MAX_POINTS points evenly spaced rows are shown."""
    n = len(run.start.points)
    rows = np.linspace(0, n - 1, min(n, MAX_POINTS)).round().astype(np.intp)
    projection = projection_of(run)
    frames: dict[int, Frame] = {}
    for engine in run.engines:
        frames |= _frames(run, engine, rows, projection)
    return Plot(projection.axes, projection.place(run.start.points[rows]), rows, frames)


def _frames(run: Run, engine: CompareEngine, rows: NDArray[np.intp], projection: Projection) -> dict[int, Frame]:
    steps, colours = run.steps_of(engine), colours_of(run, engine)  # (k,)
    trails, lengths = _trails(run, steps, projection)
    whole = {int(colours[cluster]): trail for cluster, trail in trails.items()}
    point_colours = None
    frames = {}
    for step, reached in zip(steps, lengths, strict=True):
        own = colours[step.clusters]
        if step.labels is not None:
            point_colours = own[step.labels[rows]]
        frames[step.number] = Frame(engine, projection.place(step.centroids), own, point_colours, whole, reached)
    return frames


def _trails(
    run: Run, steps: Sequence[ComparisonStep], projection: Projection
) -> tuple[dict[int, NDArray[np.float64]], list[NDArray[np.int32]]]:
    """Return the whole trail of each cluster, (t, 2), and how much there is at each step of those left, (m,)."""
    trails: dict[int, list[list[float]]] = {}
    lengths = []
    for step in steps:
        for centroids in _ways(step, run.start.initial_centroids):
            for cluster, place in zip(step.clusters.tolist(), projection.place(centroids).tolist(), strict=True):
                trail = trails.setdefault(cluster, [])
                if not trail or trail[-1] != place:
                    trail.append(place)
        lengths.append(np.array([len(trails[cluster]) for cluster in step.clusters.tolist()], np.int32))
    return {cluster: np.array(trail) for cluster, trail in trails.items()}, lengths


def _ways(step: ComparisonStep, initial: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return where a step has led the centroids, (m, d) each, the last where they are."""
    if step.action != "fit":
        return [step.centroids]
    inside = [] if step.path is None else list(step.path[:-1])
    return [initial[step.clusters], *inside, step.centroids]
