"""The memory reserved for a session's model covers its use, but not several times over."""

from __future__ import annotations

import gc
import tracemalloc
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.budget import MIB, MemoryBudget
from shoal_server.clustering.config import EngineName, Metric, ModelConfig, UpdateRule
from shoal_server.clustering.model import apply, new_model, reconfigure
from shoal_server.clustering.state import Batch, Model, ModelState
from shoal_server.clustering.summary import max_summary_bytes
from shoal_server.engines.contract import Engine, PointArray, RunTasks, Task, run_in_order
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.numba.pruning_policy import best_axes, look_values, sample_rows
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.engines.sklearn import SklearnEngine
from shoal_server.sessions.replay_cache import ReplayCache
from shoal_server.sessions.session_memory import (
    SESSION_BYTES,
    SessionMemory,
    kept_bytes,
    model_bytes,
    paused_bytes,
    warmup_bytes,
    workspace_bytes,
)
from shoal_server.sessions.summary_memory import learning_bytes, swap_bytes
from tests.warm import warm_engine

SHAPES = [(1024, 128), (64, 4096), (20_000, 1), (1, 65_536), (300, 17)]
FEW = 50  # rows
OBJECTS = 16 * 1024


@pytest.fixture(scope="module")
def engines() -> dict[EngineName, Engine]:
    engines: dict[EngineName, Engine] = {"numba": NumbaEngine(), "scipy": ScipyEngine(), "sklearn": SklearnEngine()}
    for engine in engines.values():
        engine.warm_up()
    gc.collect()
    gc.freeze()  # the libraries' objects, which each count of the bytes would go through
    return engines


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["numba", "scipy", "sklearn"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_takes_no_more_than_is_reserved_for_it(
    engines: dict[EngineName, Engine], name: EngineName, shape: tuple[int, int], dtype: type
) -> None:
    points: PointArray = np.random.default_rng(0).normal(size=(FEW, shape[1])).astype(dtype)
    tracemalloc.start()
    try:
        before = traced()
        model = new_model(ModelConfig(shape[0], engine=name, init=np.random.default_rng(1).normal(size=shape)))
        for _ in range(4):
            model, _ = apply(model, Batch(points), engines[name], run_in_order)
        taken = traced() - before
    finally:
        tracemalloc.stop()

    assert taken <= kept_bytes(model)
    assert kept_bytes(model) <= 5 * taken + SESSION_BYTES


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("name", ["numba", "scipy", "sklearn"])
def test_computing_a_batch_takes_no_more_than_is_reserved_for_it(
    engines: dict[EngineName, Engine], name: EngineName, dtype: type, metric: Metric
) -> None:
    k, d, rows = 512, 64, 16_384  # so many that their sums are added up in as many chunks as there may be
    random = np.random.default_rng(0)
    points: PointArray = (100 * random.random(size=(rows, d)) + 1).astype(dtype)
    config = ModelConfig(k, engine=name, metric=metric, init=100 * random.random(size=(k, d)) + 1)
    model = new_model(config)
    for _ in range(4):  # until it keeps the arrays of two versions
        model, _ = apply(model, Batch(points), engines[name], run_in_order)
    tracemalloc.start()
    try:
        before = traced()
        apply(model, Batch(points), engines[name], run_in_order)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    labels = 8 * rows
    taken = paused_bytes(config, d) + workspace_bytes(config, d, points.size) + labels
    assert peak <= taken + kept_bytes(model) / 2  # of which the new version is


def test_the_first_batch_takes_no_more_than_is_reserved_for_computing_it(engines: dict[EngineName, Engine]) -> None:
    k, d, rows = 4, 64, 65_536
    points: PointArray = np.random.default_rng(0).integers(255, size=(rows, d), dtype=np.uint8)
    config = ModelConfig(k, init=points[:k].astype(np.float64))
    apply(new_model(config), Batch(points[:100]), engines["numba"], run_in_order)  # what is loaded isn't counted
    tracemalloc.start()
    try:
        before = traced()
        model, _ = apply(new_model(config), Batch(points), engines["numba"], run_in_order)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert peak <= paused_bytes(config, d) + workspace_bytes(config, d, points.size) + 8 * rows + kept_bytes(model)


@pytest.mark.parametrize("shape", [(32, 24), (512, 160), (64, 256), (64, 257), (300, 1000), (50_000, 24), (1024, 512)])
def test_looking_for_pruning_axes_takes_no_more_than_is_reserved_for_it(shape: tuple[int, int]) -> None:
    k, d = shape
    random = np.random.default_rng(0)
    centroids = random.normal(size=shape) * np.exp(-np.arange(d) / 5)
    sample = centroids[random.integers(k, size=sample_rows(k))] + 0.1
    deque(best_axes(centroids[:32], sample), 0)  # what is loaded for it isn't counted
    tracemalloc.start()
    try:
        before = traced()
        deque(best_axes(centroids.copy(), sample.copy()), 0)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert peak <= 8 * look_values(k, d) <= workspace_bytes(ModelConfig(k), d, 0)


@pytest.mark.parametrize("shape", [(1, 12_288), (31, 1024), (32, 1025), (32, 23)])
def test_nothing_is_reserved_for_pruning_where_there_is_none(shape: tuple[int, int]) -> None:
    assert look_values(*shape) == 0


def test_a_centroid_of_very_many_columns_fits_into_a_small_budget() -> None:
    memory = SessionMemory("wide", MemoryBudget(512 * MIB), 1, ReplayCache(0))

    memory.admit_model(ModelConfig(1), 12_288)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("init_size", [5000, 4999])
def test_points_that_wait_for_centroids_take_no_more_than_is_reserved_for_them(
    engines: dict[EngineName, Engine], dtype: type, init_size: int
) -> None:
    rows, columns = 5000, 16
    points: PointArray = (100 * np.random.default_rng(0).random(size=(rows, columns))).astype(dtype)
    model = new_model(ModelConfig(8, init_size=init_size, random_state=0, engine="scipy"))
    first, last = Batch(points[:4000]), Batch(points[4000:])
    apply(model, Batch(points), engines["scipy"], run_in_order)  # what is loaded for it isn't counted
    tracemalloc.start()
    try:
        before = traced()
        model, _ = apply(model, first, engines["scipy"], run_in_order)
        kept = traced() - before
        model, _ = apply(model, last, engines["scipy"], run_in_order)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert model.version == 1
    assert (
        kept
        <= peak
        <= warmup_bytes(model.config, rows, columns, points.itemsize)
        + kept_bytes(Model(model.config, ModelState(columns)))
    )


ROUNDS = (16, 256)  # clusters and columns whose light refinements are done in rounds, and seldom make a version


@pytest.mark.parametrize("shape", [(64, 3), (64, 16), (512, 64), (8, 200), (500, 4), ROUNDS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("stream", ["blobs", "ever farther", "far from zero"])
def test_a_refined_model_takes_no_more_than_is_reserved_for_it(
    shape: tuple[int, int], dtype: type, stream: str
) -> None:
    k, d = shape
    config, engine, run = ModelConfig(k, update_rule="refined", random_state=0), warm_engine(), _Measuring()
    batches = [Batch(points.astype(dtype)) for points in _stream(stream, d)]
    _learned(config, batches[:5], run)  # what is loaded isn't counted
    tracemalloc.start()
    try:
        empty = traced()
        model, kept, held, peak, refinements = new_model(config), 0, 0, 0, 0
        for batch in batches:
            before = tracemalloc.get_traced_memory()[0]
            run.most = before
            tracemalloc.reset_peak()
            model, result = apply(model, batch, engine, run, engine)
            model = model.committed()  # as the writer does
            now, most = tracemalloc.get_traced_memory()
            if now - empty > kept:
                now = traced()  # without Python's free lists
            kept, held, peak = max(kept, now - empty), max(held, run.most - before), max(peak, most - before)
            refinements += result.refined
    finally:
        tracemalloc.stop()

    size = np.dtype(dtype).itemsize
    assert refinements > (2 if shape == ROUNDS else 3)
    assert kept <= model_bytes(config, d, size) + OBJECTS
    assert model_bytes(config, d, size) <= 3 * kept
    assert held <= learning_bytes(config, d, size)
    assert learning_bytes(config, d, size) <= 6 * held
    assert peak <= learning_bytes(config, d, size) + swap_bytes(config, d, size) + workspace_bytes(config, d, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_rows_that_are_converted_for_a_summary_take_no_more_than_is_reserved_for_it(dtype: type) -> None:
    d, rows = 16, 100_000
    config = ModelConfig(4, update_rule="refined", random_state=0, dtype="float32")
    batch = Batch(np.random.default_rng(0).integers(255, size=(rows, d)).astype(dtype))
    model = _learned(config, [batch], run_in_order)
    tracemalloc.start()
    try:
        before = traced()
        apply(model, batch, warm_engine(), run_in_order, warm_engine())
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    labels = 8 * rows
    assert peak <= learning_bytes(config, d, 4) + swap_bytes(config, d, 4) + workspace_bytes(config, d, 0) + labels


@pytest.mark.parametrize(("before", "after"), [(8, 16), (16, 8), (8, 600), (600, 8)])
@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_another_number_of_clusters_takes_no_more_than_is_reserved_for_it(
    before: int, after: int, rule: UpdateRule
) -> None:
    d, engine = 16, warm_engine()
    config = ModelConfig(before, update_rule=rule, summary_size=12_000, random_state=0, dtype="float32")
    other = replace(config, n_clusters=after)
    random = np.random.default_rng(0)
    batches = [Batch(random.normal(size=(5000, d)).astype(np.float32)) for _ in range(4)]
    model = _learned(config, batches, run_in_order).committed()
    reconfigure(model, other, fitter=engine)  # what is loaded isn't counted
    tracemalloc.start()
    try:
        empty = traced()
        resized = reconfigure(model, other, fitter=engine)
        peak = tracemalloc.get_traced_memory()[1] - empty
    finally:
        tracemalloc.stop()

    assert resized.config.n_clusters == after
    computing = max(learning_bytes(config, d, 4) + swap_bytes(config, d, 4) for config in (config, other))
    assert peak <= computing
    assert computing <= 6 * peak


def test_default_sessions_reserve_little() -> None:
    sizes = [
        model_bytes(ModelConfig(k, update_rule=None), d, precision) / MIB
        for k, d in [(8, 2), (64, 16), (1024, 128)]
        for precision in (4, 8)
    ]

    assert (np.array(sizes) < [0.4, 0.5, 1.2, 2, 48, 80]).all()


@pytest.mark.parametrize("k", [8, 200, 1 << 15, 1 << 18])
def test_a_session_reserves_a_small_summary_until_its_columns_are_known(k: int) -> None:
    config = ModelConfig(k, update_rule=None)

    unknown, known = (model_bytes(config, columns) - model_bytes(ModelConfig(k), 1) for columns in (None, 1))
    assert unknown == known if k <= 200 else unknown < known / 6
    assert unknown < 2 * MIB
    assert learning_bytes(config, None) <= learning_bytes(config, 1)
    assert swap_bytes(config, None) <= swap_bytes(config, 1)


def test_an_incremental_session_reserves_only_a_summary_that_it_asks_for() -> None:
    k, d, size = 64, 16, 700

    assert model_bytes(ModelConfig(k, summary_size=0), d) == model_bytes(ModelConfig(k), d)
    assert learning_bytes(ModelConfig(k), d) == 0
    more = model_bytes(ModelConfig(k, summary_size=size), d) - model_bytes(ModelConfig(k), d)
    assert 0 < more - max_summary_bytes(size, k, d, np.dtype(np.float64)) <= OBJECTS + 2 * size
    assert more < model_bytes(ModelConfig(k, update_rule="refined", summary_size=size), d) - model_bytes(
        ModelConfig(k), d
    )


class _Measuring:
    """Runs tasks in order, and notes how much is allocated between two pieces of those that hold memory."""

    def __init__(self) -> None:
        self.most = 0

    def __call__(self, task: Task, count: int) -> None:
        run_in_order(task, count)

    def holding_memory(self, task: Task, count: int) -> None:
        for index in range(count):
            for _ in task(index) or ():
                self.most = max(self.most, tracemalloc.get_traced_memory()[0])


def _stream(kind: str, d: int) -> list[NDArray[np.float64]]:
    """Return arrays of points (1000, d)."""
    random = np.random.default_rng(0)
    batches = [random.normal(size=(1000, d)) + random.integers(5, size=(1000, 1)) for _ in range(40)]
    if kind == "ever farther":  # so that blocks keep as many rows as they may
        return [points * 1.3**number for number, points in enumerate(batches)]
    return [points * 2.0**40 for points in batches] if kind == "far from zero" else batches


def _learned(config: ModelConfig, batches: list[Batch], run: RunTasks) -> Model:
    model, engine = new_model(config), warm_engine()
    for batch in batches:
        model, _ = apply(model, batch, engine, run, engine)
    return model
