"""Batches that are applied together give the same results as one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from shoal_server.clustering.config import EngineName, ModelConfig, OnInvalid
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import apply, new_model
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.engines import contract as engine_contract
from shoal_server.engines.contract import (
    Contribution,
    Engine,
    FusedResult,
    PointArray,
    RunTasks,
    is_fused,
    run_in_order,
)
from shoal_server.engines.numba import NumbaEngine
from shoal_server.errors import DomainError, internal
from tests.clustering.builders import on_bug, snapshot
from tests.clustering.fused_builders import FusedBatches, fused_batch_sets
from tests.effort import examples
from tests.warm import warm_engine

Engines = dict[EngineName, Engine]
Results = list[BatchResult]

FAULTY = -666.0  # a value that an engine can't bear


def _apply(model: Model, batches: Sequence[Batch], engine: Engine) -> tuple[Model, list[BatchResult]]:
    return apply_batches(model, batches, engine, run_in_order, lambda: False, on_bug)


def _one_by_one(fused_batches: FusedBatches, engine: Engine) -> tuple[Model, Results]:
    model = new_model(fused_batches.config)
    results: Results = []
    for batch in fused_batches.batches:
        try:
            model, result = apply(model, batch, engine, run_in_order)
            results.append(result)
        except DomainError as error:
            results.append(BatchResult(refusal=error.refusal))
    return model, results


def _together(fused_batches: FusedBatches, engine: Engine) -> tuple[Model, Results]:
    model = new_model(fused_batches.config)
    results: Results = []
    edges = [0, *sorted(fused_batches.cuts), len(fused_batches.batches)]
    for begin, end in pairwise(edges):
        model, more = _apply(model, fused_batches.batches[begin:end], engine)
        results.extend(more)
    return model, results


def _check_alike(one: BatchResult, other: BatchResult, close: Callable[[Any, Any], None]) -> None:
    assert one.refusal == other.refusal
    assert (other.version, other.accepted, other.dropped) == (one.version, one.accepted, one.dropped)
    assert (other.warming, other.late, other.weight) == (one.warming, one.late, one.weight)
    close(other.inertia, one.inertia)
    assert (other.labels is None) == (one.labels is None)
    if one.labels is not None:
        np.testing.assert_array_equal(other.labels, one.labels)


def _nearly(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@settings(examples(150), derandomize=True)
@given(fused_batches=fused_batch_sets())
@pytest.mark.parametrize("name", ["numba", "sklearn", "scipy"])
def test_batches_applied_together_give_the_same_bits_as_one_by_one(
    name: EngineName, fused_batches: FusedBatches, engines: Engines
) -> None:
    close = _nearly if fused_batches.config.metric == "cosine" else np.testing.assert_array_equal

    expected, expected_results = _one_by_one(fused_batches, engines[name])
    model, results = _together(fused_batches, engines[name])

    assert len(results) == len(expected_results)
    for one, other in zip(expected_results, results, strict=True):
        _check_alike(one, other, close)
    assert (model.snapshot is None) == (expected.snapshot is None)
    if model.snapshot and expected.snapshot:
        close(model.snapshot.centroids, expected.snapshot.centroids)
        close(model.snapshot.movement, expected.snapshot.movement)
        np.testing.assert_array_equal(model.snapshot.weights, expected.snapshot.weights)
        close(model.frame.centroids, expected.frame.centroids)
        close(model.snapshot.inertia, expected.snapshot.inertia)
        assert model.snapshot.batch_points == expected.snapshot.batch_points
    assert (model.version, model.state.points_accepted) == (expected.version, expected.state.points_accepted)
    assert (model.points_dropped, model.state.latest_event) == (expected.points_dropped, expected.state.latest_event)


def _plain(count: int, rows: int = 3) -> list[Batch]:
    return [Batch(np.full((rows, 2), index, np.float32)) for index in range(count)]


def _started(engine: Engine, on_invalid: OnInvalid = "reject") -> Model:
    config = ModelConfig(2, init=np.array([[0.0, 0], [9, 9]]), on_invalid=on_invalid, dtype="float32")
    return apply(new_model(config), _plain(1)[0], engine, run_in_order)[0]


@pytest.mark.parametrize("name", ["numba", "sklearn", "scipy"])
@pytest.mark.parametrize("bad", [0, 3, 6])
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_an_invalid_batch_among_batches_applied_together_is_refused_alone(
    name: EngineName, bad: int, value: float, engines: Engines
) -> None:
    batches = _plain(7)
    batches[bad].points[2, 1] = value

    model, results = _apply(_started(engines[name]), batches, engines[name])

    refused = [index for index, result in enumerate(results) if result.refusal]
    versions = [result.version for result in results if not result.refusal]
    assert refused == [bad]
    assert versions == [2, 3, 4, 5, 6, 7]
    assert (model.version, model.state.points_accepted, snapshot(model).weights.sum()) == (7, 21, 21)


@pytest.mark.parametrize("name", ["numba", "sklearn", "scipy"])
def test_drop_leaves_an_invalid_row_out_and_keeps_the_order_of_batches(name: EngineName, engines: Engines) -> None:
    batches = _plain(7)
    batches[3].points[2, 1] = np.nan

    model, results = _apply(_started(engines[name], "drop"), batches, engines[name])

    outcomes = [result for result in results if not result.refusal]
    assert [(outcome.version, outcome.dropped) for outcome in outcomes] == [(2 + i, int(i == 3)) for i in range(7)]
    assert (model.state.points_accepted, model.points_dropped) == (23, 1)


@pytest.mark.parametrize("name", ["numba", "sklearn", "scipy"])
@pytest.mark.parametrize("asked", [0, 1, 2])
def test_halting_leaves_the_remaining_batches_without_a_result(name: EngineName, asked: int, engines: Engines) -> None:
    # Every other batch needs special care, so that there are many moments to ask.
    batches = [Batch(batch.points, np.ones(3) if index % 2 else None) for index, batch in enumerate(_plain(9))]
    answers = iter([False] * asked + [True] * 9)

    model, results = apply_batches(
        _started(engines[name]), batches, engines[name], run_in_order, lambda: next(answers), on_bug
    )

    assert asked <= len(results) < 9
    assert model.version == 1 + len(results)
    assert not any(result.refusal for result in results)


class DelicateEngine(NumbaEngine):
    """Counts the batches applied together, and fails if there are too many or a point is faulty."""

    def __init__(self, most_batches: int = 10**9) -> None:
        super().__init__()
        vars(self).update(vars(warm_engine()))
        self._most_batches = most_batches
        self.batches = 0

    def apply_batches(self, fused_batches: engine_contract.FusedBatches, run: RunTasks) -> FusedResult:
        self.batches += len(fused_batches.batches)
        if len(fused_batches.batches) > self._most_batches:
            raise MemoryError
        self._fail_if_faulty(*fused_batches.batches)
        return super().apply_batches(fused_batches, run)

    def contribute(self, points: PointArray, *rest: Any, **options: Any) -> Contribution:
        self._fail_if_faulty(points)
        return super().contribute(points, *rest, **options)

    def _fail_if_faulty(self, *batches: PointArray) -> None:
        if any((points == FAULTY).any() for points in batches):
            raise np.linalg.LinAlgError


class WatchedBatches(list[Batch]):
    """Counts the batches that are looked at in passing, in it and in its slices."""

    def __init__(self, batches: Iterable[Batch], whole: WatchedBatches | None = None) -> None:
        super().__init__(batches)
        self._whole = self if whole is None else whole
        self.looked_at = 0

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            self._whole.looked_at += 1
            yield batch

    def __getitem__(self, places: Any) -> Any:
        got = super().__getitem__(places)
        return WatchedBatches(got, self._whole) if isinstance(places, slice) else got


@pytest.mark.parametrize("every", [1, 2, 3, 50])
def test_the_cost_of_invalid_batches_is_linear_in_their_number(every: int) -> None:
    engine = DelicateEngine()
    batches = _plain(2000, rows=1)
    for batch in batches[::every]:
        batch.points[:] = np.nan
    watched = WatchedBatches(batches)
    model, results = _apply(_started(engine), watched, engine)

    refused = [index for index, result in enumerate(results) if result.refusal]
    assert refused == [*range(0, 2000, every)]
    assert model.version == 1 + 2000 - len(refused)
    assert watched.looked_at <= 4 * len(batches)
    assert engine.batches <= 4 * len(batches)


def test_batches_that_fail_together_are_applied_in_smaller_groups() -> None:
    delicate, sound = DelicateEngine(most_batches=4), DelicateEngine()

    model, results = _apply(_started(delicate), _plain(40), delicate)

    expected, _ = _apply(_started(sound), _plain(40), sound)
    assert [result.version for result in results if not result.refusal] == [*range(2, 42)]
    np.testing.assert_array_equal(snapshot(model).centroids, snapshot(expected).centroids)
    assert delicate.batches <= 4 * 40


def test_a_bug_in_one_batch_affects_only_its_own_result() -> None:
    engine = DelicateEngine()
    batches = _plain(9)
    batches[5].points[0, 0] = FAULTY

    model, results = _apply(_started(engine), batches, engine)

    assert [index for index, result in enumerate(results) if result.refusal] == [5]
    assert results[5].refusal == internal()
    assert [result.version for result in results if not result.refusal] == [*range(2, 10)]
    assert model.version == 9


def test_applying_no_batches_returns_no_results(engines: Engines) -> None:
    model = _started(engines["numba"])

    assert _apply(model, [], engines["numba"]) == (model, [])


def test_a_batch_just_short_of_two_chunks_gives_the_same_bits(engines: Engines) -> None:
    engine = engines["numba"]
    assert is_fused(engine)
    model = _started(engine)
    most = engine.max_rows(model.frame)
    random = np.random.default_rng(0)
    batches = [Batch(random.normal(size=(most + more, 2)).astype(np.float32)) for more in (-1, 0, 1)]
    alone = model
    for batch in batches:
        alone, _ = apply(alone, batch, engine, run_in_order)

    together, _ = _apply(model, batches, engine)

    np.testing.assert_array_equal(snapshot(together).centroids, snapshot(alone).centroids)


@pytest.mark.parametrize("count", [1, 3])
def test_the_labels_of_a_batch_keep_no_others_in_memory(count: int, engines: Engines) -> None:
    model = new_model(ModelConfig(2, init=np.eye(2)))
    batches = [Batch(np.full((5, 2), each / 9), return_labels=True) for each in range(count)]

    _, results = _apply(_apply(model, batches, engines["numba"])[0], batches, engines["numba"])

    assert [each.labels.nbytes if each.labels is not None else 0 for each in results] == [20] * count
    assert all(each.labels is not None and each.labels.base is None for each in results)
