"""What happens to clusters: the events that a model tells, and the ids that clusters keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.events import Event, tell
from shoal_server.clustering.model import new_model, reconfigure
from shoal_server.clustering.state import Model
from tests.clustering.builders import half_life, snapshot
from tests.clustering.streaming import applied, cut
from tests.clustering.test_refined import CONFIG, blobs

RARE = np.array([60.0, -60.0])  # the middle of the rare cluster


def ids(model: Model) -> list[int]:
    return [int(each) for each in snapshot(model).ids]


def nearest_id(model: Model, point: Any) -> int:
    """Return the id of the cluster whose centroid is nearest to a point."""
    squares = ((snapshot(model).centroids - point) ** 2).sum(axis=1)
    return ids(model)[int(squares.argmin())]


def each_version(model: Model, points: NDArray[Any], size: int) -> list[Model]:
    """Return the models after batches of so many points, one by one."""
    models = []
    for batch in cut(points, [size]):
        model, _ = applied(model, [batch], 1)
        models.append(model)
    return models


def test_the_first_centroids_are_born_with_the_version_that_has_them() -> None:
    config = replace(CONFIG, update_rule="incremental", summary_size=0)
    warming, _ = applied(new_model(config), cut(blobs(20), [10]), 1)
    started, _ = applied(warming, cut(blobs(20), [10]), 1)

    assert warming.events == ()
    assert started.events == (Event("born", range(8), 8, number=1, version=1),)
    assert ids(started) == list(range(8))


def test_given_centroids_are_born_at_once() -> None:
    model = new_model(ModelConfig(3, init=np.zeros((3, 2))))

    assert model.events == (Event("born", range(3), 3, number=1, version=0),)
    assert ids(model) == [0, 1, 2]


def test_batches_of_the_incremental_rule_make_no_events() -> None:
    model, _ = applied(new_model(replace(CONFIG, update_rule="incremental")), cut(blobs(3_000), [50]), 4)

    assert [event.kind for event in model.events] == ["born"]
    assert ids(model) == list(range(8))
    assert snapshot(model).estimated_inertia_per_point is None


def test_events_are_numbered_through_and_have_the_version_that_they_came_with() -> None:
    model, results = applied(new_model(CONFIG), cut(blobs(5_000, ordered=True), [50]), 4)

    refinements = [each.version + 1 for each in results if each.refined]

    assert [event.number for event in model.events] == list(range(1, len(model.events) + 1))
    assert [event.version for event in model.events if event.kind == "refined"] == refinements
    assert {event.version for event in model.events[1:]} <= set(refinements)


def test_ids_begin_and_end_with_their_events() -> None:
    known: set[int] = set()
    kinds: set[str] = set()
    told = 0
    for model in each_version(new_model(CONFIG), blobs(20_000, ordered=True), 100):
        for event in model.events[told:]:
            kinds.add(event.kind)
            if event.kind in {"born", "split"}:
                assert not known & set(event.clusters)
                known |= set(event.clusters)
        for event in model.events[told:]:
            assert event.other is None or event.other in known
            if event.kind in {"merged", "reseeded", "retired"}:
                known -= set(event.clusters)
        told = len(model.events)
        if model.snapshot:
            assert sorted(ids(model)) == sorted(known)
    assert kinds >= {"born", "split", "refined", "merged"}


def test_a_refinement_tells_the_inertia_before_and_after_it() -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(5_000), [50]), 4)

    refined = [event for event in model.events if event.kind == "refined"]

    assert all(event.before and event.after and event.after <= event.before * (1 + 1e-6) for event in refined)
    assert refined[0].before is not None
    assert refined[0].after is not None
    assert refined[0].after < refined[0].before
    assert snapshot(model).estimated_inertia_per_point == refined[-1].after
    assert model.state.learning is not None
    assert model.state.learning.schedule.expected == refined[-1].after


def test_a_model_that_is_committed_tells_only_what_happens_then() -> None:
    batches = cut(blobs(5_000, ordered=True), [50])
    whole, _ = applied(new_model(CONFIG), batches, 4)
    half, _ = applied(new_model(CONFIG), batches[:40], 4)

    rest, _ = applied(half.committed(), batches[40:], 4)

    assert half.events + rest.events == whole.events
    assert half.events
    assert rest.events


def test_a_change_of_the_configuration_tells_which_fields_differ() -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(100), [100]), 1)
    model = model.committed()

    same = reconfigure(model, replace(CONFIG, half_life=None))
    other = reconfigure(model, replace(CONFIG, half_life=half_life(3.0), engine="scipy"), "idle_ttl")

    assert same.events == ()
    assert [(event.kind, event.fields) for event in other.events] == [
        ("reconfigured", ("engine", "half_life", "idle_ttl"))
    ]
    assert other.events[0].number == model.state.events_told + 1
    assert other.events[0].version == model.version


def test_an_event_of_any_kind_can_be_told() -> None:
    model, _ = applied(new_model(CONFIG), cut(blobs(100), [100]), 1)
    told, version = model.state.events_told, model.version

    model = tell(model, [Event("drift", before=1.0, after=3.0)])

    assert model.events[-1] == Event("drift", before=1.0, after=3.0, number=told + 1, version=version)


def test_ids_and_places_follow_blobs_that_drift() -> None:
    random = np.random.default_rng(0)
    angles = np.arange(8) * np.pi / 4
    model = new_model(replace(CONFIG, half_life=half_life(5.0)))
    clusters: list[tuple[int, ...]] = []
    places: list[list[int]] = []
    for step in range(200):
        # Each comes to where three others were.
        middles = 20 * np.stack([np.cos(angles + 0.01 * step), np.sin(angles + 0.01 * step)], axis=1)
        rows = middles[random.integers(0, 8, 200)] + random.normal(size=(200, 2))
        model, _ = applied(model, cut(rows.astype(np.float32), [200]), 1)
        clusters.append(tuple(nearest_id(model, middle) for middle in middles))
        places.append(ids(model))

    refinements = sum(event.kind == "refined" for event in model.events)

    assert len(set(clusters[20:])) == 1
    assert places[20] == places[-1]
    assert len(set(clusters[-1])) == 8
    assert refinements > 20


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("forgets", [False, True])
def test_a_cluster_of_a_thousandth_of_the_points_keeps_its_id_in_every_version(seed: int, *, forgets: bool) -> None:
    random = np.random.default_rng(seed)
    points = blobs(60_000, seed=seed)
    rare = random.random(len(points)) < 1e-3
    points[rare] = RARE + random.normal(size=(int(rare.sum()), 2))
    config = replace(CONFIG, n_clusters=9, summary_size=2_000, half_life=half_life(40.0) if forgets else None)

    models = each_version(new_model(config), points, 500)
    found = [
        nearest_id(model, RARE)
        for model in models
        if np.sqrt(((snapshot(model).centroids - RARE) ** 2).sum(axis=1).min()) < 5
    ]

    assert len(found) >= len(models) - 10
    assert len(set(found)) == 1


def test_a_starving_centroid_is_moved_and_a_small_cluster_stays() -> None:
    # Two middles share a centroid, and one centroid is where no point is; the last of the clusters is small.
    random = np.random.default_rng(0)
    middles = np.array([[0, 0], [30, 0], [0, 30], [60, 60]])
    share = random.integers(0, 3, 6_000)
    share[50::1000] = 3
    points = (middles[share] + random.normal(size=(6_000, 2))).astype(np.float32)
    init = np.array([[15, 0], [-500, -500], [0, 30], [60, 60]], np.float64)
    config = ModelConfig(4, init=init, random_state=0, update_rule="refined", summary_size=400)

    model, _ = applied(new_model(config), cut(points, [100]), 1)

    told = [(event.kind, tuple(event.clusters), event.other) for event in model.events if event.kind != "refined"]

    assert told == [("born", (0, 1, 2, 3), None), ("split", (4,), 0), ("reseeded", (1,), 4)]
    assert ids(model) == [0, 4, 2, 3]
    assert nearest_id(model, middles[3]) == 3
    assert {nearest_id(model, middles[0]), nearest_id(model, middles[1])} == {0, 4}
