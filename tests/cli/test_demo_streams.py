"""The two streams of the demo, with a real server."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from rich.console import Console
from sklearn.cluster import MiniBatchKMeans

import shoal
from shoal_presentation.demo.display import Display, display_on
from shoal_presentation.demo.image import Photograph, load_photograph
from shoal_presentation.demo.results import OnePass
from shoal_presentation.demo.streams import N_CLUSTERS, stream_to_partial_fit, stream_to_session, watched_session


@pytest.fixture(scope="module")
def photograph() -> Photograph:
    return load_photograph(step=16)


@pytest.fixture
def display() -> Iterator[Display]:
    display = display_on(Console(file=io.StringIO()), ())
    display.begin("", 0)
    yield display
    display.end()


def rows(one: OnePass) -> list[int]:
    return [version.rows for version in one.versions]


def test_the_pass_of_a_session_has_the_versions_that_its_watcher_got(
    client: shoal.Client, photograph: Photograph, display: Display
) -> None:
    with watched_session(client) as watched:
        one = stream_to_session(watched, photograph, display)
        end = watched.session.centroids()

    assert end.points_accepted == len(photograph.pixels)
    assert one.last_version == end.version == photograph.n_batches + one.refinements
    assert np.array_equal(one.versions[-1].centroids, end.centroids)
    assert np.array_equal(one.fit.centroids, end.centroids)
    assert set(rows(one)) <= {192, 384, 576, 768, 960, 1080}
    assert rows(one) == sorted(rows(one))
    assert any(version.refined for version in one.versions)


def test_a_watched_session_ends_with_its_context(client: shoal.Client) -> None:
    with watched_session(client) as watched:
        name = watched.session.name
        assert name in [session.name for session in client.list_sessions()]

    assert watched.watch.result() is None
    assert watched.updates.get() is None
    assert name not in [session.name for session in client.list_sessions()]


def test_the_pass_of_partial_fit_is_what_scikit_learn_does_by_default(photograph: Photograph, display: Display) -> None:
    model = MiniBatchKMeans(N_CLUSTERS, random_state=0)
    for batch in photograph.batches():
        model.partial_fit(batch)

    one = stream_to_partial_fit(photograph, display)

    assert np.allclose(one.fit.centroids, model.cluster_centers_)
    assert [version.version for version in one.versions] == [1, 2, 3, 4, 5, 6]
    assert rows(one) == [192, 384, 576, 768, 960, 1080]
    assert not np.array_equal(one.versions[0].centroids, one.versions[1].centroids)
