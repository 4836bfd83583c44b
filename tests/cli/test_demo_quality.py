"""The measurements of the demo, against their definition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_presentation.demo.image import Photograph, load_photograph
from shoal_presentation.demo.quality import fit_of, fit_offline, measure, seen_pixels
from shoal_presentation.demo.results import OFFLINE, SHOAL, Array, Fit
from tests.cli.demo_builders import N_CLUSTERS, centroids, one_pass


@pytest.fixture(scope="module")
def photograph() -> Photograph:
    return load_photograph(step=16)


@pytest.fixture(scope="module")
def offline(photograph: Photograph) -> Fit:
    return fit_offline(photograph, N_CLUSTERS, 0)[0]


def squared_distances(pixels: NDArray[np.uint8], centres: Array) -> Array:
    distances: Array = ((pixels[:, None, :].astype(np.float64) - centres[None]) ** 2).sum(axis=2)
    return distances


def test_pixels_seen_are_those_of_the_batches_so_far(photograph: Photograph) -> None:
    prefixes = list(seen_pixels(photograph))

    assert [seen.rows for seen in prefixes] == [192, 384, 576, 768, 960, 1080]
    for seen in prefixes:
        repeated = np.repeat(seen.colours, seen.counts, axis=0)
        expected = photograph.pixels[: seen.rows]
        assert np.array_equal(repeated[np.lexsort(repeated.T)], expected[np.lexsort(expected.T)])


def test_a_version_is_measured_for_the_pixels_that_it_had_seen(photograph: Photograph, offline: Fit) -> None:
    shoal = one_pass(SHOAL, centroids(), photograph)

    moments = measure(photograph, [shoal], offline, 0)[SHOAL]

    assert len(moments) == photograph.n_batches
    for version, moment in zip(shoal.versions, moments, strict=True):
        distances = squared_distances(photograph.pixels[: version.rows], version.centroids).min(axis=1)
        assert (moment.rows, moment.refined) == (version.rows, version.refined)
        assert moment.inertia_per_point == pytest.approx(distances.mean())


def test_a_version_that_the_watcher_missed_has_no_moment(photograph: Photograph, offline: Fit) -> None:
    shoal = one_pass(SHOAL, centroids(), photograph, missed=2)

    moments = measure(photograph, [shoal], offline, 0)[SHOAL]

    assert [moment.rows for moment in moments] == [576, 768, 960, 1080]


def test_each_eighth_of_the_batches_has_an_offline_fit_and_the_last_is_that_of_the_whole_photograph() -> None:
    photograph = load_photograph(step=8)
    offline, _ = fit_offline(photograph, N_CLUSTERS, 0)

    moments = measure(photograph, [], offline, 0)[OFFLINE]

    assert photograph.n_batches == 23
    assert [moment.rows for moment in moments] == [*(192 * batch for batch in (3, 6, 9, 12, 14, 17, 20)), 4320]
    assert moments[-1].inertia_per_point == offline.inertia / 4320


def test_an_offline_fit_of_the_pixels_seen_is_no_worse_than_one_step_from_it(
    photograph: Photograph, offline: Fit
) -> None:
    first = measure(photograph, [], offline, 0)[OFFLINE][0]
    pixels = photograph.pixels[: first.rows].astype(np.float64)
    spread = ((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1).mean()

    assert 0 < first.inertia_per_point < spread / 2


def test_few_colours_get_no_offline_fit() -> None:
    black = Photograph(np.zeros((4, 8, 3), np.uint8), batch_rows=4)
    fit = fit_of(OFFLINE, np.zeros((2, 3)), black, seconds=1)

    assert [moment.rows for moment in measure(black, [], fit, 0)[OFFLINE]] == [32]


def test_a_fit_has_the_nearest_centroid_of_every_pixel(photograph: Photograph) -> None:
    distances = squared_distances(photograph.pixels, centroids())

    fit = fit_of(SHOAL, centroids(), photograph, seconds=1)

    assert np.array_equal(fit.labels, distances.argmin(axis=1))
    assert fit.inertia == pytest.approx(distances.min(axis=1).sum())
