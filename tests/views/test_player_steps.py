"""The steps of the player, and when a run is too large for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal_presentation.drawing import PanelStateEncoder, scale_around
from shoal_presentation.report.player_steps import player_steps
from shoal_presentation.views import Run, plot_of
from tests.views.builders import FAR_AWAY, FEW, Compare


def test_regions_of_unmoved_centroids_are_computed_once(six: Run) -> None:
    plot = plot_of(six)
    encoder = PanelStateEncoder(plot, scale_around(*plot.bounds))

    # A start and its assignment; then an update, what follows it, and the other engine's fit.
    start, assigned, *moved = [
        encoder.encode(plot.states[step.number], has_trails=False)["regions"] for step in six.steps
    ]

    assert start is assigned
    assert all(regions is moved[0] for regions in moved)
    assert moved[0] != start


def test_only_steps_of_a_fit_carry_trails(six: Run) -> None:
    plot = plot_of(six)

    steps = player_steps(six, plot, scale_around(*plot.bounds))

    assert [step["trails"] is None for step in steps[:6]] == [True] * 5 + [False]


@pytest.mark.parametrize(("columns", "plays"), [(2, False), (3, True)], ids=["regions", "no regions"])
def test_a_run_has_no_player_steps_when_its_regions_would_make_the_page_too_large(
    compare: Compare, columns: int, *, plays: bool
) -> None:
    points = np.random.default_rng(0).normal(size=(60, columns))
    run = compare(points, 60, init=points, engines=("scipy",))
    many = replace(run, steps=tuple(replace(run.steps[0], number=number) for number in range(1, 801)))
    plot = plot_of(many)

    steps = player_steps(many, plot, scale_around(*plot.bounds))

    assert bool(steps) == plays


def test_plot_bounds_include_dropped_centroids(compare: Compare) -> None:
    plot = plot_of(compare(FEW, 3, init=FAR_AWAY, engines=("scipy",)))

    _, high = plot.bounds
    assert high.tolist() == [900, 900]
