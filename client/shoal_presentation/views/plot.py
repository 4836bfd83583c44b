"""The data of a plot of a run, without drawing: positions in two dimensions, colours, trails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal import CompareEngine, ComparisonStep
from shoal_presentation.views.projection import Axis, Projection, projection_of
from shoal_presentation.views.run import Run

MAX_POINTS = 2000


@dataclass(frozen=True, eq=False)
class Trail:
    """Where a centroid has been, up to a step."""

    colour: int
    places: NDArray[np.float64]  # (t, 2), the oldest first; the last one is where it is


@dataclass(frozen=True, eq=False)
class PanelState:
    """What an engine's panel shows at a step."""

    engine: CompareEngine
    centroids: NDArray[np.float64]  # (m, 2)
    colours: NDArray[np.int32]  # (m,): of the centroids, from 0
    point_colours: NDArray[np.int32] | None  # (s,): of the points shown; None before any were assigned
    whole_trails: Mapping[int, NDArray[np.float64]]  # by colour, (t, 2) each: of all steps, the same for all states
    reached: NDArray[np.int32]  # (m,): how much of its centroid's trail there is so far

    @property
    def trails(self) -> tuple[Trail, ...]:
        """The trail of each remaining centroid, (m,)."""
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
    states: Mapping[int, PanelState]  # by a step's number

    @property
    def preserves_distances(self) -> bool:
        """Whether the axes are the columns themselves, so that distances in the plot are real distances."""
        return all(axis.share is None for axis in self.axes)

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The minimum and maximum of both coordinates, (2,) each, over all points, centroids and trails."""
        last = {state.engine: state for state in self.states.values()}  # its trails are the whole ones
        trails = [trail.places for state in last.values() for trail in state.trails]
        # A centroid that was dropped has none at the end, but was in a state.
        places = np.concatenate([self.points, *trails, *(state.centroids for state in self.states.values())])
        return places.min(axis=0), places.max(axis=0)


def plot_of(run: Run) -> Plot:
    """Return the plot of a run; with more than MAX_POINTS points, of evenly spaced rows."""
    n = len(run.start.points)
    rows = np.linspace(0, n - 1, min(n, MAX_POINTS)).round().astype(np.intp)
    projection = projection_of(run)
    states: dict[int, PanelState] = {}
    for engine in run.engines:
        states |= _panel_states(run, engine, rows, projection)
    return Plot(projection.axes, projection.project(run.start.points[rows]), rows, states)


def _panel_states(
    run: Run, engine: CompareEngine, rows: NDArray[np.intp], projection: Projection
) -> dict[int, PanelState]:
    steps, colours = run.steps_of(engine), _colours_of(run, engine)  # (k,)
    trails, lengths = _trails(run, steps, projection)
    whole = {int(colours[cluster]): trail for cluster, trail in trails.items()}
    point_colours = None
    states = {}
    for step, reached in zip(steps, lengths, strict=True):
        own = colours[step.clusters]
        if step.labels is not None:
            point_colours = own[step.labels[rows]]
        states[step.number] = PanelState(engine, projection.project(step.centroids), own, point_colours, whole, reached)
    return states


def _trails(
    run: Run, steps: Sequence[ComparisonStep], projection: Projection
) -> tuple[dict[int, NDArray[np.float64]], list[NDArray[np.int32]]]:
    """Return the whole trail of each cluster, (t, 2), and its length for the remaining centroids at each step, (m,)."""
    trails: dict[int, list[list[float]]] = {}
    lengths = []
    for step in steps:
        for centroids in _positions(step, run.start.initial_centroids):
            for cluster, position in zip(step.clusters.tolist(), projection.project(centroids).tolist(), strict=True):
                trail = trails.setdefault(cluster, [])
                if not trail or trail[-1] != position:
                    trail.append(position)
        lengths.append(np.array([len(trails[cluster]) for cluster in step.clusters.tolist()], np.int32))
    return {cluster: np.array(trail) for cluster, trail in trails.items()}, lengths


def _positions(step: ComparisonStep, initial: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the positions of the centroids during a step, (m, d) each; the last are those after the step."""
    if step.action != "fit":
        return [step.centroids]
    inside = [] if step.path is None else list(step.path[:-1])
    return [initial[step.clusters], *inside, step.centroids]


def _colours_of(run: Run, engine: CompareEngine) -> NDArray[np.int32]:
    """Return the colour of each initial centroid's cluster, (k,): each of 0 … k - 1 once.

    The first engine's clusters have the numbers of their initial centroids. Another's have those of the clusters that
    they were matched to at the end, and what was matched to none has a colour that is left, its own number if it can.
    """
    k = len(run.start.initial_centroids)
    if engine == run.engines[0]:
        return np.arange(k, dtype=np.int32)
    matched = _matched(run, engine)
    left = sorted(set(range(k)) - set(matched.values()))
    others = [cluster for cluster in range(k) if cluster not in matched]
    for cluster in sorted(others, key=lambda cluster: cluster not in left):
        matched[cluster] = cluster if cluster in left else left[0]
        left.remove(matched[cluster])
    return np.array([matched[cluster] for cluster in range(k)], np.int32)


def _matched(run: Run, engine: CompareEngine) -> dict[int, int]:
    """Return the cluster of the first engine for each of this engine's clusters, by initial centroids."""
    (result,) = (result for result in run.result.engines if result.engine == engine)
    own, first = run.steps_of(engine)[-1].clusters, run.steps_of(run.engines[0])[-1].clusters
    return {int(own[row]): int(first[other]) for row, other in enumerate(result.matching) if other >= 0}
