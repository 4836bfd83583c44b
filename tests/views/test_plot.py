"""The data of a plot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from shoal_presentation.views import MAX_POINTS, Run, plot_of
from tests.effort import examples
from tests.views.builders import FAR_AWAY, FEW, Compare, blobs, compare_arguments


def test_two_columns_are_the_axes_themselves(six: Run) -> None:
    plot = plot_of(six)

    assert plot.points.tolist() == six.start.points.tolist()
    assert plot.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert [(axis.name, axis.share) for axis in plot.axes] == [("column 1", None), ("column 2", None)]
    assert [plot.states[step.number].centroids.tolist() for step in six.steps] == [
        step.centroids.tolist() for step in six.steps
    ]


def test_a_single_column_lies_on_a_line(compare: Compare) -> None:
    plot = plot_of(compare([[1.0], [2.0], [9.0]], 2, init=[[1.0], [9.0]], engines=("scipy",)))

    assert plot.points.tolist() == [[1, 0], [2, 0], [9, 0]]
    assert plot.states[1].centroids.tolist() == [[1, 0], [9, 0]]
    assert plot.axes[1].name == ""


def test_points_have_no_colour_before_an_assignment_and_keep_it_through_an_update(six: Run) -> None:
    states = plot_of(six).states

    assert states[1].point_colours is None
    assert [_list(states[number].point_colours) for number in (2, 3, 4, 5, 6)] == [[1, 1, 1, 0, 0, 0]] * 5


def test_a_trail_has_the_places_of_the_centroid_up_to_the_step(six: Run) -> None:
    states = plot_of(six).states

    assert [trail.places.tolist() for trail in states[2].trails] == [[[5.5, 3]], [[1, 2]]]
    assert [trail.places.tolist() for trail in states[5].trails] == [[[5.5, 3], [10, 2]], [[1, 2]]]
    assert [trail.colour for trail in states[5].trails] == [0, 1]


def test_the_trail_of_a_fit_has_every_iteration(compare: Compare) -> None:
    run = compare(blobs(3), 3, init="random", engines=("sklearn",))

    (step,) = run.steps
    assert step.path is not None
    trail = plot_of(run).states[1].trails[0].places
    assert trail[0].tolist() == run.start.initial_centroids[0].tolist()
    assert trail[1].tolist() == step.path[0][0].tolist()
    assert trail[-1].tolist() == step.centroids[0].tolist()


@pytest.mark.parametrize("d", [3, 7, 90])
def test_many_columns_are_projected_to_the_two_components_with_the_most_variance(compare: Compare, d: int) -> None:
    run = compare(blobs(0, d=d), 3, init="k-means++", engines=("scipy", "sklearn"))

    plot = plot_of(run)

    paths = [step.path.reshape(-1, d) for step in run.steps if step.path is not None]
    everything = np.concatenate(
        [run.start.points, run.start.initial_centroids, *(step.centroids for step in run.steps), *paths]
    )
    variances = np.linalg.svd(everything - everything.mean(axis=0), compute_uv=False) ** 2
    assert [axis.share for axis in plot.axes] == pytest.approx((variances / variances.sum())[:2].tolist())
    assert plot.axes[0].title == f"component 1 ({variances[0] / variances.sum():.0%} of the variance)"


def test_projection_never_increases_a_distance(compare: Compare) -> None:
    run = compare(blobs(0, d=5), 3, init="k-means++", engines=("scipy",))

    shown, whole = plot_of(run).points, run.start.points
    before = np.linalg.norm(whole[:, None] - whole[None], axis=2)
    after = np.linalg.norm(shown[:, None] - shown[None], axis=2)
    assert (after <= before + 1e-9).all()


def test_a_plot_of_many_points_shows_evenly_spaced_rows(compare: Compare) -> None:
    run = compare(blobs(0, n=5001), 3, init="k-means++", engines=("scipy",), max_iter=2)

    plot = plot_of(run)

    assert len(plot.points) == len(plot.rows) == MAX_POINTS == 2000
    assert (plot.rows[0], plot.rows[-1]) == (0, 5000)
    assert set(np.diff(plot.rows)) <= {2, 3}
    last = run.steps[-1]
    assert last.labels is not None
    assert _list(plot.states[last.number].point_colours) == last.labels[plot.rows].tolist()


def test_matched_clusters_have_one_colour_in_every_engine(compare: Compare) -> None:
    run = compare(FEW, 3, init=FAR_AWAY, engines=("scipy-kmeans2", "scipy", "sklearn"))

    states = plot_of(run).states
    last = {engine: states[run.steps_of(engine)[-1].number] for engine in run.engines}
    assert len(last["scipy"].centroids) == 2
    for result in run.result.engines[1:]:
        matched = result.matching >= 0
        expected = last["scipy-kmeans2"].colours[result.matching[matched]]
        assert last[result.engine].colours[matched].tolist() == expected.tolist()


@examples(150)
@given(arguments=compare_arguments())
def test_every_plot_has_finite_positions_and_one_colour_for_each_cluster(
    compare: Compare, arguments: dict[str, Any]
) -> None:
    run = compare(**arguments)

    plot = plot_of(run)

    for state in plot.states.values():
        assert len(set(state.colours.tolist())) == len(state.colours)
        assert set(state.colours.tolist()) <= set(range(arguments["n_clusters"]))
        assert np.isfinite(state.centroids).all()
        assert [trail.places[-1].tolist() for trail in state.trails] == state.centroids.tolist()
    low, high = plot.bounds
    assert (low <= plot.points).all()
    assert (plot.points <= high).all()


def _list(values: Any) -> Any:
    return None if values is None else values.tolist()
