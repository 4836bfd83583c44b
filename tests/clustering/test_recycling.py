"""Arrays of old versions are reused, but never while someone holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import assign, new_model
from shoal_server.clustering.state import Batch, Model
from shoal_server.engines.contract import Engine, run_in_order
from shoal_server.engines.numba.arguments import Version
from tests.clustering.builders import on_bug, snapshot
from tests.effort import examples

K, D = 70, 130
CENTROIDS = np.random.default_rng(0).normal(size=(K, D))
VALID, INVALID, LARGE = "valid", "invalid", "large"
KEPT = ("snapshot", "a view", "weights", "movement", "frame", "its centroids", "layout", "nothing")


class Kept:
    """The arrays of a version that a reader holds, and their original values."""

    def __init__(self, model: Model, what: str) -> None:
        self.holder: Any = None
        self.array: np.ndarray[Any, Any] = np.zeros(1)
        if what == "snapshot":
            self.holder, self.array = model.snapshot, snapshot(model).centroids
        elif what == "a view":
            self.array = snapshot(model).centroids[1:, 7:]
        elif what in {"weights", "movement"}:
            self.array = getattr(snapshot(model), what)
        elif what == "its centroids":
            self.array = model.frame.centroids
        elif what == "frame":
            self.holder, self.array = model.frame, model.frame.centroids
        elif what == "layout":
            self.holder = next(iter(model.frame._prepared.values()))
            self.array = self.holder.tiles
        self.then = self.array.copy()


def _batch(kind: str, random: np.random.Generator) -> Batch:
    points = random.normal(size=(7_000 if kind == LARGE else int(random.integers(1, 9)), D)).astype(np.float32)
    if kind == INVALID:
        points[-1, 5] = np.nan
    return Batch(points)


@examples(25)
@given(
    dispatches=st.lists(
        st.tuples(st.lists(st.sampled_from([VALID, VALID, INVALID, LARGE]), max_size=4), st.sampled_from(KEPT)),
        max_size=12,
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_reused_arrays_change_no_version_that_a_reader_holds(
    engines: dict[EngineName, Engine], dispatches: list[tuple[list[str], str]], seed: int
) -> None:
    engine, random = engines["numba"], np.random.default_rng(seed)
    model, careful = _ready(engine), _ready(engine)
    kept: list[Kept] = []
    everything: list[Model] = []  # that this one's versions were: none is ever free

    for kinds, what in dispatches:
        batches = [_batch(kind, random) for kind in kinds]
        model, _ = apply_batches(model, batches, engine, run_in_order, lambda: False, on_bug)
        careful, _ = apply_batches(careful, batches, engine, run_in_order, lambda: False, on_bug)
        everything.append(careful)
        kept.append(Kept(model, what))
        np.testing.assert_array_equal(snapshot(model).centroids, snapshot(careful).centroids)
        np.testing.assert_array_equal(snapshot(model).weights, snapshot(careful).weights)
        points = CENTROIDS.astype(np.float32)
        found, expected = (assign(each, points, engine, run_in_order) for each in (model, careful))
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_array_equal(found.distances, expected.distances)

    for each in kept:
        np.testing.assert_array_equal(each.array, each.then)


@pytest.mark.parametrize("what", KEPT[:-1])
def test_a_reader_of_one_array_of_a_version_never_sees_it_change(engines: dict[EngineName, Engine], what: str) -> None:
    engine, random = engines["numba"], np.random.default_rng(0)
    model = _ready(engine)
    kept: list[Kept] = []

    for place in range(8):
        points = random.normal(size=(K, D)).astype(np.float32)
        model, _ = apply_batches(model, [Batch(points)], engine, run_in_order, lambda: False, on_bug)
        if place % 3 == 0:
            kept.append(Kept(model, what))

    for each in kept:
        np.testing.assert_array_equal(each.array, each.then)


@pytest.mark.parametrize(("rows", "k", "d"), [(1, K, D), (7_000, K, D), (1, 3, 2)])
def test_versions_without_readers_are_not_copied(
    engines: dict[EngineName, Engine], monkeypatch: pytest.MonkeyPatch, rows: int, k: int, d: int
) -> None:
    engine, random = engines["numba"], np.random.default_rng(0)
    model = _ready(engine, CENTROIDS[:k, :d])
    copied: list[int] = []  # not the versions themselves: they would be held
    copy = Version.copy

    def note(version: Version) -> Version:
        copied.append(version.layout.d)
        return copy(version)

    monkeypatch.setattr(Version, "copy", note)
    for _ in range(10):
        points = random.normal(size=(rows, d)).astype(np.float32)
        model, _ = apply_batches(model, [Batch(points)], engine, run_in_order, lambda: False, on_bug)

    assert model.version == 11
    assert len(copied) <= 1


def _ready(engine: Engine, centroids: np.ndarray[Any, Any] = CENTROIDS) -> Model:
    """Return a model past its first batch, with a memory of its own."""
    k, d = centroids.shape
    model = new_model(ModelConfig(k, init=centroids, dtype="float32"))
    first = Batch(np.random.default_rng(1).normal(size=(3, d)).astype(np.float32))
    model, _ = apply_batches(model, [first], engine, run_in_order, lambda: False, on_bug)
    return model
